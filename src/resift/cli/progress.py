"""One line on stderr for what takes over a second: the step, a count, and where it is known the share of the whole."""

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
_PAUSE = 0.1  # seconds between two looks at the same count
_RECENT = 30.0  # seconds whose pace tells the time left: what a run before had done goes by in no time

# Which part of an index run each step is, by the time that it takes without token vectors (with them, nearly all goes
# into passages, and the rest goes by sooner than was told). A graph's engine does not say how far it is.
_PARTS = {"passages": (0.0, 0.7), "passages' words": (0.7, 0.97), "words listed": (0.97, 1.0)}

Count = Callable[[str, int, float], None]


@contextmanager
def counter() -> Iterator[Count]:
    """Give a function that shows the step's name, how many there are so far, how many a second, and the time left.

    The share and the time left are those of the whole run, which never go back; the time is taken from what the last
    half minute did.
    """
    if not sys.stderr.isatty():
        yield lambda what, n, share: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.completed} {task.description}"), TextColumn("{task.fields[rate]}"))
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None, visible=False, rate="")
        timer = threading.Timer(_PATIENCE, lambda: bar.update(task, visible=True))  # also amid a step without a count
        timer.start()
        step, shown, pace = "", 0.0, Pace()

        def count(what: str, n: int, share: float) -> None:
            nonlocal step, shown
            now = time.monotonic()
            if what != step:
                step = what
                pace.new_step()
            elif now - shown < _PAUSE:
                return
            shown = now
            bar.update(task, description=what, completed=n, rate=pace.at(now, n, whole(what, share)))

        try:
            yield count
        finally:
            timer.cancel()


def whole(what: str, share: float) -> float:
    """The share of the whole run that is done when so much of a step is; 0 where it is not known."""
    begin, end = _PARTS.get(what, (0.0, 0.0))
    return begin + share * (end - begin)


class Pace:
    """Items a second of the step at hand, and the time left of the whole, by what the last half minute did."""

    def __init__(self) -> None:
        self._counts, self._shares = deque[tuple[float, int]](), deque[tuple[float, float]]()
        self._most = 0.0

    def new_step(self) -> None:
        """Count from the start."""
        self._counts.clear()

    def at(self, now: float, n: int, share: float) -> str:
        """The pace in words, when n items of the step and this share of the whole (0..1; 0: unknown) are done."""
        self._most = max(self._most, share)
        self._counts.append((now, n))
        self._shares.append((now, self._most))
        for entries in (self._counts, self._shares):
            while now - entries[0][0] > _RECENT:
                entries.popleft()
        then, before = self._counts[0]
        parts = [f"{(n - before) / max(now - then, 1e-3):.0f}/s"] if n > before else []
        since, had = self._shares[0]
        if share > had:
            left = (now - since) * (1 - self._most) / (self._most - had)
            parts.append(f"{self._most:.0%}, about {_duration(left)} left")
        return ", ".join(parts)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def counted(items: Iterable[T], what: str, count: Count | None = None) -> Iterator[T]:
    """Pass items through, showing how many there were so far, on the line of `count` or on one of their own."""
    if count is None:
        with counter() as alone:
            yield from counted(items, what, alone)
        return
    for n, item in enumerate(items, 1):
        count(what, n, 0.0)
        yield item
