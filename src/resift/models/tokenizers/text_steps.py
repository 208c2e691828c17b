"""Changes to a text before its tokens are made, which keep for each character where it stood in the text.

The tokenizers library has steps of its own; these do what it can't: SentencePiece's table of characters, and words from
a library. A text goes through all of them in order.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Aligned:
    """A changed text, and the characters (start, end) of the original for each of its characters."""

    text: str
    starts: Sequence[int]
    ends: Sequence[int]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The characters of the original behind those of the changed text."""
        if start >= len(self.starts):
            last = self.ends[-1] if self.ends else 0
            return last, last
        return self.starts[start], self.ends[end - 1] if end > start else self.starts[start]


class TextStep(Protocol):
    """One change."""

    def text(self, text: str) -> str:
        """Return the changed text."""

    def aligned(self, text: Aligned) -> Aligned:
        """Return the same with places."""


@dataclass(frozen=True, slots=True)
class Characters:
    """Each character becomes one other."""

    change: Callable[[str], str]

    def text(self, text: str) -> str:
        """See `TextStep`."""
        return self.change(text)

    def aligned(self, text: Aligned) -> Aligned:
        """See `TextStep`."""
        return Aligned(self.change(text.text), text.starts, text.ends)


@dataclass(frozen=True, slots=True)
class Substitution:
    """What a pattern matches becomes something else; of a match without characters, something is inserted."""

    pattern: re.Pattern[str]
    replacement: str | Callable[[str], str]

    def text(self, text: str) -> str:
        """See `TextStep`."""
        change = self.replacement
        if isinstance(change, str):
            return self.pattern.sub(change, text)
        return self.pattern.sub(lambda match: change(match.group()), text)

    def aligned(self, text: Aligned) -> Aligned:
        """See `TextStep`."""
        parts: list[str] = []
        starts: list[int] = []
        ends: list[int] = []
        last = 0
        for match in self.pattern.finditer(text.text):
            begin, end = match.span()
            change = self.replacement if isinstance(self.replacement, str) else self.replacement(match.group())
            parts += [text.text[last:begin], change]
            starts += text.starts[last:begin]
            ends += text.ends[last:begin]
            if len(change) == end - begin:
                starts += text.starts[begin:end]
                ends += text.ends[begin:end]
            else:
                first, behind = text.span(begin, end)
                starts += [first] * len(change)
                ends += [behind] * len(change)
            last = end
        if not parts:
            return text
        starts += text.starts[last:]
        ends += text.ends[last:]
        return Aligned("".join([*parts, text.text[last:]]), starts, ends)


def change_text(steps: Sequence[TextStep], text: str) -> str:
    """The text behind all steps."""
    for step in steps:
        text = step.text(text)
    return text


def change_aligned(steps: Sequence[TextStep], text: str) -> Aligned:
    """The same with places."""
    aligned = Aligned(text, range(len(text)), range(1, len(text) + 1))
    for step in steps:
        aligned = step.aligned(aligned)
    return aligned


def substitution(pattern: str, replacement: str | Callable[[str], str]) -> Substitution:
    """A substitution; "." matches the end of a line too."""
    return Substitution(re.compile(pattern, re.DOTALL), replacement)


# Lower case of each character for itself: Python's own looks at the neighbours of Σ, and makes two characters of İ.
LOWER: tuple[TextStep, ...] = (
    substitution("İ", "i\u0307"),
    Characters(lambda text: text.replace("Σ", "σ").lower()),
)
