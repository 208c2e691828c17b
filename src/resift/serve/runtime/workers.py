"""Computes slices on threads, off the event loop; finds the items that fail, and leaves behind slices that hang."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from resift.errors import ModelFailed
from resift.serve.runtime.background_threads import run_on_thread
from resift.serve.runtime.token_queue import Compute, QueuedRequest, QueueSlice, TokenQueue

_MOST_CALLS = 64  # of an operation's function for one slice, however many of its items are bad
_SLICE_SECONDS = 0.4  # what a slice takes at most: short, so that turns are short; long, so that batches are full
_SLICE_TOKENS = 1024  # and at least, where there are so many and a deadline allows it
_SLICES_BEFORE_DEADLINE = 4  # at least; an answer holds only slices that ended before its deadline


class SliceObserver(Protocol):
    """Hears what the workers do."""

    def slice_done(self, slice_: QueueSlice, seconds: float, errors: Sequence[Exception], hung: bool) -> None:
        """A slice has ended; `errors` are those of its items, `hung` says that it was left behind."""


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """How many slices the model computes at once, and after how many seconds one counts as hanging."""

    streams: int
    stall_s: float


class Workers:
    """Keeps the model's streams busy while the queue has work, and one slice more, to be tokenised or put together.

    Each slice has a thread of its own, so that none can be dead.
    """

    def __init__(self, queue: TokenQueue, limits: WorkerLimits, observer: SliceObserver) -> None:
        self._queue, self._limits, self._observer = queue, limits, observer
        self._running: set[asyncio.Task[Sequence[Any]]] = set()

    @property
    def busy(self) -> int:
        """How many slices are being computed."""
        return len(self._running)

    def submit(self, request: QueuedRequest, admitted: bool = False) -> None:
        """Queue a request and start on it.

        Args:
            request: what to compute.
            admitted: it goes on with work that the queue let in before, and is not refused.

        Raises:
            Overloaded: the queue is full.

        """
        self._queue.put(request, admitted)
        self._start_slices()

    async def idle(self) -> None:
        """Wait until all work is done."""
        while self._running:
            await asyncio.wait(self._running)

    def _start_slices(self) -> None:
        """Start slices while there are free streams and work; the throughput's clock runs while all are busy."""
        throughput = self._queue.throughput
        while len(self._running) <= self._limits.streams:
            slice_ = self._queue.take(self._slice_budget())
            if slice_ is None:
                throughput.pause()
                return
            task = asyncio.get_running_loop().create_task(self._run(slice_))
            self._running.add(task)
            task.add_done_callback(partial(self._settle, slice_))
        throughput.start()

    def _slice_budget(self) -> int:
        """Tokens of the next slice, within bounds.

        A lone request comes whole, since the engine then has all cores for it; else a stream's share of what waits, so
        that all end together.
        """
        streams, lone = self._limits.streams, not self._running and len(self._queue) == 1
        sharing, rate = streams, self._queue.throughput.rate / streams
        if lone:
            sharing, rate = 1, self._queue.throughput.rate
        elif self._queue.tokens < streams * self._queue.quantum:
            sharing = max(1, streams - len(self._running))
        share = max(_SLICE_TOKENS, min(self._queue.tokens / sharing, rate * _SLICE_SECONDS))
        if (deadline := self._queue.deadline) is not None:
            share = min(share, rate * max(0.0, deadline - time.monotonic()) / _SLICES_BEFORE_DEADLINE)
        return int(share) + 1

    def _settle(self, slice_: QueueSlice, task: asyncio.Task[Sequence[Any]]) -> None:
        """Hand out a slice's outcomes; its stream counts as free before that, for whoever asks again at once."""
        self._running.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        outcomes = task.result() if error is None else [error] * len(slice_.parts)
        for (request, position), outcome in zip(slice_.parts, outcomes, strict=True):
            request.settle(position, outcome)
        self._start_slices()
        if error is not None:
            raise error  # to the loop, which logs it

    async def _run(self, slice_: QueueSlice) -> Sequence[Any]:
        began = time.perf_counter()
        compute, items, hung = slice_.operation.compute, slice_.items, False
        try:
            thread = run_on_thread(lambda: isolate_failures(compute, items))
            outcomes: Sequence[Any] = await asyncio.wait_for(thread, self._limits.stall_s)
        except TimeoutError:
            hung = True
            outcomes = [ModelFailed(f"the model did not answer within {self._limits.stall_s:g} s")] * len(slice_.parts)
        self._queue.throughput.add(slice_.tokens)
        errors = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
        self._observer.slice_done(slice_, time.perf_counter() - began, errors, hung)
        return outcomes


def isolate_failures(compute: Compute, items: Sequence[Any]) -> list[Any]:
    """Results of items; for each item that can't be computed even alone, the exception stands in its place.

    A failing call is repeated with each half, down to one item; after _MOST_CALLS calls all that is left fails, so that
    a model that is broken altogether is not asked item by item.
    """
    outcomes: list[Any] = [None] * len(items)
    pending, calls = [(0, len(items))], 0
    while pending:
        start, end = pending.pop()
        calls += 1
        try:
            outcomes[start:end] = _results(compute, items[start:end])
        except BaseException as error:  # noqa: BLE001 - an error must reach its request, and may not end the thread
            alone = end - start == 1
            if alone or calls + len(pending) + 2 > _MOST_CALLS:
                cause = error if isinstance(error, Exception) else ModelFailed(f"the worker ended: {error!r}")
                outcomes[start:end] = [cause] * (end - start)
            else:
                middle = (start + end) // 2
                pending += [(middle, end), (start, middle)]
    return outcomes


def _results(compute: Compute, items: Sequence[Any]) -> Sequence[Any]:
    results = compute(items)
    if len(results) != len(items):
        raise ModelFailed(f"the model gave {len(results)} results for {len(items)} items")
    return results
