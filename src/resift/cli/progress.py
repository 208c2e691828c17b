"""Shows one line on stderr while a command takes over a second: step, count, and the share of the whole if known."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

_PATIENCE = 1.0  # seconds before anything is shown
_PAUSE = 0.1  # seconds between two updates of the same step
# Seconds whose pace gives the time left. What an earlier run had done takes no time, and says nothing of the rest.
_RECENT = 30.0

# The part of an index run that each step takes without token vectors. With them, nearly all time goes into passages,
# and the other steps end sooner than the line says. The engine of a graph reports no progress. An evaluation counts the
# queries of all its pipelines together.
_PARTS = {
    "passages": (0.0, 0.7), "passages' words": (0.7, 0.97), "words listed": (0.97, 1.0),
    "queries searched": (0.0, 1.0), "queries reranked": (0.0, 1.0),
    "queries compared by words": (0.0, 0.3), "passages compared by vectors": (0.3, 0.6), "queries mined": (0.6, 1.0),
    "settings of BM25 tried": (0.0, 0.05), "queries fused": (0.05, 0.1), "candidate lists reranked": (0.1, 1.0),
}  # fmt: skip

Count = Callable[[str, int, float], None]


@contextmanager
def counter() -> Iterator[Count]:
    """Give a function that shows the step's name, how many there are so far, how many a second, and the time left.

    Share and time left are those of the whole run. The share never falls; the time left follows from the pace of the
    last half minute.
    """
    if not sys.stderr.isatty():
        yield lambda step, n, share: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.completed} {task.description}"), TextColumn("{task.fields[rate]}"))
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None, visible=False, rate="")
        timer = threading.Timer(_PATIENCE, lambda: bar.update(task, visible=True))  # also amid a step without a count
        timer.start()
        present_step, last_update, pace = "", 0.0, Pace()

        def count(step: str, n: int, share: float) -> None:
            nonlocal present_step, last_update
            now = time.monotonic()
            if step != present_step:
                present_step = step
                pace.new_step()
            elif now - last_update < _PAUSE:
                return
            last_update = now
            bar.update(task, description=step, completed=n, rate=pace.at(now, n, share_of_run(step, share)))

        try:
            yield count
        finally:
            timer.cancel()


def share_of_run(step: str, share: float) -> float:
    """The share of the whole run that is done when this share of a step is; 0 where it is not known."""
    begin, end = _PARTS.get(step, (0.0, 0.0))
    return begin + share * (end - begin)


class Pace:
    """Items a second of the present step, and the time left of the run, from the last half minute."""

    def __init__(self) -> None:
        self._counts, self._shares = deque[tuple[float, int]](), deque[tuple[float, float]]()
        self._share = 0.0

    def new_step(self) -> None:
        """Count from the start."""
        self._counts.clear()

    def at(self, now: float, n: int, share: float) -> str:
        """The pace in words, when n items of the step and this share of the whole (0..1; 0: unknown) are done."""
        self._share = max(self._share, share)
        self._counts.append((now, n))
        self._shares.append((now, self._share))
        for entries in (self._counts, self._shares):
            while now - entries[0][0] > _RECENT:
                entries.popleft()
        count_time, first_count = self._counts[0]
        parts = [f"{(n - first_count) / max(now - count_time, 1e-3):.0f}/s"] if n > first_count else []
        share_time, first_share = self._shares[0]
        if share > first_share:
            seconds = (now - share_time) * (1 - self._share) / (self._share - first_share)
            parts.append(f"{self._share:.0%}, about {_duration(seconds)} left")
        return ", ".join(parts)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def counted(items: Iterable[T], step: str, count: Count | None = None) -> Iterator[T]:
    """Pass items through and show how many there were so far, on the line of `count` or on a new one."""
    if count is None:
        with counter() as alone:
            yield from counted(items, step, alone)
        return
    for n, item in enumerate(items, 1):
        count(step, n, 0.0)
        yield item
