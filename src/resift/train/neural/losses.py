"""The losses of a cross-encoder as one table, and the rule by which one fits data, for all kinds of models.

Every loss works on raw logits. A sigmoid before a loss that expects logits saturates beyond 5 or so, and learning ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from resift.arguments import nearest
from resift.errors import InputError
from resift.train.examples import ExampleSet, LabelKind, TrainingQuery

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder
    from torch import nn


class Form(StrEnum):
    """What one row of the training data holds."""

    PAIR = "pair"  # query, document, value
    TUPLE = "tuple"  # query, positive, negatives
    SCORED_TUPLE = "scored tuple"  # query, positive, negatives, and the teacher's score of each
    LIST = "list"  # query, documents, values


class Values(StrEnum):
    """What a loss learns from."""

    LABELS = "labels"
    TEACHER = "teacher"


@dataclass(frozen=True, slots=True)
class LossSettings:
    """What losses can be told.

    Attributes:
        pos_weight: of a positive in `bce`; None is the number of negatives per positive, 10 at most.
        scale: what scores are multiplied with before a softmax; None is the loss's own.
        in_batch: negatives of other queries that `mnrl` draws for each query.
        temperature: of `teacher-kl`.
        calibration: t of `gbce`, 0..1.
        sampled_from: of how many candidates the negatives are a sample, for `gbce`.

    """

    pos_weight: float | None = None
    scale: float | None = None
    in_batch: int = 4
    temperature: float = 1.0
    calibration: float = 0.75
    sampled_from: int = 100


Maker = Callable[[Any, LossSettings, bool], "nn.Module"]
_ANY = frozenset({LabelKind.BINARY, LabelKind.GRADED, LabelKind.CONTINUOUS})
_GRADES = frozenset({LabelKind.BINARY, LabelKind.GRADED})


@dataclass(frozen=True, slots=True)
class Loss:
    """One row of the table.

    Attributes:
        name: by which it is asked for.
        form: of its rows.
        values: what it learns from.
        kinds: the kinds of labels that it understands.
        make: builds it for a model; the last argument says whether rows carry weights.
        outputs: of the model's head.
        weighted: whether it uses the weights of candidates.

    """

    name: str
    form: Form
    values: Values
    make: Maker
    kinds: frozenset[LabelKind] = _ANY
    outputs: int = 1
    weighted: bool = False


def _bce(model: CrossEncoder, settings: LossSettings, weights: bool) -> nn.Module:
    import torch
    from sentence_transformers.cross_encoder.losses import BinaryCrossEntropyLoss

    from resift.train.neural.list_losses import WeightedBinaryCrossEntropyLoss

    pos_weight = 1.0 if settings.pos_weight is None else settings.pos_weight
    if weights:
        return WeightedBinaryCrossEntropyLoss(model, pos_weight)
    loss: nn.Module = BinaryCrossEntropyLoss(
        model, activation_fn=torch.nn.Identity(), pos_weight=torch.tensor(pos_weight)
    )
    return loss


def _pointwise(name: str) -> Maker:
    """A loss of pairs, by its class in sentence-transformers."""

    def make(model: CrossEncoder, settings: LossSettings, weights: bool) -> nn.Module:
        import torch
        from sentence_transformers.cross_encoder import losses

        loss: nn.Module = getattr(losses, name)(model, activation_fn=torch.nn.Identity())
        return loss

    return make


def _contrastive(name: str) -> Maker:
    """A loss with negatives of other queries, whose activation is the sigmoid unless it is told otherwise."""

    def make(model: CrossEncoder, settings: LossSettings, weights: bool) -> nn.Module:
        import torch
        from sentence_transformers.cross_encoder import losses

        loss: nn.Module = getattr(losses, name)(
            model,
            num_negatives=settings.in_batch,
            activation_fn=torch.nn.Identity(),
            scale=1.0 if settings.scale is None else settings.scale,
        )
        return loss

    return make


def _listwise(name: str, ordered: bool = False) -> Maker:
    """A loss of lists, by its class; all pairs go in one call, which the model groups by length itself."""

    def make(model: CrossEncoder, settings: LossSettings, weights: bool) -> nn.Module:
        import torch
        from sentence_transformers.cross_encoder import losses

        more = {"respect_input_order": False} if ordered else {}
        loss: nn.Module = getattr(losses, name)(model, activation_fn=torch.nn.Identity(), mini_batch_size=-1, **more)
        return loss

    return make


def _own(name: str) -> Maker:
    """A loss of `list_losses`."""

    def make(model: CrossEncoder, settings: LossSettings, weights: bool) -> nn.Module:
        from resift.train.neural import list_losses as ours

        formulas: Mapping[str, tuple[ours.Formula, dict[str, float]]] = {
            "group-softmax": (ours.group_softmax, {}),
            "gbce": (
                ours.generalised_bce(settings.calibration, settings.sampled_from),
                {"calibration": settings.calibration, "sampled_from": settings.sampled_from},
            ),
            "teacher-kl": (ours.teacher_kl(settings.temperature), {"temperature": settings.temperature}),
            "teacher-margin": (ours.teacher_margin, {}),
            "teacher-ranknet": (ours.teacher_ranknet, {}),
        }
        return ours.ListLoss(model, *formulas[name])

    return make


LOSSES = {
    loss.name: loss
    for loss in (
        Loss("bce", Form.PAIR, Values.LABELS, _bce, weighted=True),
        Loss("ce", Form.PAIR, Values.LABELS, _pointwise("CrossEntropyLoss"), frozenset({LabelKind.BINARY}), outputs=2),
        Loss("mse", Form.PAIR, Values.LABELS, _pointwise("MSELoss")),
        Loss("mnrl", Form.TUPLE, Values.LABELS, _contrastive("MultipleNegativesRankingLoss"), _GRADES),
        Loss("cached-mnrl", Form.TUPLE, Values.LABELS, _contrastive("CachedMultipleNegativesRankingLoss"), _GRADES),
        Loss("margin-mse", Form.SCORED_TUPLE, Values.TEACHER, _pointwise("MarginMSELoss"), _GRADES),
        Loss("listnet", Form.LIST, Values.LABELS, _listwise("ListNetLoss")),
        Loss("listmle", Form.LIST, Values.LABELS, _listwise("ListMLELoss", ordered=True)),
        Loss("plistmle", Form.LIST, Values.LABELS, _listwise("PListMLELoss", ordered=True)),
        Loss("lambda", Form.LIST, Values.LABELS, _listwise("LambdaLoss")),
        Loss("ranknet", Form.LIST, Values.LABELS, _listwise("RankNetLoss")),
        Loss("adr-mse", Form.LIST, Values.LABELS, _listwise("ADRMSELoss")),
        Loss("group-softmax", Form.LIST, Values.LABELS, _own("group-softmax"), _GRADES, weighted=True),
        Loss("gbce", Form.LIST, Values.LABELS, _own("gbce"), _GRADES, weighted=True),
        Loss("teacher-mse", Form.PAIR, Values.TEACHER, _pointwise("MSELoss")),
        Loss("teacher-kl", Form.LIST, Values.TEACHER, _own("teacher-kl"), weighted=True),
        Loss("teacher-margin", Form.LIST, Values.TEACHER, _own("teacher-margin"), weighted=True),
        Loss("teacher-ranknet", Form.LIST, Values.TEACHER, _own("teacher-ranknet"), weighted=True),
    )
}


@dataclass(frozen=True, slots=True)
class DataFacts:
    """What decides which losses fit: counts over a set's queries and candidates.

    Attributes:
        kind: of the labels, over all candidates that have one.
        labelled, scored: candidates with a label, and with a teacher's score.
        candidates: all of them.
        in_unit: whether every label is from 0 to 1.
        contrasted: queries that have candidates with different labels.
        with_positive: queries that have a positive (a label over 0).
        ordered: queries whose teacher gives two candidates different scores.
        contrasted_and_scored: queries with a positive and a negative, of which the teacher has scored both.
        negatives: the labelled negatives.
        weighted: candidates whose weight is not 1.
        margins: whether a teacher gave margins between two candidates, and no scores of them.

    """

    kind: LabelKind
    labelled: int
    scored: int
    candidates: int
    in_unit: bool
    contrasted: int
    with_positive: int
    ordered: int
    contrasted_and_scored: int
    negatives: int
    weighted: int
    margins: bool = False

    @classmethod
    def of(cls, queries: Sequence[TrainingQuery], margins: bool = False) -> DataFacts:
        """Count."""
        candidates = [c for query in queries for c in query.candidates]
        labels = [c.label for c in candidates if c.label is not None]
        return cls(
            kind=kind_of(labels),
            labelled=len(labels),
            scored=sum(c.teacher is not None for c in candidates),
            candidates=len(candidates),
            in_unit=all(0 <= label <= 1 for label in labels),
            contrasted=sum(len({c.label for c in q.candidates if c.label is not None}) > 1 for q in queries),
            with_positive=sum(any((c.label or 0) > 0 for c in q.candidates) for q in queries),
            ordered=sum(len({c.teacher for c in q.candidates if c.teacher is not None}) > 1 for q in queries),
            contrasted_and_scored=sum(_scored_sides(q) for q in queries),
            negatives=sum(label <= 0 for label in labels),
            weighted=sum(c.weight != 1 for c in candidates),
            margins=margins,
        )


def kind_of(labels: list[float]) -> LabelKind:
    """Binary, graded or continuous; none where there are no labels."""
    if not labels:
        return LabelKind.NONE
    if any(label != int(label) or label < 0 for label in labels):
        return LabelKind.CONTINUOUS
    return LabelKind.GRADED if max(labels) > 1 else LabelKind.BINARY


def _scored_sides(query: TrainingQuery) -> bool:
    sides = {c.label > 0 for c in query.candidates if c.label is not None and c.teacher is not None}
    return len(sides) == 2


def obstacle(loss: Loss, facts: DataFacts) -> str:
    """Why a loss can't learn from data; empty where it can."""
    teacher = loss.values is Values.TEACHER
    if teacher and not facts.scored:
        return "it learns from a teacher's scores, and no candidate has one"
    if teacher and loss.form is Form.PAIR and facts.margins:
        return "the teacher gave margins, and it learns from scores"
    if teacher and loss.form is Form.LIST and not facts.ordered:
        return "no query has two candidates that the teacher scores differently"
    if loss.form is Form.SCORED_TUPLE and not facts.contrasted_and_scored:
        return "no query has a positive and a negative that the teacher has both scored"
    if loss.form is not Form.SCORED_TUPLE and teacher:
        return _weights_obstacle(loss, facts)
    return _label_obstacle(loss, facts) or _weights_obstacle(loss, facts)


