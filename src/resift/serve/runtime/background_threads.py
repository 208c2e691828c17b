"""Runs functions on daemon threads, for the event loop."""

from __future__ import annotations

import _thread
import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def run_on_thread(function: Callable[[], T], when_unclaimed: Callable[[], None] = lambda: None) -> asyncio.Future[T]:
    """Run a function on a new daemon thread: one that hangs holds up neither other threads nor the process's end.

    Args:
        function: must not raise; an error is one of its results.
        when_unclaimed: called on the loop at the function's end where nobody waits any more for its result.

    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def deliver(result: T) -> None:
        if future.done():
            when_unclaimed()
        else:
            future.set_result(result)

    def run() -> None:
        result = function()
        if not loop.is_closed():
            loop.call_soon_threadsafe(deliver, result)

    _thread.start_new_thread(run, ())  # Thread.start would wait until it runs, and all requests with it
    return future
