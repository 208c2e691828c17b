"""Computes slices on threads, off the event loop: what fails is narrowed down, what hangs is left behind."""

from __future__ import annotations

import _thread
import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from resift.errors import ModelFailed
from resift.serve.runtime.token_queue import Slice, TokenQueue, Work

Compute = Callable[[Sequence[Any]], Sequence[Any]]  # items of one lane to as many results
_CALLS = 64  # of a lane's function for one slice, however many of its items are bad
_SLICE_SECONDS = 0.4  # what a slice takes at most: short, so that turns are short; long, so that batches are full
_SLICE_TOKENS = 1024  # and at least, where there are so many and a deadline allows it
_BEFORE_DEADLINE = 4  # slices at least that should end before a deadline, for its answer has only what has ended


class Watch(Protocol):
    """Hears what the workers do."""

    def slice_done(self, slice_: Slice, seconds: float, errors: Sequence[Exception], hung: bool) -> None:
        """A slice came to its end: with what its items failed of, and whether it hung and was left behind."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How many slices the model computes at once, and after how many seconds one counts as hanging."""

    streams: int
    stall_s: float


class Workers:
    """Keeps the model's streams busy while the queue has work, and one slice more, to be tokenised or put together.

    Each slice has a thread of its own, so that none can be dead.
    """

    def __init__(self, queue: TokenQueue, lanes: Mapping[str, Compute], limits: Limits, watch: Watch) -> None:
        self._queue, self._lanes, self._limits, self._watch = queue, lanes, limits, watch
        self._running: set[asyncio.Task[Sequence[Any]]] = set()

    @property
    def busy(self) -> int:
        """Slices being computed."""
        return len(self._running)

    def submit(self, work: Work) -> None:
        """Queue a request and start on it.

        Raises:
            Overloaded: the queue is full.

        """
        self._queue.put(work)
        self._pump()

    async def idle(self) -> None:
        """Wait until all work is done."""
        while self._running:
            await asyncio.wait(self._running)

    def _pump(self) -> None:
        """Start slices while there are free streams and work; the clock of the drain runs while all are busy."""
        drain = self._queue.drain
        while len(self._running) <= self._limits.streams:
            slice_ = self._queue.take(self._budget())
            if slice_ is None:
                drain.pause()
                return
            task = asyncio.get_running_loop().create_task(self._run(slice_))
            self._running.add(task)
            task.add_done_callback(partial(self._ended, slice_))
        drain.begin()

    def _budget(self) -> int:
        """Tokens of the next slice, within bounds.

        A lone request comes whole, since the engine then has all cores for it; else a stream's share of what waits, so
        that all end together.
        """
        streams, lone = self._limits.streams, not self._running and len(self._queue) == 1
        sharing, rate = streams, self._queue.drain.rate / streams
        if lone:
            sharing, rate = 1, self._queue.drain.rate
        elif self._queue.tokens < streams * self._queue.quantum:
            sharing = max(1, streams - len(self._running))
        until = self._queue.until
        share = max(_SLICE_TOKENS, min(self._queue.tokens / sharing, rate * _SLICE_SECONDS))
        if until is not None:
            share = min(share, rate * max(0.0, until - time.monotonic()) / _BEFORE_DEADLINE)
        return int(share) + 1

    def _ended(self, slice_: Slice, task: asyncio.Task[Sequence[Any]]) -> None:
        """Tell what came out; the stream counts as free before that, for whoever asks again at once."""
        self._running.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        outcomes = task.result() if error is None else [error] * len(slice_.parts)
        for (work, position), outcome in zip(slice_.parts, outcomes, strict=True):
            work.settle(position, outcome)
        self._pump()
        if error is not None:
            raise error  # to the loop, which logs it

    async def _run(self, slice_: Slice) -> Sequence[Any]:
        began = time.perf_counter()
        compute = self._lanes[slice_.lane]
        hung = False
        try:
            outcomes = await asyncio.wait_for(_on_thread(compute, slice_.items), self._limits.stall_s)
        except TimeoutError:
            hung = True
            outcomes = [ModelFailed(f"the model did not answer within {self._limits.stall_s:g} s")] * len(slice_.parts)
        self._queue.drain.finished(slice_.tokens)
        errors = [o for o in outcomes if isinstance(o, Exception)]
        self._watch.slice_done(slice_, time.perf_counter() - began, errors, hung)
        return outcomes


def _on_thread(compute: Compute, items: Sequence[Any]) -> asyncio.Future[Sequence[Any]]:
    """Run on a new daemon thread: one that hangs holds up neither the others nor the end of the process."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Sequence[Any]] = loop.create_future()

    def deliver(outcomes: Sequence[Any]) -> None:
        if not answer.done():
            answer.set_result(outcomes)

    def work() -> None:
        outcomes = narrowed(compute, items)
        if not loop.is_closed():
            loop.call_soon_threadsafe(deliver, outcomes)

    _thread.start_new_thread(work, ())  # Thread.start would wait until it runs, and all requests with it
    return answer


def narrowed(compute: Compute, items: Sequence[Any]) -> list[Any]:
    """Results, with the exception in its place for each item that can't be computed even alone.

    A failing call is repeated with each half, down to one item; after _CALLS calls what is left fails together, so
    that a model that is broken altogether is not asked item by item.
    """
    outcomes: list[Any] = [None] * len(items)
    pending, calls = [(0, len(items))], 0
    while pending:
        start, end = pending.pop()
        calls += 1
        try:
            outcomes[start:end] = _checked(compute, items[start:end])
        except BaseException as error:  # noqa: BLE001 - nothing may end the thread unheard; told to each request, logged
            alone = end - start == 1
            if alone or calls + len(pending) + 2 > _CALLS:
                told = error if isinstance(error, Exception) else ModelFailed(f"the worker ended: {error!r}")
                outcomes[start:end] = [told] * (end - start)
            else:
                middle = (start + end) // 2
                pending += [(middle, end), (start, middle)]
    return outcomes


def _checked(compute: Compute, items: Sequence[Any]) -> Sequence[Any]:
    results = compute(items)
    if len(results) != len(items):
        raise ModelFailed(f"the model gave {len(results)} results for {len(items)} items")
    return results
