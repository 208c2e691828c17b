"""Features of what retrievers and models said: scores, ranks, gaps, agreement."""

from __future__ import annotations

import math

import numpy as np

from resift.features.feature import Definition, Expected, Parameters
from resift.features.matrix import Column
from resift.features.query_view import QueryView

_K = 60.0  # of reciprocal rank fusion


def _scores(view: QueryView, parameters: Parameters) -> Column:
    return view.scores(str(parameters["source"]), str(parameters["kind"]))


def _score(view: QueryView, parameters: Parameters) -> Column:
    return _scores(view, parameters)


def _rank(view: QueryView, parameters: Parameters) -> Column:
    return view.ranks(str(parameters["source"]))


def _gap_to_best(view: QueryView, parameters: Parameters) -> Column:
    scores = _scores(view, parameters)
    return scores if np.isnan(scores).all() else np.asarray(np.nanmax(scores) - scores, np.float64)


def _gap_to_next(view: QueryView, parameters: Parameters) -> Column:
    """The score minus the next lower one of the query; candidates of one score have one gap; missing for the lowest."""
    scores = _scores(view, parameters)
    levels = np.unique(scores[~np.isnan(scores)])
    gaps = view.constant(math.nan)
    above = np.flatnonzero(scores > (levels[0] if len(levels) else math.nan))
    gaps[above] = scores[above] - levels[np.searchsorted(levels, scores[above]) - 1]
    return gaps


def _z(view: QueryView, parameters: Parameters) -> Column:
    """(score - mean) / standard deviation of the candidates that have one; 0 where all are equal."""
    scores = _scores(view, parameters)
    there = np.sort(scores[~np.isnan(scores)])  # sorted: the order of candidates does not change the rounding
    if not len(there):
        return scores
    spread = float(there.std())
    if spread <= 1e-12 * max(1.0, float(np.abs(there).max())):
        return np.where(np.isnan(scores), math.nan, 0.0)
    return np.asarray((scores - there.mean()) / spread, np.float64)


def _ranks(view: QueryView, parameters: Parameters) -> Column:
    """(S, n) The ranks of several sources."""
    sources = parameters["sources"]
    assert isinstance(sources, tuple)
    return np.array([view.ranks(source) for source in sources]).reshape(len(sources), len(view))


def _lists(view: QueryView, parameters: Parameters) -> Column:
    there = ~np.isnan(_ranks(view, parameters))
    return there.sum(axis=0).astype(np.float64) if there.any() else view.constant(math.nan)


def _best_rank(view: QueryView, parameters: Parameters) -> Column:
    best = np.where(np.isnan(ranks := _ranks(view, parameters)), math.inf, ranks).min(axis=0, initial=math.inf)
    return np.where(np.isinf(best), math.nan, best)


def _reciprocal_ranks(view: QueryView, parameters: Parameters) -> Column:
    ranks = _ranks(view, parameters)
    sums = np.nansum(1 / (_K + ranks), axis=0)
    return np.where(np.isnan(ranks).all(axis=0), math.nan, sums)


def _rank_spread(view: QueryView, parameters: Parameters) -> Column:
    ranks = _ranks(view, parameters)
    several = (~np.isnan(ranks)).sum(axis=0) > 1
    spread = view.constant(math.nan)
    spread[several] = np.nanmax(ranks[:, several], axis=0) - np.nanmin(ranks[:, several], axis=0)
    return spread


def _overlap(view: QueryView, parameters: Parameters) -> Column:
    ranks, depth = _ranks(view, parameters), int(str(parameters["depth"]))
    lengths = (~np.isnan(ranks)).sum(axis=1)
    most = min(depth, int(lengths.min(initial=depth)))
    if len(ranks) < 2 or not most:
        return view.constant(math.nan)
    with_all = (ranks <= depth).all(axis=0)  # a comparison with NaN is False
    return view.constant(np.count_nonzero(with_all) / most)


_SOURCE: dict[str, Expected] = {"source": str}
_SCORED: dict[str, Expected] = {**_SOURCE, "kind": ""}
_SOURCES = {"sources": tuple}

SIGNALS = (
    Definition("score", 1, _score, "Score that a retriever or model gave, unchanged", _SCORED, 1),
    Definition("rank", 1, _rank, "Rank that it gave, from 1", _SOURCE, -1, within_query=True),
    Definition("gap_to_best", 1, _gap_to_best, "Its best score minus this one", _SCORED, -1, within_query=True),
    Definition(
        "gap_to_next", 1, _gap_to_next, "Score minus the next lower one of the query; missing for the lowest", _SCORED,
        within_query=True,
    ),
    Definition(
        "z", 1, _z, "Its score, standardised over the query's candidates; 0 where all are equal", _SCORED, 1,
        within_query=True,
    ),
    Definition("lists", 1, _lists, "How many of the sources have the candidate", _SOURCES, 1, within_query=True),
    Definition("best_rank", 1, _best_rank, "Its best rank by any of the sources", _SOURCES, -1, within_query=True),
    Definition(
        "reciprocal_ranks", 1, _reciprocal_ranks, "Sum of 1 / (60 + rank) over the sources that have it",
        _SOURCES, 1, within_query=True,
    ),
    Definition(
        "rank_spread", 1, _rank_spread, "Its worst minus its best rank, where two sources or more have it", _SOURCES,
        within_query=True,
    ),
    Definition(
        "overlap", 1, _overlap, "Share of the sources' first `depth` candidates that all have; one value per query",
        {**_SOURCES, "depth": 10}, within_query=True,
    ),
)  # fmt: skip
