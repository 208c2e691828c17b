"""What is tuned at each level: the weights of the blend, then BM25 and the fusion as well."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from resift.errors import InputError
from resift.pipeline import STAGES, Part, Pipeline
from resift.retrieve.fuse import fusion
from resift.worth.first_stage_grid import FirstStage

ALONE = math.inf  # the model's score without the first stage's opinion
USUAL_WEIGHT = 1.0  # where a pipeline without a blend gets one
_FINE = [0.125, 0.18, 0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6, 8.0]  # times the usual weight of the model
_COARSE = _FINE[::2]
_FINE_SHARES = [round(0.1 * i, 1) for i in range(11)]
_COARSE_SHARES = [0.0, 0.25, 0.5, 0.75, 1.0]
_K1, _B = (0.6, 1.2, 2.0), (0.3, 0.6, 0.9)
_FUSIONS, _RANK_CONSTANT = (0.35, 0.5, 0.65), 60.0  # weights of the vectors' ranks


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a blend sets beside the model's score.

    Attributes:
        dense: the weight of the vectors' scores, BM25's have the rest; None: as the fusion has it.

    """

    dense: float | None = None


@dataclass(frozen=True, slots=True)
class Space:
    """The options of a level: each first stage with each opinion and each weight.

    Options are counted with the weight running fastest, then the opinion, then the first stage. Neighbours among
    weights, and among the opinions behind the first, are smoothed together.
    """

    firsts: tuple[FirstStage, ...]
    opinions: tuple[Opinion, ...]
    weights: tuple[float, ...]

    @property
    def shape(self) -> tuple[int, int, int]:
        """How many first stages, opinions and weights there are."""
        return len(self.firsts), len(self.opinions), len(self.weights)

    def option(self, i: int) -> tuple[FirstStage, Opinion, float]:
        """The i-th option."""
        first, rest = divmod(i, len(self.opinions) * len(self.weights))
        opinion, weight = divmod(rest, len(self.weights))
        return self.firsts[first], self.opinions[opinion], self.weights[weight]


def check_tunable(pipeline: Pipeline) -> None:
    """Refuse a pipeline that can't be tuned.

    Raises:
        InputError: it has not exactly one model, more stages than a model and a blend, or vectors alone.

    """
    stages = [part.name for part in pipeline.stages]
    models = [part for part in pipeline.stages if part.name not in STAGES]
    if len(models) != 1 or models[0].others or stages not in ([models[0].name], [models[0].name, "blend"]):
        raise InputError(
            f"{pipeline} can't be tuned; name retrievers, one model and a blend, such as bm25 + dense >> MODEL@100 >> "
            "blend"
        )


def blend_space(pipeline: Pipeline, first: FirstStage, usual: float) -> Space:
    """Level 1: the weights of the blend.

    Args:
        pipeline: that is tuned.
        first: its first stage.
        usual: the weight that the model's contract gives its score.

    """
    return Space((first,), _opinions(pipeline, first, _FINE_SHARES), _weights(pipeline, usual, _FINE))


def whole_space(pipeline: Pipeline, first: FirstStage, usual: float) -> Space:
    """Level 2: BM25's k1 and b and the fusion's weight as well, all of them more coarsely."""
    firsts = [first]
    if not first.run and first.weight < 1:
        for k1, b in itertools.product(_K1, _B):
            firsts.append(replace(first, k1=k1, b=b))
            firsts += [FirstStage(k1, b, weight, _RANK_CONSTANT) for weight in _FUSIONS if first.weight]
    opinions = _opinions(pipeline, first, _COARSE_SHARES)
    return Space(tuple(dict.fromkeys(firsts)), opinions, _weights(pipeline, usual, _COARSE))


def default_option(pipeline: Pipeline, usual: float) -> tuple[Opinion, float]:
    """The opinion and weight that the pipeline has."""
    blend = _blend(pipeline)
    if blend is None:
        return Opinion(), ALONE
    weight, dense = blend.value("weight"), blend.value("dense")
    return Opinion(None if dense is None else float(dense)), usual if weight is None else float(weight)


def tuned_pipeline(
    pipeline: Pipeline, first: FirstStage, opinion: Opinion, weight: float, own_weight: float
) -> Pipeline:
    """The pipeline with the parameters of an option.

    Args:
        pipeline: that is tuned.
        first: the first stage of the option.
        opinion: its opinion.
        weight: of the model's score.
        own_weight: the weight of vectors that the embedder's contract has.

    """
    parameters: tuple[tuple[str, float], ...] = (("weight", weight),)
    parameters += () if opinion.dense is None else (("dense", opinion.dense),)
    model = next(part for part in pipeline.stages if part.name not in STAGES)
    blend = () if weight == ALONE else (Part("blend", None, parameters),)
    retrievers = first.parts(pipeline.embedder, own_weight)
    return replace(pipeline, retrievers=retrievers, stages=(model, *blend))


def is_even(first: FirstStage) -> bool:
    """Whether the fusion is one of equal weights, so that a blend takes the retrievers' scores and not the ranks."""
    return 0 < first.weight < 1 and fusion(first.weight, first.k).weights is None


def _blend(pipeline: Pipeline) -> Part | None:
    return next((part for part in pipeline.stages if part.name == "blend"), None)


def _opinions(pipeline: Pipeline, first: FirstStage, shares: Sequence[float]) -> tuple[Opinion, ...]:
    own = default_option(pipeline, USUAL_WEIGHT)[0]
    both = 0 < first.weight < 1
    return (own, *(Opinion(share) for share in shares)) if both else (own,)


def _weights(pipeline: Pipeline, usual: float, factors: Sequence[float]) -> tuple[float, ...]:
    weight = default_option(pipeline, usual)[1]
    centre = (usual or USUAL_WEIGHT) if weight in (ALONE, 0) else weight
    return tuple(float(f"{centre * factor:.3g}") for factor in factors)
