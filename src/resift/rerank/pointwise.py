"""Orders candidates by the score of each query-document pair."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from time import perf_counter as clock

from resift.memory import held, trim
from resift.protocols import UNLIMITED, Budget, Scorer
from resift.types import Candidate, Document, Query, Ranking, Score, Scores, Signal, Step

_READ = 1 << 20  # characters of a text that scorers read at most (score.pairs.READ)
_BATCH = 6000  # characters of query and document: about what an engine takes as one batch
_ACTIVATIONS, _BYTES = 64 << 20, 512  # memory while a block is scored: for a batch, and for each character beside
_PASSING = 16 << 20  # what a batch needs besides activations that the engine keeps from one to the next

Said = tuple[Scores, int]  # a scorer's answer, and which of its pairs


class Pointwise:
    """Scores the first `budget.depth` candidates of each ranking; pairs of all rankings share one call.

    Under a deadline the pairs are scored in blocks, best first-stage ranks first, until the time is up: at most one
    batch later (a document over the window is one batch). Under a memory limit a block is a batch, or more where there
    is plenty, and scoring ends when there is no room for the next. The trace's reason then says how many were scored.
    Behind the scored candidates come those that were not reached in their present order, then those that can't be
    scored. When every score is the same the order is kept, and the trace says why.
    """

    def __init__(self, scorer: Scorer) -> None:
        self.scorer = scorer

    def run(self, rankings: Sequence[Ranking], budget: Budget = UNLIMITED) -> list[Ranking]:
        """Rerank each ranking."""
        began = clock()
        heads = [r.candidates[: budget.depth] for r in rankings]
        said: list[list[Said]] = [[] for _ in rankings]
        waiting = sorted((i, j) for j, head in enumerate(heads) for i in range(len(head)))
        sizes = [_characters(rankings[j].query, heads[j][i].document) for i, j in waiting]
        tokens, at, done, short = 0, 0, 0, ""
        held_before = held() if budget.memory is not None else 0
        while at < len(waiting):
            room, short = _room(budget, clock() - began, done, sizes[at], held_before)
            if short:
                break
            end = _end(sizes, at, room)
            scores = self.scorer.score([(rankings[j].query, heads[j][i]) for i, j in waiting[at:end]])
            tokens += scores.tokens
            for k, (_, j) in enumerate(waiting[at:end]):
                said[j].append((scores, k))
            at, done = end, done + sum(sizes[at:end])
        ms = (clock() - began) * 1e3
        total = max(1, sum(map(len, said)))
        return [
            self._ranked(ranking, head, own, Step(self.scorer.name, ms * len(own) / total, len(own), tokens), short)
            for ranking, head, own in zip(rankings, heads, said, strict=True)
        ]

    def _ranked(
        self, ranking: Ranking, head: Sequence[Candidate], said: Sequence[Said], step: Step, short: str
    ) -> Ranking:
        """One ranking; `short` names what there was too little of, if not all were scored."""
        stage = 1 + max((c.score.stage for c in ranking if c.score), default=0)
        own = [_scored(c, *answer, stage) for c, answer in zip(head, said, strict=False)]
        values = [c.score.value for c in own if c.score]
        truncated = sum("truncated" in c.flags for c in own)
        step = replace(step, scored=len(values), total=len(ranking), truncated=truncated)
        late = f"{short}: {self.scorer.name} scored {len(own)}/{len(head)}" if len(own) < len(head) else ""
        if not values or (len(values) > 1 and min(values) == max(values)):
            reason = late or ("constant scores" if values else "nothing to score")
            earlier = f"{ranking.trace.reason}; " if late and ranking.trace.reason else ""
            flagged = [
                replace(c, flags=o.flags) for c, o in zip(head, own, strict=False)
            ]  # why, where there is no score
            kept = (*flagged, *ranking.candidates[len(flagged) :])
            return Ranking(ranking.query, kept, ranking.trace.then(step, reason=earlier + reason))
        trace = ranking.trace.then(step, reranked=True, reason=late)
        scored = Ranking.from_scores(ranking.query, (c for c in own if c.score))
        unscored = [c for c in own if not c.score]
        rest = ranking.candidates[len(own) :]
        return Ranking(ranking.query, (*_signed(scored, self.scorer.name), *rest, *unscored), trace)


def _characters(query: Query, document: Document) -> int:
    return len(query.text) + len(document.title) + len(document.text)


def _end(sizes: Sequence[int], at: int, room: float) -> int:
    """Where a block that begins at `at` ends: it holds one pair, or as many as fit into so many characters."""
    end, size = at + 1, sizes[at]
    while end < len(sizes) and size + sizes[end] <= room:
        size += sizes[end]
        end += 1
    return end


def _room(budget: Budget, seconds: float, done: int, first: int, held_before: int) -> tuple[float, str]:
    """How many characters the next block may have, after `done` in so many seconds; or what there is too little of.

    A batch, or more where half of the time that is left allows for more at the speed so far: few calls while there is
    much time, and no large block just before the end. `first` is the size of the block's first pair, `held_before`
    what the process held before the first block.
    """
    room = math.inf
    if budget.deadline is not None:
        left = budget.deadline - clock()
        if left <= 0:
            return 0, "deadline"
        room = max(_BATCH, done / max(seconds, 1e-9) * left / 2)
    if budget.memory is not None:
        fits = _fitting(budget.memory, done, first, held_before)
        if not fits:
            return 0, "memory"
        room = min(room, fits)
    return room, ""


def _fitting(memory: int, done: int, first: int, held_before: int) -> float:
    """How many characters can be scored at once while the process holds at most so many bytes; 0: not the first pair.

    The first batch may be the one for which the weights are read, so it comes alone. Some engines keep the memory of
    a batch's activations for the next one: by what the process has grown since `held_before`, the next one needs less.
    For more than a batch an engine may hold the weights a second time, so there must be room for all that is held now.
    """
    beside = _BYTES * max(0, min(first, _READ) - _BATCH)
    if memory - held() < _ACTIVATIONS + beside:
        trim()
    left = memory - held()
    activations = max(_PASSING, _ACTIVATIONS - max(0, held() - held_before)) if done else _ACTIVATIONS
    if left < activations + beside:
        return 0
    return max(_BATCH, (left - held() - _ACTIVATIONS) // _BYTES) if done else _BATCH


def _scored(candidate: Candidate, scores: Scores, i: int, stage: int) -> Candidate:
    value = scores.values[i]
    score = None if value is None else Score(value, scores.kind, scores.source, stage)
    span = scores.spans[i] or candidate.span
    return replace(candidate, score=score, span=span, flags=candidate.flags | scores.flags[i])


def _signed(ranking: Ranking, source: str) -> list[Candidate]:
    """The candidates with this stage's signal appended."""
    return [replace(c, signals=(*c.signals, Signal(source, c.rank, c.score))) for c in ranking]
