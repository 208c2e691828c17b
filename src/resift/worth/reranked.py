"""What a model makes of a first stage's candidates, at every depth and with every weight of a blend."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from resift.evaluate.result_cache import RecordedScorer
from resift.evaluate.statistics import Floats
from resift.rerank.blend import first_opinion
from resift.rerank.guard import misfit
from resift.types import Candidate, Ranking

WEIGHT_GRID = (0.5, 1.0, 2.0, 4.0)  # beside the weight that the model brings
ALONE = math.inf  # the model's score without the first stage's


@dataclass(frozen=True, slots=True)
class Option:
    """A way to rerank: the model, how many candidates it scores, and the weight of its score in the blend."""

    model: str
    depth: int
    weight: float

    def __str__(self) -> str:
        blend = "" if self.weight == ALONE else f" >> blend(weight={self.weight:g})"
        return f"{self.model}@{self.depth}{blend}"


@dataclass(frozen=True, eq=False)
class Judged:
    """One query's n candidates in the order of the first stage, with a model's scores and what they took.

    Attributes:
        candidates: n of them.
        values: (n,), NaN where there is no score.
        ms: (n,), milliseconds of each.
        misfit: why the model was not asked; empty where it was.

    """

    candidates: tuple[Candidate, ...]
    values: Floats
    ms: Floats
    misfit: str = ""


def judged(scorer: RecordedScorer, ranking: Ranking, depth: int) -> Judged:
    """Have the first candidates of a ranking scored, unless the model does not read their language."""
    head = ranking.candidates[:depth]
    values, ms = np.full(len(head), np.nan), np.zeros(len(head))
    reason = misfit(scorer, ranking)
    if not reason and head:
        costly = scorer.costly([(ranking.query, candidate) for candidate in head])
        values = np.array([math.nan if c.judgement.value is None else c.judgement.value for c in costly])
        ms = np.array([c.ms for c in costly])
    return Judged(head, values, ms, reason)


def orders(result: Judged, depth: int, weights: Sequence[float], total: int) -> npt.NDArray[np.int64]:
    """(W, total), positions of a first stage's `total` candidates as `rerank.pointwise` and `rerank.blend` order them.

    Args:
        result: scores of the first candidates.
        depth: how many of them are scored.
        weights: W weights of the model's score; `ALONE` leaves the first stage's opinion out.
        total: how many candidates the first stage found.

    """
    values = result.values[:depth]
    places = np.arange(total)
    scored = np.flatnonzero(~np.isnan(values))
    if not len(scored) or (len(scored) > 1 and np.ptp(values[scored]) == 0):
        return np.tile(places, (len(weights), 1))
    unscored = np.flatnonzero(np.isnan(values))
    first = np.array(first_opinion([result.candidates[i] for i in scored]))
    z = standardised(values[scored])
    rows = []
    for weight in weights:
        merged = values[scored] if weight == ALONE else first + weight * z
        rows.append(np.concatenate([scored[np.argsort(-merged, kind="stable")], places[len(values) :], unscored]))
    return np.stack(rows)


def standardised(values: Floats) -> Floats:
    """(x - mean) / standard deviation of the values (N,), and 0 where all are equal, as a blend has it."""
    deviation = float(values.std())
    shifted: Floats = values - values.mean()
    return shifted / deviation if deviation > 1e-12 else np.zeros(len(values))
