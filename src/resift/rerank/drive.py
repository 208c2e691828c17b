"""The local driver: answers what stages ask, for many rankings side by side, within a budget."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from time import perf_counter as clock

from resift.machine import held, trim
from resift.protocols import UNLIMITED, Ask, Budget, Flow, LoadsModels, Scorer, Stage
from resift.types import UNREACHED, Flag, Judgement, Pair, Ranking, Scores

_READ = 1 << 20  # characters of a text that scorers read at most (score.pairs.READ)
_BATCH = 6000  # characters of query and document: about what an engine takes as one batch
_ACTIVATIONS, _BYTES = 64 << 20, 512  # memory while a block is scored: for a batch, and for each character beside
_PASSING = 16 << 20  # what a batch needs besides activations that the engine keeps from one to the next


def drive(stage: Stage, rankings: Sequence[Ranking], budget: Budget = UNLIMITED) -> list[Ranking]:
    """Run a stage over rankings: one comes back per ranking, in order.

    What many rankings ask of one scorer at the same time is scored in one call. Under a deadline pairs are scored in
    blocks, those that each ranking named first before the others, until the time is up: at most one batch later (a
    document over the window is one batch). Under a memory limit a block is a batch, or more where there is plenty, and
    scoring ends when there is no room for the next. A whole list is one block. What was not reached is sent to the
    stage as judgements without a value. The time in which a stage loads a model does not count.
    """
    if budget.deadline is not None and isinstance(stage, LoadsModels):
        began = clock()
        for ranking in rankings:
            stage.load_for(ranking)
        budget = replace(budget, deadline=budget.deadline + clock() - began)
    flows = [RunningStage(stage.order(ranking)) for ranking in rankings]
    while waiting := [flow for flow in flows if flow.ask is not None]:
        for group in _groups(waiting):
            _answer(group, budget)
    return [flow.ranking for flow in flows if flow.ranking is not None]


@dataclass(slots=True)
class RunningStage:
    """One ranking on its way through a stage: what it asks now, or what came out."""

    generator: Flow
    ask: Ask | None = None
    ranking: Ranking | None = None

    def __post_init__(self) -> None:
        self.send(None)

    def send(self, scores: Scores | None) -> None:
        """Go on with the answer to what was asked, to the next ask or the end; None begins."""
        try:
            self.ask = next(self.generator) if scores is None else self.generator.send(scores)
        except StopIteration as end:
            self.ask, self.ranking = None, end.value


def _groups(flows: Sequence[RunningStage]) -> Iterator[list[RunningStage]]:
    """Flows whose asks share calls: those of one scorer, and each whole list alone."""
    together: dict[int, list[RunningStage]] = {}
    for flow in flows:
        if flow.ask is None or flow.ask.whole:
            yield [flow]
        else:
            together.setdefault(id(flow.ask.scorer), []).append(flow)
    yield from together.values()


def _answer(flows: Sequence[RunningStage], budget: Budget) -> None:
    """Score what flows ask of one scorer, as far as the budget allows, and send each its share."""
    asks = [flow.ask for flow in flows if flow.ask is not None]
    scorer, whole = asks[0].scorer, asks[0].whole
    order = sorted((i, j) for j, ask in enumerate(asks) for i in range(len(ask.pairs)))
    began = clock()
    judgements, tokens = _judgements(scorer, [asks[j].pairs[i] for i, j in order], whole, budget)
    ms, reached = (clock() - began) * 1e3, max(1, sum(not j.flags & UNREACHED for j in judgements))
    answers: list[list[Judgement]] = [[] for _ in asks]
    for (_, j), judgement in zip(order, judgements, strict=True):
        answers[j].append(judgement)
    for flow, answer in zip(flows, answers, strict=True):
        share = sum(not j.flags & UNREACHED for j in answer) / reached
        flow.send(Scores(tuple(answer), scorer.info.kind, scorer.info.name, round(tokens * share), ms * share))


def _judgements(scorer: Scorer, pairs: Sequence[Pair], whole: bool, budget: Budget) -> tuple[list[Judgement], int]:
    """One judgement per pair, and the tokens that were read; block after block until something runs out."""
    sizes = [_characters(pair) for pair in pairs]
    judgements: list[Judgement] = []
    tokens = at = done = 0
    began, held_before = clock(), held() if budget.memory is not None else 0
    while at < len(pairs):
        room, flag = _room(budget, clock() - began, done, sizes[at], held_before)
        if flag is not None:
            judgements += [Judgement(None, flags=frozenset({flag}))] * (len(pairs) - at)
            break
        end = len(pairs) if whole else _end(sizes, at, room)
        scores = scorer.score(pairs[at:end])
        judgements += scores.judgements
        tokens += scores.tokens
        at, done = end, done + sum(sizes[at:end])
    return judgements, tokens


def _characters(pair: Pair) -> int:
    query, document = pair[0], pair[1].document
    return len(query.text) + len(document.title) + len(document.text)


def _end(sizes: Sequence[int], at: int, room: float) -> int:
    """Where a block that begins at `at` ends: it holds one pair, or as many as fit into so many characters."""
    end, size = at + 1, sizes[at]
    while end < len(sizes) and size + sizes[end] <= room:
        size += sizes[end]
        end += 1
    return end


def _room(budget: Budget, seconds: float, done: int, first: int, held_before: int) -> tuple[float, Flag | None]:
    """How many characters the next block may have, after `done` in so many seconds; or the flag of what ran out.

    A block is a batch, or more where half of the time that is left allows for more at the speed so far. So there are
    few calls while there is much time, and no large block just before the end. `first` is the size of the block's first
    pair, `held_before` what the process held before the first block.
    """
    room = math.inf
    if budget.deadline is not None:
        left = budget.deadline - clock()
        if left <= 0:
            return 0, Flag.DEADLINE
        room = max(_BATCH, done / max(seconds, 1e-9) * left / 2)
    if budget.memory is not None:
        fits = _fitting(budget.memory, done, first, held_before)
        if not fits:
            return 0, Flag.MEMORY
        room = min(room, fits)
    return room, None


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
