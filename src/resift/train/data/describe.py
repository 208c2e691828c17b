"""What is in examples, which loss fits them, and why: what a person wants to see before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

from resift.train.examples import DataIssue, ExampleSet, LabelKind, Shape, TrainingQuery
from resift.train.neural.losses import choose, facts_of, fitting

_SHOWN = 3


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
        losses: of a reranker, those that fit, by the rule of `resift train`; the first is the one that it takes.
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
        losses=_losses(examples),
        issues=examples.issues,
        examples=tuple(examples.queries[:_SHOWN]),
    )


def _is_comparable(query: TrainingQuery) -> bool:
    labels = {c.label for c in query.candidates if c.label is not None}
    teachers = {c.teacher for c in query.candidates if c.teacher is not None}
    return max(len(labels), len(teachers)) > 1


def _losses(examples: ExampleSet) -> tuple[LossFit, ...]:
    """The losses of a reranker that fit, that first which training takes by itself; none where nothing fits."""
    facts = facts_of(examples)
    names = fitting(facts)
    if not names:
        return ()
    loss, why = choose(facts)
    others = (LossFit(name, "it can learn from these data too") for name in names if name != loss.name)
    return (LossFit(loss.name, why), *others)
