"""Candidates and rankings of a retriever, all made alike: a score and, as the first signal, the same score and rank."""

from __future__ import annotations

from collections.abc import Iterable

from resift.types import Candidate, Document, Query, Ranking, Score, ScoreKind, Signal, Step, Trace


def candidates_of(pairs: Iterable[tuple[Document, float]], kind: ScoreKind, source: str) -> tuple[Candidate, ...]:
    """Candidates for documents and their scores, best first."""
    candidates = []
    for rank, (document, value) in enumerate(pairs, 1):
        score = Score(value, kind, source)
        candidates.append(Candidate(document, score, (Signal(source, rank, score),)))
    return tuple(candidates)


def ranking_of(query: Query, candidates: tuple[Candidate, ...], name: str, ms: float, total: int) -> Ranking:
    """The ranking of a retriever `name` that took `ms` milliseconds to look through `total` documents."""
    return Ranking(query, candidates, Trace((Step(name, ms, scored=len(candidates), total=total),)))
