"""Reports what a user did not see: files that a run skipped, and models that it took by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import typer

from resift.files import Skip, Skipped

LISTED = 20  # files that are listed one by one, unless the user asks for all


class LeftOut:
    """Counts the files that a run skipped, and keeps the first 20 reasons, or all: there may be a million files."""

    def __init__(self, every: bool = False) -> None:
        self._every = every
        self._types, self._lines, self._unlisted = Counter[str](), list[str](), 0

    def add(self, skipped: Skipped) -> None:
        """Take note of one file."""
        if skipped.kind is Skip.TYPE and not self._every:
            self._types[Path(skipped.path).suffix or "no suffix"] += 1
        elif self._every or len(self._lines) < LISTED:
            self._lines.append(f"skipped {skipped.path}: {skipped.reason}")
        else:
            self._unlisted += 1

    def report(self, warn: Callable[[str], None]) -> None:
        """Pass on how many files are of types that Resift does not read, then the reasons."""
        if self._types:
            types = ", ".join(suffix for suffix, _ in self._types.most_common(8))
            warn(f"left out {self._types.total()} files of types that are not read, most of them {types}")
        for line in self._lines:
            warn(line)
        if self._unlisted:
            warn(f"skipped {self._unlisted} more files")


def say_defaults(taken: Sequence[str]) -> None:
    """Say on stderr which models were taken because none was named; nothing where each was."""
    from resift.score.defaults import sentence

    if taken:
        typer.echo(f"resift: {sentence(taken)}", err=True)


def say_repeated(count: int) -> None:
    """Say on stderr how many queries of a file came again."""
    if count:
        typer.echo(f"resift: {count} queries came more than once, and count once", err=True)