def _label_obstacle(loss: Loss, facts: DataFacts) -> str:
    if facts.kind is LabelKind.NONE:
        return "it learns from labels, and no candidate has one"
    if facts.kind not in loss.kinds:
        return f"the labels are {facts.kind}, and it understands {' or '.join(sorted(loss.kinds))} ones"
    if loss.name == "bce" and not facts.in_unit:
        return "its labels are probabilities from 0 to 1, and there are others"
    if loss.form is Form.LIST and not facts.contrasted:
        return "no query has candidates with different labels"
    if loss.form is Form.TUPLE and not facts.with_positive:
        return "no query has a positive, which is a label over 0"
    if loss.form is Form.PAIR and not facts.negatives and facts.kind is LabelKind.BINARY:
        return "there are positives alone, from which it would learn to call everything relevant"
    return ""


def _weights_obstacle(loss: Loss, facts: DataFacts) -> str:
    if facts.weighted and not loss.weighted:
        return f"{facts.weighted} candidates have weights, which it does not use"
    return ""


def fitting(facts: DataFacts, losses: Mapping[str, Loss] = LOSSES) -> list[str]:
    """Names of the losses that can learn from data, in the order of the table."""
    return [loss.name for loss in losses.values() if not obstacle(loss, facts)]


def check(name: str, facts: DataFacts, losses: Mapping[str, Loss] = LOSSES) -> Loss:
    """The loss of a name, among those of a kind of models.

    Raises:
        InputError: no such loss, or one that can't learn from these data; the message names those that can.

    """
    if name not in losses:
        raise InputError(f"{name!r} is no loss{nearest(name, tuple(losses))}; there are {', '.join(losses)}")
    if reason := obstacle(losses[name], facts):
        others = fitting(facts, losses)
        remedy = f"with these data take {', '.join(others)}" if others else "mine negatives first: resift mine"
        raise InputError(f"the loss {name} does not fit the data: {reason}; {remedy}")
    return losses[name]


