"""A count on stderr for what takes over a second; nothing without a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

_PATIENCE = 1.0  # seconds before anything is shown


@contextmanager
def counter(what: str) -> Iterator[Callable[[int, float], None]]:
    """Give a function that shows how many there are so far, how many a second, and the time left by the share done."""
    if not sys.stderr.isatty():
        yield lambda n, share: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.completed} {task.description}"), TextColumn("{task.fields[rate]}"))
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None, visible=False, rate="")
        began = time.monotonic()

        def count(n: int, share: float) -> None:
            seconds = time.monotonic() - began
            rate = f"{n / max(seconds, 1e-3):.0f}/s"
            if share > 0:
                rate += f", {share:.0%}, about {_duration(seconds * (1 - share) / share)} left"
            bar.update(task, completed=n, visible=seconds > _PATIENCE, rate=rate)

        yield count


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def counted(items: Iterable[T], what: str) -> Iterator[T]:
    """Pass items through, showing how many there were so far."""
    with counter(what) as count:
        for n, item in enumerate(items, 1):
            count(n, 0.0)
            yield item
