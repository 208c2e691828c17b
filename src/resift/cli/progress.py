"""A count on stderr for what takes over a second; nothing without a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

_PATIENCE = 1.0  # seconds before anything is shown
_PAUSE = 0.1  # seconds between two looks at the same count


@contextmanager
def counter() -> Iterator[Callable[[str, int, float], None]]:
    """Give a function that shows what is counted, how many there are so far, how many a second, and the time left.

    It takes the time left from the share done; a new name of what is counted begins anew.
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
        counted, began, shown = "", first, 0.0

        def count(what: str, n: int, share: float) -> None:
            nonlocal counted, began, shown
            now = time.monotonic()
            if what != counted:
                counted, began = what, now
            elif now - shown < _PAUSE:
                return
            seconds, shown = now - began, now
            rate = f"{n / max(seconds, 1e-3):.0f}/s"
            if share > 0:
                rate += f", {share:.0%}, about {_duration(seconds * (1 - share) / share)} left"
            bar.update(task, description=what, completed=n, visible=now - first > _PATIENCE, rate=rate)

        yield count


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def counted(items: Iterable[T], what: str) -> Iterator[T]:
    """Pass items through, showing how many there were so far."""
    with counter() as count:
        for n, item in enumerate(items, 1):
            count(what, n, 0.0)
            yield item
