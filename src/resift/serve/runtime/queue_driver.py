"""The server's driver: answers what stages ask through the token queue, side by side with other requests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

from resift.machine import cores
from resift.protocols import Ask, Scorer, Stage
from resift.serve.runtime import jobs
from resift.serve.runtime.metrics import Metrics
from resift.serve.runtime.stage_run import StageRun
from resift.serve.runtime.token_queue import Operation, QueuedRequest, TokenQueue, tokens_of
from resift.serve.runtime.workers import Workers
from resift.types import Flag, Pair, Ranking, Scores


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """What one request may spend.

    Attributes:
        deadline: on the monotonic clock; None: no deadline.
        truncate_to: tokens of each document that are read; None: all, in windows.
        may_shrink: under overload fewer pairs may be scored instead of a refusal.

    """

    deadline: float | None = None
    truncate_to: int | None = None
    may_shrink: bool = False

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the deadline, 0 after it; None without one."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())


UNLIMITED_REQUEST = RequestLimits()


class QueueDriver:
    """Runs stages whose asks wait in the one queue of the server, and are computed by its workers.

    Requests that ask the same scorer share slices. What the driver keeps for a scorer lives as long as a request that
    asks it, or as its owner keeps the Operation that `operation` gave: a stage may make a new scorer for each request.

    Args:
        queue: bounded in tokens.
        workers: compute what is in it.
        metrics: count pairs and their tokens.
        stall_s: seconds after which a stage's own code counts as hanging.

    """

    def __init__(self, queue: TokenQueue, workers: Workers, metrics: Metrics, stall_s: float) -> None:
        self._queue, self._workers, self._metrics, self._stall_s = queue, workers, metrics, stall_s
        # An Operation holds its scorer, so a scorer's id can't be another's while its entry is there.
        self._operations: WeakValueDictionary[tuple[int, bool], Operation] = WeakValueDictionary()
        self._threads = asyncio.Semaphore(cores() + 4)  # of stages' own code, which tokenises and sorts

    def operation(self, name: str, scorer: Scorer, whole: bool = False) -> Operation:
        """The operation by which a scorer judges pairs, or whole lists.

        Args:
            name: of the operation where this makes it: there must be few of them, since metrics have a row for each.
            scorer: who judges.
            whole: lists instead of pairs.

        """
        key = (id(scorer), whole)
        operation = self._operations.get(key)
        if operation is None:
            operation = Operation(name, jobs.score_lists(scorer) if whole else jobs.score_pairs(scorer))
            self._operations[key] = operation
        return operation

    async def drive(
        self, stage: Stage, ranking: Ranking, limits: RequestLimits, model: str, quick: bool = False
    ) -> Ranking:
        """Run a stage over one ranking; pairs that time or room did not allow are sent to it without a value.

        Only a stage's first ask can be refused: a request that the queue has let in once is answered.

        Args:
            stage: what puts the ranking in order.
            ranking: its candidates.
            limits: of the request.
            model: the served name, under which metrics count.
            quick: see `StageRun`.

        Raises:
            Overloaded: there is no room in the queue.
            InputError: the pairs can't be scored, through no fault of the model.
            ModelFailed: every pair that was computed failed, or the stage itself.

        """
        run, admitted = StageRun(stage, ranking, self._stall_s, self._threads, quick), False
        try:
            step = await run.advance()
            while isinstance(step, Ask):
                scores = await self.answer(step, limits, model, admitted)
                admitted = admitted or bool(step.pairs)
                step = await run.advance(scores)
        finally:
            run.close()
        return step

    async def answer(self, ask: Ask, limits: RequestLimits, model: str, admitted: bool = False) -> Scores:
        """Judge the pairs of an ask, as far as time and room allow; raises as `drive` does."""
        began, info = time.perf_counter(), ask.scorer.info
        operation = self.operation(f"{'list' if ask.whole else 'score'} {model}", ask.scorer, ask.whole)
        items = [jobs.PairJob(pair, limits.truncate_to) for pair in ask.pairs]
        costs = [cost_of(pair, limits.truncate_to) for pair in ask.pairs]
        if ask.whole and items:
            (outcome,) = await self.compute(operation, [items], [sum(costs)], limits, admitted)
            outcomes = outcome if isinstance(outcome, list) else [outcome] * len(items)
        else:
            outcomes = await self.compute(operation, items, costs, limits, admitted)
        judgements = tuple(map(jobs.judgement_of, outcomes))
        self._metrics.scored(model, (judgement.tokens for judgement in judgements))
        ms, tokens = (time.perf_counter() - began) * 1e3, sum(judgement.tokens for judgement in judgements)
        return Scores(judgements, info.kind, info.name, tokens, ms)

    async def compute(
        self,
        operation: Operation,
        items: Sequence[Any],
        costs: Sequence[int],
        limits: RequestLimits = UNLIMITED_REQUEST,
        admitted: bool = False,
    ) -> list[Any]:
        """Queue items and wait for their outcomes until the time is up; a flag stands for each that is left.

        Raises as `drive` does.
        """
        if not items:
            return []
        if limits.seconds_left == 0:
            return [Flag.DEADLINE] * len(items)
        fitting = max(1, self._queue.fitting(costs)) if limits.may_shrink else len(items)
        request = QueuedRequest(operation, items[:fitting], costs[:fitting], limits.deadline)
        self._workers.submit(request, admitted)
        try:
            async with asyncio.timeout(limits.seconds_left):
                await request.finished.wait()
        except TimeoutError:
            pass  # what is done by now is the answer
        finally:
            self._queue.drop(request)
        outcomes = [Flag.DEADLINE if outcome is None else outcome for outcome in request.outcomes]
        jobs.raise_if_all_failed(outcomes)
        return outcomes + [Flag.OVERLOAD] * (len(items) - fitting)


def cost_of(pair: Pair, truncate_to: int | None) -> int:
    """About how many tokens a pair has."""
    query, document = pair[0], pair[1].document
    length = tokens_of(document.text) + (tokens_of(document.title) if document.title else 0)
    return tokens_of(query.text) + (length if truncate_to is None else min(length, truncate_to))
