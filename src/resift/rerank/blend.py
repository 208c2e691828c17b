"""Combines a reranker's score with what the first stage thought: the two err in different places."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace

from resift.protocols import Flow
from resift.types import RECIPROCAL_RANKS, Candidate, Ranking, Score, ScoreKind, Signal, Step


class Blend:
    """value = first + weight x z(score), over the candidates of one query that `source` scored.

    first = z(-log(10 + first rank)): the logarithm makes ranks 1 and 2 differ more than 51 and 52, as do the chances of
    relevance; 10 keeps the top from dominating. Where reciprocal ranks of one weight fused several retrievers, their
    own scores say more than the fused rank: first = the mean over retrievers of z(its score); a candidate that one of
    them missed has the lowest score that it gave. z(x) = (x - mean) / standard deviation, and 0 where all x are equal.
    Candidates that `source` did not score stay behind, in order.
    """

    name = "blend"

    def __init__(self, source: str, weight: float) -> None:
        if not 0 <= weight < math.inf:
            raise ValueError(f"a blend weight is 0 or more and finite; not {weight}")
        self.source, self.weight = source, weight

    def order(self, ranking: Ranking) -> Flow:
        """Blend a ranking that was reranked; another comes back as it is."""
        yield from ()  # nothing is asked
        return self._blended(ranking) if ranking.trace.reranked else ranking

    def _blended(self, ranking: Ranking) -> Ranking:
        began = time.perf_counter()
        last = max((c.score.stage for c in ranking if c.score), default=0)
        scored = [(c, c.score) for c in ranking if c.score and c.score.stage == last and c.score.source == self.source]
        firsts = first_opinion([c for c, _ in scored])
        values = standardised([s.value for _, s in scored])
        blended = [
            replace(c, score=Score(f + self.weight * v, ScoreKind.FUSED, self.name, last + 1))
            for (c, _), f, v in zip(scored, firsts, values, strict=True)
        ]
        head = [
            replace(c, signals=(*c.signals, Signal(self.name, c.rank, c.score)))
            for c in Ranking.from_scores(ranking.query, blended)
        ]
        kept = {id(c) for c, _ in scored}
        rest = [c for c in ranking if id(c) not in kept]
        step = Step(self.name, (time.perf_counter() - began) * 1e3, scored=len(head), total=len(ranking))
        return Ranking(ranking.query, (*head, *rest), ranking.trace.then(step))


def first_opinion(candidates: Sequence[Candidate]) -> list[float]:
    """What the first stage thought of each candidate, standardised: see `Blend`."""
    said: list[dict[str, float]] = []
    if all(c.signals and c.signals[0].source == RECIPROCAL_RANKS for c in candidates):
        said = [{s.source: s.score.value for s in c.signals[1:] if s.score and not s.score.stage} for c in candidates]
    retrievers = sorted({name for own in said for name in own})
    if not retrievers:
        return standardised([-math.log(10 + c.first_rank) for c in candidates])
    columns = []
    for name in retrievers:
        lowest = min(own[name] for own in said if name in own)
        columns.append(standardised([own.get(name, lowest) for own in said]))
    return [math.fsum(row) / len(row) for row in zip(*columns, strict=True)]


def standardised(values: Sequence[float]) -> list[float]:
    """(x - mean) / standard deviation; all 0 where there is no spread."""
    if not values:
        return []
    mean = math.fsum(values) / len(values)
    deviation = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / len(values))
    return [(v - mean) / deviation if deviation > 1e-12 else 0.0 for v in values]
