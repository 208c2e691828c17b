"""Fusion: the rankings of one query by several retrievers become one ranking, with the signals of all of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from resift.errors import InputError
from resift.measures import ndcg
from resift.protocols import Retriever
from resift.types import RECIPROCAL_RANKS, Candidate, Query, Ranking, Score, ScoreKind, Signal, Trace


class Fusion(Protocol):
    """Scores one query's candidates from several rankings of them."""

    name: str

    def combine(self, rankings: Sequence[Ranking]) -> Mapping[str, float]:
        """Return a score per document id; higher is better."""


class ReciprocalRank:
    """Sum over retrievers of weight / (k + rank), 0 for a retriever that did not find the document.

    Cormack, Clarke & Büttcher, Reciprocal Rank Fusion (SIGIR 2009), whose k of 60 is the default. Without weights each
    is 1. A retriever of little weight needs a small k, so that its first document, at weight / (k + 1), can come before
    documents far down in the other rankings.

    Raises:
        ValueError: a weight is negative or not finite, or all are 0; in `combine`, there are not as many as retrievers.

    """

    def __init__(self, k: float = 60.0, weights: Sequence[float] | None = None) -> None:
        self.k, self.weights = k, None if weights is None else _checked(weights)
        self.name = RECIPROCAL_RANKS if weights is None else f"weighted_{RECIPROCAL_RANKS}"

    def combine(self, rankings: Sequence[Ranking]) -> Mapping[str, float]:
        """Return the fused score of each document id."""
        weights = (1.0,) * len(rankings) if self.weights is None else _fitting(self.weights, rankings)
        scores: dict[str, float] = {}
        for ranking, weight in zip(rankings, weights, strict=True):
            for c in ranking:
                scores[c.document.id] = scores.get(c.document.id, 0.0) + weight / (self.k + c.rank)
        return scores

    @classmethod
    def fit(
        cls,
        rankings: Sequence[Sequence[Ranking]],
        relevant: Sequence[Mapping[str, int]],
        steps: int = 10,
        k: float = 60.0,
    ) -> ReciprocalRank:
        """Learn weights on judged queries, as `WeightedSum.fit` does; `k` is not learned.

        Raises:
            InputError: there are no queries, or not one set of judgements for each.

        """
        return cls(k, _best_weights(lambda weights: cls(k, weights), rankings, relevant, steps))


# k of reciprocal ranks where vectors are weighed against BM25. With the usual k of 60 and a weight of 0.2, no document
# that BM25 missed would come near the top.
_WEIGHTED_K = 10.0


def fusion(weight: float, rank_constant: float | None = None) -> ReciprocalRank:
    """How BM25 and vectors are fused.

    Args:
        weight: of the vectors' ranks (0..1); BM25's have the rest. 0 and 0.5: both the same.
        rank_constant: k of reciprocal ranks; None: 60 without a weight, and 10 with one.

    """
    weights = None if weight in (0, 0.5) else [1 - weight, weight]
    default = _WEIGHTED_K if weight else ReciprocalRank().k
    return ReciprocalRank(default if rank_constant is None else rank_constant, weights)


class WeightedSum:
    """Sum over retrievers of weight x score, where the scores of each retriever are scaled to 0..1 per query.

    A document that a retriever did not find has its lowest value, 0. Where all scores of a retriever are equal, each
    counts as 1.
    """

    name = "weighted"

    def __init__(self, weights: Sequence[float]) -> None:
        self.weights = _checked(weights)

    def combine(self, rankings: Sequence[Ranking]) -> Mapping[str, float]:
        """Return the fused score of each document id."""
        scores: dict[str, float] = {}
        for ranking, weight in zip(rankings, _fitting(self.weights, rankings), strict=True):
            values = [c.score.value for c in ranking if c.score]
            low, spread = min(values, default=0.0), max(values, default=0.0) - min(values, default=0.0)
            for c in ranking:
                share = 0.0 if c.score is None else (c.score.value - low) / spread if spread else 1.0
                scores[c.document.id] = scores.get(c.document.id, 0.0) + weight * share
        return scores

    @classmethod
    def fit(
        cls, rankings: Sequence[Sequence[Ranking]], relevant: Sequence[Mapping[str, int]], steps: int = 10
    ) -> WeightedSum:
        """Learn weights on judged queries: the grid point of highest mean nDCG@10, ties to the most even weights.

        Args:
            rankings: per query one ranking of each retriever, always in the same order.
            relevant: per query the grade of each judged document id.
            steps: the grid's resolution: weights are multiples of 1/steps that sum to 1.

        Raises:
            InputError: there are no queries, or not one set of judgements for each.

        """
        return cls(_best_weights(cls, rankings, relevant, steps))


