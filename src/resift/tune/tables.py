"""nDCG@10 of every option on every query: each pair was scored once, and the rest is arithmetic on the numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from resift.evaluate.statistics import Floats
from resift.tune.space import ALONE, Opinion, Space, is_even
from resift.worth.first_stage_grid import FirstStage
from resift.worth.reranked import standardised

PLACES = 10
_TAIL, _UNSCORED = -1e6, -2e6  # below every blended score: what is behind the depth, and what has no score
_DISCOUNTS = 1 / np.log2(np.arange(2, PLACES + 2))


@dataclass(frozen=True, eq=False)
class Candidates:
    """The n candidates of one query by one first stage, in its order; NaN where there is no score.

    Attributes:
        lexical, cosine: (n,), scores of BM25 and of the vectors.
        model: (n,), of the model; NaN also behind the depth.
        grades: (n,), 0 where nobody judged.
        depth: how many the model was asked about.
        ideal: the discounted gain of the best order of all judged documents.

    """

    lexical: Floats
    cosine: Floats
    model: Floats
    grades: Floats
    depth: int
    ideal: float


CandidatesOf = Callable[[FirstStage, int], Candidates]


def table(space: Space, candidates_of: CandidatesOf, queries: int, on_query: Callable[[], None]) -> Floats:
    """(O, Q), nDCG@10 of the options of a space.

    Args:
        space: the options.
        candidates_of: gives the candidates of a first stage and a query.
        queries: how many there are.
        on_query: is called after each query of each first stage.

    """
    firsts, opinions, weights = space.shape
    values = np.zeros((firsts, opinions * weights, queries))
    for f, first in enumerate(space.firsts):
        for q in range(queries):
            values[f, :, q] = ndcgs(candidates_of(first, q), space.opinions, space.weights, is_even(first))
            on_query()
    return values.reshape(-1, queries)


def ndcgs(candidates: Candidates, opinions: Sequence[Opinion], weights: Sequence[float], even: bool) -> Floats:
    """(D x W,), nDCG@10 of one query for each opinion and weight; orders are those of `rerank.blend`.

    Args:
        candidates: of the query.
        opinions: D of them.
        weights: W of them; `ALONE` leaves the opinion out.
        even: whether the fusion's weights are equal.

    """
    count = len(opinions) * len(weights)
    if not candidates.ideal:
        return np.zeros(count)
    scored = np.flatnonzero(~np.isnan(candidates.model))
    if not len(scored) or (len(scored) > 1 and np.ptp(candidates.model[scored]) == 0):
        return np.full(count, _gain(candidates.grades[None, :PLACES])[0] / candidates.ideal)
    places = np.arange(len(candidates.model))
    values = np.where(places < candidates.depth, _UNSCORED, _TAIL) - places
    values = np.repeat(values[None, None, :], len(opinions), 0).repeat(len(weights), 1)
    firsts = np.stack([_opinion(candidates, scored, opinion, even) for opinion in opinions])
    z = standardised(candidates.model[scored])
    for w, weight in enumerate(weights):
        values[:, w, scored] = z[None, :] if weight == ALONE else firsts + weight * z[None, :]
    flat = values.reshape(count, -1)
    best = np.argsort(-flat, axis=1, kind="stable")[:, :PLACES]
    ratios: Floats = _gain(candidates.grades[best]) / candidates.ideal
    return ratios


def ideal_gain(grades: Sequence[int]) -> float:
    """The discounted gain of these grades in the best order, within ten places; see `measures.ndcg`."""
    best = np.array(sorted((max(grade, 0) for grade in grades), reverse=True)[:PLACES], np.float64)
    return float(_gain(best[None, :])[0]) if len(best) else 0.0


def _gain(grades: Floats) -> Floats:
    """(N,), discounted gains of grades (N, at most 10) by rank."""
    gains: Floats = grades @ _DISCOUNTS[: grades.shape[1]]
    return gains


def _opinion(candidates: Candidates, scored: npt.NDArray[np.int64], opinion: Opinion, even: bool) -> Floats:
    """What the first stage thought of the scored candidates, as `rerank.blend.first_opinion` has it."""
    dense = 0.5 if opinion.dense is None and even else opinion.dense
    columns = {share: column[scored] for share, column in ((0, candidates.lexical), (1, candidates.cosine))}
    present = {share: column for share, column in columns.items() if not np.isnan(column).all()}
    if dense is None or not present:
        return standardised(-np.log(11.0 + scored))
    total: Floats = np.zeros(len(scored))
    for share, column in present.items():
        weight = (dense if share else 1 - dense) if len(present) > 1 else 1.0
        total = total + weight * standardised(np.where(np.isnan(column), np.nanmin(column), column))
    return total
