"""Orders candidates by the score of each query-document pair."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from resift.protocols import UNLIMITED, Budget, Scorer
from resift.types import Candidate, Ranking, Score, Scores, Signal, Step


class Pointwise:
    """Scores the first `budget.depth` candidates of each ranking; pairs of all rankings share one call.

    Behind the scored candidates come those below the depth in their present order, then those that can't be scored.
    When every score is the same the order is kept, and the trace says why.
    """

    def __init__(self, scorer: Scorer) -> None:
        self.scorer = scorer

    def run(self, rankings: Sequence[Ranking], budget: Budget = UNLIMITED) -> list[Ranking]:
        """Rerank each ranking."""
        began = time.perf_counter()
        heads = [r.candidates[: budget.depth] for r in rankings]
        scores = self.scorer.score([(r.query, c) for r, head in zip(rankings, heads, strict=True) for c in head])
        ms = (time.perf_counter() - began) * 1e3
        result, at = [], 0
        for ranking, head in zip(rankings, heads, strict=True):
            share = ms * len(head) / max(1, len(scores))
            result.append(self._ranked(ranking, head, scores, at, share))
            at += len(head)
        return result

    def _ranked(self, ranking: Ranking, head: Sequence[Candidate], scores: Scores, at: int, ms: float) -> Ranking:
        stage = 1 + max((c.score.stage for c in ranking if c.score), default=0)
        own = [self._scored(c, scores, at + i, stage) for i, c in enumerate(head)]
        values = [c.score.value for c in own if c.score]
        truncated = sum("truncated" in c.flags for c in own)
        step = Step(self.scorer.name, ms, len(own), scores.tokens, len(values), len(ranking), truncated)
        if not values:
            return replace(ranking, trace=ranking.trace.then(step, reason="nothing to score"))
        if len(values) > 1 and min(values) == max(values):
            return replace(ranking, trace=ranking.trace.then(step, reason="constant scores"))
        trace = ranking.trace.then(step, reranked=True, reason="")
        scored = Ranking.from_scores(ranking.query, (c for c in own if c.score))
        unscored = [c for c in own if not c.score]
        rest = ranking.candidates[len(head) :]
        return Ranking(ranking.query, (*_signed(scored, self.scorer.name), *rest, *unscored), trace)

    def _scored(self, candidate: Candidate, scores: Scores, i: int, stage: int) -> Candidate:
        value = scores.values[i]
        score = None if value is None else Score(value, scores.kind, scores.source, stage)
        span = scores.spans[i] or candidate.span
        return replace(candidate, score=score, span=span, flags=candidate.flags | scores.flags[i])


def _signed(ranking: Ranking, source: str) -> list[Candidate]:
    """The candidates with this stage's signal appended."""
    return [replace(c, signals=(*c.signals, Signal(source, c.rank, c.score))) for c in ranking]