def choose(facts: DataFacts, losses: Mapping[str, Loss] = LOSSES) -> tuple[Loss, str]:
    """The loss that fits data best, among those of a kind of models, and why.

    Raises:
        InputError: none fits.

    """
    preferences = (
        ("margin-mse", "a teacher gave the margins between a positive and a negative", facts.margins),
        ("teacher-mse", "every candidate has a teacher's score, and regression on a strong teacher's raw logits is the "
         "best published recipe for small models", facts.scored == facts.candidates),
        ("group-softmax", "candidates have weights, and it uses them", bool(facts.weighted)),
        ("teacher-kl", "every candidate has a teacher's score, and the whole distribution is learned",
         facts.scored == facts.candidates),
        ("lambda", "labels are graded, and it rewards each swap by what it does to nDCG",
         facts.kind is LabelKind.GRADED and facts.contrasted > 0),
        ("bce", "labels are 0 and 1 or probabilities, and each pair is judged for itself",
         facts.in_unit and (facts.kind is LabelKind.CONTINUOUS or facts.negatives > 0)),
        ("mse", "labels are numbers without an upper end", facts.kind is LabelKind.CONTINUOUS),
        ("mnrl", "there are positives alone, and other queries' documents serve as negatives", not facts.negatives),
        ("mnrl", "positives stand against their negatives and the documents of other queries", True),
        ("teacher-mse", "some candidates have a teacher's score", True),
    )  # fmt: skip
    for name, reason, applies in preferences:
        if applies and name in losses and not obstacle(losses[name], facts):
            return losses[name], reason
    reasons = "; ".join(f"{loss.name}: {obstacle(loss, facts)}" for loss in losses.values())
    if not facts.labelled and not facts.scored:
        reasons = "there are neither labels nor a teacher's scores"
    raise InputError(f"no loss fits the data: {reasons}; give labels, or let a teacher score")


def has_margins(examples: ExampleSet) -> bool:
    """Whether a teacher gave margins instead of scores."""
    return any(issue.code == "margins" for issue in examples.issues)


def facts_of(examples: ExampleSet) -> DataFacts:
    """What decides which losses fit a set."""
    return DataFacts.of(tuple(examples.queries), has_margins(examples))
