"""A progress bar on stderr for what takes over a second; nothing without a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

_PATIENCE = 1.0  # seconds before anything is shown


def counted(items: Iterable[T], what: str) -> Iterator[T]:
    """Pass items through, showing how many there were so far."""
    if not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TextColumn("{task.completed}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None, visible=False)
        began = time.monotonic()
        for item in items:
            bar.update(task, advance=1, visible=time.monotonic() - began > _PATIENCE)
            yield item
