"""Says what a run left out of the folders that it read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from resift.files import Skip, Skipped

NAMED = 20  # files that are named one by one, unless all are asked for


class LeftOut:
    """Counts what was left out, and keeps the first few reasons, or every one: there may be a million."""

    def __init__(self, every: bool = False) -> None:
        self._every = every
        self._types, self._failed, self._more = Counter[str](), list[str](), 0

    def add(self, skipped: Skipped) -> None:
        """Take note of one file."""
        if skipped.kind is Skip.TYPE and not self._every:
            self._types[Path(skipped.path).suffix or "no suffix"] += 1
        elif self._every or len(self._failed) < NAMED:
            self._failed.append(f"skipped {skipped.path}: {skipped.reason}")
        else:
            self._more += 1

    def tell(self, say: Callable[[str], None]) -> None:
        """Say how many files are of types that are not read, then the reasons."""
        if self._types:
            most = ", ".join(t for t, _ in self._types.most_common(8))
            say(f"left out {self._types.total()} files of types that are not read, most of them {most}")
        for line in self._failed:
            say(line)
        if self._more:
            say(f"skipped {self._more} more files")
