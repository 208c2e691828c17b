"""Features of what retrievers and models said: scores, ranks, gaps, agreement."""

from __future__ import annotations

import math

import numpy as np

from resift.features.feature import Definition, Parameters
from resift.features.matrix import Column
from resift.features.query_view import QueryView


def _score(view: QueryView, parameters: Parameters) -> Column:
    return view.scores(str(parameters["source"]))


def _rank(view: QueryView, parameters: Parameters) -> Column:
    return view.ranks(str(parameters["source"]))


def _z(view: QueryView, parameters: Parameters) -> Column:
    """(score - mean) / standard deviation of the candidates that have one; 0 where all are equal."""
    scores = view.scores(str(parameters["source"]))
    there = scores[~np.isnan(scores)]
    if not len(there):
        return scores
    spread = float(there.std())
    if spread <= 1e-12 * max(1.0, float(np.abs(there).max())):
        return np.where(np.isnan(scores), math.nan, 0.0)
    return np.asarray((scores - there.mean()) / spread, np.float64)


_SOURCE = {"source": str}

SIGNALS = (
    Definition("score", 1, _score, "The score that a retriever or model gave, as it gave it", _SOURCE, 1),
    Definition("rank", 1, _rank, "The rank that it gave, from 1", _SOURCE, -1, within_query=True),
    Definition("z", 1, _z, "Its score, standardised over the query's candidates", _SOURCE, 1, within_query=True),
)