def _checked(weights: Sequence[float]) -> tuple[float, ...]:
    if not weights or any(not 0 <= w < math.inf for w in weights) or not any(weights):
        raise ValueError(f"weights are finite, 0 or more, and not all 0; not {list(weights)}")
    return tuple(weights)


def _fitting(weights: tuple[float, ...], rankings: Sequence[Ranking]) -> tuple[float, ...]:
    if len(rankings) != len(weights):
        raise ValueError(f"{len(weights)} weights don't fit {len(rankings)} retrievers")
    return weights


def _best_weights(
    fusion: Callable[[Sequence[float]], Fusion],
    rankings: Sequence[Sequence[Ranking]],
    relevant: Sequence[Mapping[str, int]],
    steps: int,
) -> tuple[float, ...]:
    """The weights of highest mean nDCG@10 on a grid."""
    if not rankings or len(rankings) != len(relevant):
        raise InputError("learning fusion weights needs one set of judgements per query, and at least one query")

    def quality(weights: Sequence[float]) -> tuple[float, float]:
        scores = [fusion(weights).combine(of_query) for of_query in rankings]
        orders = [sorted(of_query, key=lambda document: -of_query[document]) for of_query in scores]
        mean = math.fsum(ndcg(order, grades, 10) for order, grades in zip(orders, relevant, strict=True)) / len(orders)
        return round(mean, 9), -max(weights)

    return max(_simplex(len(rankings[0]), steps), key=quality)


def _simplex(n: int, steps: int) -> list[tuple[float, ...]]:
    """All n-tuples of multiples of 1/steps that sum to 1."""

    def parts(left: int, n: int) -> list[tuple[int, ...]]:
        return [(left,)] if n == 1 else [(i, *rest) for i in range(left + 1) for rest in parts(left - i, n - 1)]

    return [tuple(p / steps for p in point) for point in parts(steps, n)]


class Hybrid:
    """Several retrievers as one: each gives its k best, the fusion orders their union and keeps k."""

    def __init__(self, retrievers: Sequence[Retriever], fusion: Fusion | None = None) -> None:
        self.retrievers = tuple(retrievers)
        self.fusion = fusion or ReciprocalRank()

    def only(self, places: Sequence[int]) -> Retriever:
        """Some of the retrievers, by their positions from 0: one alone, or several fused as before."""
        if list(places) == list(range(len(self.retrievers))):
            return self
        (place,) = places
        return self.retrievers[place]

    def fused_by(self, fusion: Fusion) -> Hybrid:
        """The same retrievers with another fusion."""
        return Hybrid(self.retrievers, fusion)

    def retrieve(self, queries: Sequence[Query], k: int) -> list[Ranking]:
        """The k best of the union per query; a candidate's first signal is the fusion's, then each retriever's."""
        by_retriever = [r.retrieve(queries, k) for r in self.retrievers]
        return [
            fused(self.fusion, query, [rankings[i] for rankings in by_retriever], k) for i, query in enumerate(queries)
        ]


def fused(fusion: Fusion, query: Query, rankings: Sequence[Ranking], k: int) -> Ranking:
    """The k best of the union of one query's rankings; ties by the rank in the first ranking that has a document."""
    scores = fusion.combine(rankings)
    candidates: dict[str, Candidate] = {}
    for ranking in rankings:
        for c in ranking:
            first = candidates.get(c.document.id)
            candidates[c.document.id] = replace(first, signals=first.signals + c.signals) if first else c
    with_scores = [
        replace(c, score=Score(scores[i], ScoreKind.FUSED, fusion.name), signals=c.signals)
        for i, c in candidates.items()
    ]
    steps = tuple(step for ranking in rankings for step in ranking.trace.steps)
    trace = Trace(steps, notes=tuple(note for ranking in rankings for note in ranking.trace.notes))
    best = Ranking.from_scores(query, with_scores, trace).top(k)
    with_signals = (replace(c, signals=(Signal(fusion.name, c.rank, c.score), *c.signals)) for c in best)
    return replace(best, candidates=tuple(with_signals))
