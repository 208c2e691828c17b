"""The server's driver: answers what stages ask through the token queue, side by side with other requests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from resift.protocols import Ask, Scorer, Stage
from resift.rerank.drive import RunningStage
from resift.serve.runtime import jobs
from resift.serve.runtime.metrics import Metrics
from resift.serve.runtime.token_queue import TokenQueue, Work, tokens_of
from resift.serve.runtime.workers import Compute, Workers
from resift.types import Flag, Judgement, Pair, Ranking, Scores


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """What one request may spend.

    Attributes:
        until: its deadline on the monotonic clock.
        truncate_to: tokens of each document that are read; None: all, in windows.
        may_shrink: under overload fewer pairs may be scored instead of a refusal.

    """

    until: float | None = None
    truncate_to: int | None = None
    may_shrink: bool = False


UNLIMITED_REQUEST = RequestLimits()


class QueueDriver:
    """Runs stages whose asks wait in the one queue of the server, and are computed by its workers.

    Args:
        queue: bounded in tokens.
        workers: compute what is in it.
        lanes: what the workers compute, by name; a scorer that is asked for the first time gets lanes of its own.

    """

    def __init__(self, queue: TokenQueue, workers: Workers, lanes: dict[str, Compute], metrics: Metrics) -> None:
        self._queue, self._workers, self._lanes, self._metrics = queue, workers, lanes, metrics
        self._names: dict[tuple[int, bool], str] = {}
        self._scorers: list[Scorer] = []  # alive as long as their ids are in use

    def open_lane(self, name: str, scorer: Scorer, whole: bool = False) -> str:
        """The lane in which a scorer judges pairs, or whole lists; where there is none, one is opened under a name."""
        key = (id(scorer), whole)
        if key not in self._names:
            lane, n = name, 2
            while lane in self._lanes:
                lane, n = f"{name} {n}", n + 1
            self._lanes[lane] = jobs.score_lists(scorer) if whole else jobs.score_pairs(scorer)
            self._names[key] = lane
            self._scorers.append(scorer)
        return self._names[key]

    async def drive(self, stage: Stage, ranking: Ranking, limits: RequestLimits, model: str) -> Ranking:
        """Run a stage over one ranking; what time or room did not allow is sent to it as judgements without a value.

        `model` is the name that metrics count under.

        Raises:
            Overloaded: there is no room in the queue.
            InputError: the pairs can't be scored, through no fault of the model.
            ModelFailed: every pair that was computed failed.

        """
        running = await asyncio.to_thread(RunningStage, stage.order(ranking))  # what comes first may tokenise
        while running.ask is not None:
            running.send(await self.answer(running.ask, limits, model))
        assert running.ranking is not None
        return running.ranking

    async def answer(self, ask: Ask, limits: RequestLimits, model: str) -> Scores:
        """Scores of what is asked, as far as time and room allow; raises as `drive` does."""
        began, info = time.perf_counter(), ask.scorer.info
        if ask.whole:
            judgements = await self._whole(ask, limits)
        else:
            lane = self.open_lane(f"score {info.name}", ask.scorer)
            items = [jobs.PairJob(pair, limits.truncate_to) for pair in ask.pairs]
            costs = [cost_of(pair, limits.truncate_to) for pair in ask.pairs]
            judgements = list(map(jobs.judgement_of, await self.outcomes(lane, items, costs, limits)))
        self._metrics.scored(model, (j.tokens for j in judgements))
        ms, tokens = (time.perf_counter() - began) * 1e3, sum(j.tokens for j in judgements)
        return Scores(tuple(judgements), info.kind, info.name, tokens, ms)

    async def _whole(self, ask: Ask, limits: RequestLimits) -> Sequence[Judgement]:
        """Judgements of a list that must be seen in one call."""
        lane = self.open_lane(f"list {ask.scorer.info.name}", ask.scorer, whole=True)
        cost = sum(cost_of(pair, None) for pair in ask.pairs)
        (outcome,) = await self.outcomes(lane, [ask.pairs], [cost], limits)
        return outcome if isinstance(outcome, tuple) else [jobs.judgement_of(outcome)] * len(ask.pairs)

    async def outcomes(
        self, lane: str, items: Sequence[Any], costs: Sequence[int], limits: RequestLimits = UNLIMITED_REQUEST
    ) -> list[Any]:
        """Queue items and wait for what comes of them until the time is up; a flag stands for each that is left.

        Raises as `drive` does.
        """
        if not items:
            return []
        fitting = max(1, self._queue.fitting(costs)) if limits.may_shrink else len(items)
        work = Work(lane, items[:fitting], costs[:fitting], limits.until)
        self._workers.submit(work)
        try:
            left = None if limits.until is None else max(0.0, limits.until - time.monotonic())
            async with asyncio.timeout(left):
                await work.finished.wait()
        except TimeoutError:
            pass  # what is done by now is the answer
        finally:
            self._queue.drop(work)
        done = [Flag.DEADLINE if o is None else o for o in work.outcomes]
        jobs.raise_if_all_failed(done)
        return done + [Flag.OVERLOAD] * (len(items) - fitting)


def cost_of(pair: Pair, truncate_to: int | None) -> int:
    """About how many tokens a pair has."""
    query, document = pair[0], pair[1].document
    length = tokens_of(document.text) + (tokens_of(document.title) if document.title else 0)
    return tokens_of(query.text) + (length if truncate_to is None else min(length, truncate_to))
