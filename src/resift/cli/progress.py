"""A count on stderr for what takes over a second; nothing without a terminal."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

_PATIENCE = 1.0  # seconds before anything is shown
_PAUSE = 0.1  # seconds between two looks at the same count
_RECENT = 30.0  # seconds whose pace tells the time left: what a run before had done goes by in no time


@contextmanager
def counter() -> Iterator[Callable[[str, int, float], None]]:
    """Give a function that shows what is counted, how many there are so far, how many a second, and the time left.

    It takes the time left from what the last half minute did; a new name of what is counted begins anew.
    """
    if not sys.stderr.isatty():
        yield lambda what, n, share: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.completed} {task.description}"), TextColumn("{task.fields[rate]}"))
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None, visible=False, rate="")
        first = time.monotonic()
        counted, shown, pace = "", 0.0, Pace()

        def count(what: str, n: int, share: float) -> None:
            nonlocal counted, shown, pace
            now = time.monotonic()
            if what != counted:
                counted, pace = what, Pace()
            elif now - shown < _PAUSE:
                return
            shown = now
            rate = pace.at(now, n, share)
            bar.update(task, description=what, completed=n, visible=now - first > _PATIENCE, rate=rate)

        yield count


class Pace:
    """Items a second and the time left, by what the last half minute did."""

    def __init__(self) -> None:
        self._seen = deque[tuple[float, int, float]]()

    def at(self, now: float, n: int, share: float) -> str:
        """The pace in words, when n items and this share (0..1; 0: unknown) are done."""
        self._seen.append((now, n, share))
        while now - self._seen[0][0] > _RECENT:
            self._seen.popleft()
        then, before, had = self._seen[0]
        said = f"{(n - before) / max(now - then, 1e-3):.0f}/s"
        if share > had:
            said += f", {share:.0%}, about {_duration((now - then) * (1 - share) / (share - had))} left"
        return said


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def counted(items: Iterable[T], what: str) -> Iterator[T]:
    """Pass items through, showing how many there were so far."""
    with counter() as count:
        for n, item in enumerate(items, 1):
            count(what, n, 0.0)
            yield item
