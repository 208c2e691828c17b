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
def counter(what: str) -> Iterator[Callable[[int], None]]:
    """Give a function that shows how many there are so far, and how many a second."""
    if not sys.stderr.isatty():
        yield lambda n: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.completed} {task.description}"), TextColumn("{task.fields[rate]}"))
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None, visible=False, rate="")
        began = time.monotonic()

        def count(n: int) -> None:
            seconds = time.monotonic() - began
            bar.update(task, completed=n, visible=seconds > _PATIENCE, rate=f"{n / max(seconds, 1e-3):.0f}/s")

        yield count


def counted(items: Iterable[T], what: str) -> Iterator[T]:
    """Pass items through, showing how many there were so far."""
    with counter(what) as count:
        for n, item in enumerate(items, 1):
            count(n)
            yield item
