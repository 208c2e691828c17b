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

    Args:
        source: the model whose scores are blended.
        weight: of its scores.
        indexed: the weight where that model's own vectors were among the retrievers, so that their cosine is in the
            first opinion already; None: the same.
        dense: the weight of the vectors' own scores in the first stage's opinion, whatever fused the retrievers; BM25's
            have the rest. Where only one of the two found candidates, its scores are the opinion; where neither gave
            scores, the ranks are. None: as above.

    Raises:
        ValueError: a weight that is negative or not finite, or a `dense` that is not from 0 to 1.

    """

    name = "blend"

    def __init__(self, source: str, weight: float, indexed: float | None = None, dense: float | None = None) -> None:
        self.source, self.weight, self.indexed = source, weight, weight if indexed is None else indexed
        self.dense = dense
        if bad := [w for w in (self.weight, self.indexed) if not 0 <= w < math.inf]:
            raise ValueError(f"a blend weight is 0 or more and finite; not {bad[0]}")
        if dense is not None and not 0 <= dense <= 1:
            raise ValueError(f"the vectors' weight in a blend is from 0 to 1; not {dense}")

    def order(self, ranking: Ranking) -> Flow:
        """Blend a ranking that was reranked; another comes back as it is."""
        yield from ()  # nothing is asked
        return self._blended(ranking) if ranking.trace.reranked else ranking

    def _blended(self, ranking: Ranking) -> Ranking:
        began = time.perf_counter()
        last = max((c.score.stage for c in ranking if c.score), default=0)
        scored = [(c, c.score) for c in ranking if c.score and c.score.stage == last and c.score.source == self.source]
        firsts = first_opinion([c for c, _ in scored], self.dense)
        values = standardised([s.value for _, s in scored])
        searched = {name.partition(":")[2] for c, _ in scored for name in scores_of_retrievers(c)}  # "dense:MODEL"
        weight = self.indexed if self.source in searched else self.weight
        blended = [
            replace(c, score=Score(f + weight * v, ScoreKind.FUSED, self.name, last + 1))
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


def scores_of_retrievers(candidate: Candidate) -> dict[str, float]:
    """What the first stage gave a candidate, by retriever, and by fusion where there was one."""
    return {s.source: s.score.value for s in candidate.signals if s.score and not s.score.stage}


def first_opinion(candidates: Sequence[Candidate], dense: float | None = None) -> list[float]:
    """What the first stage thought of each candidate, standardised: see `Blend`."""
    if dense is not None:
        return _weighed(candidates, dense)
    said: list[dict[str, float]] = []
    if all(c.signals and c.signals[0].source == RECIPROCAL_RANKS for c in candidates):
        said = [scores_of_retrievers(c) for c in candidates]
    retrievers = sorted({name for own in said for name in own} - {RECIPROCAL_RANKS})
    if not retrievers:
        return standardised([-math.log(10 + c.first_rank) for c in candidates])
    columns = []
    for name in retrievers:
        lowest = min(own[name] for own in said if name in own)
        columns.append(standardised([own.get(name, lowest) for own in said]))
    return [math.fsum(row) / len(row) for row in zip(*columns, strict=True)]


def _weighed(candidates: Sequence[Candidate], dense: float) -> list[float]:
    """(1 - dense) x z(BM25's score) + dense x z(cosine); of one of the two alone, or the ranks where there is none."""
    weights = {ScoreKind.BM25: 1 - dense, ScoreKind.COSINE: dense}
    scores = [
        {s.score.kind: s.score.value for s in c.signals if s.score and not s.score.stage and s.score.kind in weights}
        for c in candidates
    ]
    kinds = {kind for of_candidate in scores for kind in of_candidate}
    if not kinds:
        return standardised([-math.log(10 + c.first_rank) for c in candidates])
    columns = []
    for kind in sorted(kinds):
        lowest = min(of_candidate[kind] for of_candidate in scores if kind in of_candidate)
        weight = weights[kind] if len(kinds) > 1 else 1.0
        columns.append([weight * z for z in standardised([of_candidate.get(kind, lowest) for of_candidate in scores])])
    return [math.fsum(row) for row in zip(*columns, strict=True)]


def standardised(values: Sequence[float]) -> list[float]:
    """(x - mean) / standard deviation; all 0 where there is no spread."""
    if not values:
        return []
    mean = math.fsum(values) / len(values)
    deviation = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / len(values))
    return [(v - mean) / deviation if deviation > 1e-12 else 0.0 for v in values]
