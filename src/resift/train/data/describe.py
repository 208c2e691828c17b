"""What is in examples, which loss fits them, and why: what a person wants to see before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

from resift.train.examples import DataIssue, ExampleSet, LabelKind, Shape, TrainingQuery

_SHOWN = 3
_MOST = 0.5  # the share of queries that must have something to compare for a loss over groups


@dataclass(frozen=True, slots=True)
class LossFit:
    """A loss that fits, and the reason."""

    loss: str
    why: str


@dataclass(frozen=True, slots=True)
class Description:
    """What is in examples.

    Attributes:
        sentence: what was taken for what.
        shape, label_kind: see `Detection`.
        columns: the column of each role.
        queries, candidates: how many there are.
        per_query: the least, the median and the most candidates of a query.
        labels: how many candidates have each label; the key "" is those without one.
        positives: how many candidates have a label over 0.
        comparable: how many queries have two different labels or teacher scores, so that an order can be learned.
        taught: how many candidates have a teacher's score.
        losses: those that fit, the best first.
        issues: what is wrong with the data.
        examples: the first three queries.

    """

    sentence: str
    shape: Shape
    label_kind: LabelKind
    columns: Mapping[str, str]
    queries: int
    candidates: int
    per_query: tuple[int, float, int]
    labels: Mapping[str, int]
    positives: int
    comparable: int
    taught: int
    losses: tuple[LossFit, ...]
    issues: tuple[DataIssue, ...]
    examples: tuple[TrainingQuery, ...]


def describe(examples: ExampleSet) -> Description:
    """Count what is in examples, and choose losses."""
    sizes = [len(query.candidates) for query in examples.queries]
    counts = examples.label_counts
    taught = sum(c.teacher is not None for q in examples.queries for c in q.candidates)
    comparable = sum(_is_comparable(query) for query in examples.queries)
    return Description(
        sentence=examples.detection.sentence,
        shape=examples.detection.shape,
        label_kind=examples.detection.label_kind,
        columns=examples.detection.columns,
        queries=len(sizes),
        candidates=sum(sizes),
        per_query=(min(sizes, default=0), median(sizes) if sizes else 0.0, max(sizes, default=0)),
        labels={"" if label is None else f"{label:g}": count for label, count in counts.items()},
        positives=sum(count for label, count in counts.items() if label is not None and label > 0),
        comparable=comparable,
        taught=taught,
        losses=_losses(examples, comparable, taught),
        issues=examples.issues,
        examples=tuple(examples.queries[:_SHOWN]),
    )


def _is_comparable(query: TrainingQuery) -> bool:
    labels = {c.label for c in query.candidates if c.label is not None}
    teachers = {c.teacher for c in query.candidates if c.teacher is not None}
    return max(len(labels), len(teachers)) > 1


def _losses(examples: ExampleSet, comparable: int, taught: int) -> tuple[LossFit, ...]:
    """The losses that fit, the best first."""
    grouped = comparable >= _MOST * len(examples.queries)
    if any(issue.code == "margins" for issue in examples.issues):
        return (LossFit("margin-mse", "the data have a teacher's margins between a positive and a negative"),)
    if taught and taught == examples.candidates:
        margins = LossFit("margin-mse", "as mse, where the teacher's scale is no matter")
        why = "every candidate has a teacher's score, and regression on it is the strongest recipe for small models"
        return (LossFit("mse", why), *((margins,) if grouped else ()))
    return _of_labels(examples, grouped)


def _of_labels(examples: ExampleSet, grouped: bool) -> tuple[LossFit, ...]:
    labels = [label for label in examples.label_counts if label is not None]
    softmax = LossFit("group-softmax", "a query has relevant and other candidates, which are compared with each other")
    bce = LossFit("bce", "each pair is judged by itself, which gives probabilities")
    if min(labels, default=0) > 0 and len(set(labels)) == 1:
        why = "there are only positives, so the other queries' documents have to be the negatives; `resift mine` "
        return (LossFit("cached-mnrl", why + "finds harder ones"),)
    if examples.detection.shape is Shape.CLICKS:
        why = "a click says that a document beats those shown beside it; weights undo the bias of its position"
        return (LossFit("group-softmax", why),)
    if examples.detection.label_kind is LabelKind.BINARY:
        return (softmax, bce) if grouped else (bce,)
    if examples.detection.label_kind is LabelKind.GRADED and grouped:
        return (
            LossFit("lambda", "grades order several candidates of a query, and nDCG is what is gained"),
            LossFit("listmle", "as lambda, for the likelihood of the whole order"),
        )
    if max(labels, default=0) <= 1 and min(labels, default=0) >= 0:
        return (LossFit("bce", "labels between 0 and 1 are read as probabilities"), LossFit("mse", "as numbers"))
    return (LossFit("mse", "labels are numbers, and few queries have candidates to compare"),)
