"""Cuts the lines of a document into passages: paragraphs under their headings, of about a model's window.

Works on a stream: at most one passage of text is held at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from resift.text.sentences import SENTENCE_END

TARGET = 900  # characters up to which neighbouring paragraphs under one heading are joined
LONGEST = 1500  # characters; a longer paragraph is cut, after a sentence if possible


class Line(NamedTuple):
    """A piece of a document in reading order: its text, line number from 1, offset in the file, heading level or 0.

    A tuple, since a file can have millions of them, and a frozen dataclass takes three times as long to make.
    """

    text: str
    number: int
    start: int
    level: int = 0
    end: int = -1  # offset of its end in the file; -1: start + len(text)


@dataclass(frozen=True, slots=True)
class Passage:
    """Text under a heading path, with its place in the file: line from 1, characters start..end."""

    text: str
    title: str
    line: int
    start: int
    end: int


@dataclass(slots=True)
class _Pending:
    """Lines of the next passage."""

    lines: list[Line] = field(default_factory=list)
    size: int = 0

    def add(self, line: Line) -> None:
        self.lines.append(line)
        self.size += len(line.text)

    def flush(self, title: str) -> Iterator[Passage]:
        while self.lines and not self.lines[-1].text.strip():
            self.lines.pop()
        if self.lines:
            first, last = self.lines[0], self.lines[-1]
            text = "".join(line.text for line in self.lines)
            end = last.end if last.end >= 0 else last.start + len(last.text)
            left, right = len(text) - len(text.lstrip()), len(text) - len(text.rstrip())
            if last.end >= 0:  # markup: the offsets frame the source, not the text
                yield Passage(text.strip(), title, first.number, first.start, end)
            else:
                yield Passage(text.strip(), title, first.number, first.start + left, end - right)
        self.lines, self.size = [], 0


@dataclass(slots=True)
class _Headings:
    """The path of headings above the current line; `used` is whether there was text under the innermost one."""

    path: list[Line] = field(default_factory=list)
    used: bool = True

    @property
    def title(self) -> str:
        return " > ".join(line.text.strip() for line in self.path)

    def enter(self, line: Line) -> Iterator[Passage]:
        """Enter a heading; a heading without text and sub-headings becomes a passage itself."""
        yield from self.leave(line.level)
        self.path = [h for h in self.path if h.level < line.level] + [line]
        self.used = False

    def leave(self, level: int) -> Iterator[Passage]:
        if not self.used and self.path and level <= self.path[-1].level:
            innermost = self.path[-1]
            above = " > ".join(h.text.strip() for h in self.path[:-1])
            pending = _Pending([innermost])
            yield from pending.flush(above)


def passages(lines: Iterable[Line]) -> Iterator[Passage]:
    """Cut lines into passages; concatenated, they hold every non-blank character outside headings exactly once."""
    headings, pending = _Headings(), _Pending()
    for line in lines:
        if line.level:
            yield from pending.flush(headings.title)
            yield from headings.enter(line)
            continue
        blank = not line.text.strip()
        if blank and (pending.size >= TARGET or not pending.lines):
            yield from pending.flush(headings.title)
            continue
        headings.used = headings.used or not blank
        for piece in _pieces(line):
            if pending.size + len(piece.text) > LONGEST:
                yield from _overflow(pending, headings.title)
            pending.add(piece)
    yield from pending.flush(headings.title)
    yield from headings.leave(0)


def _overflow(pending: _Pending, title: str) -> Iterator[Passage]:
    """Flush the lines; a last paragraph that is not complete goes to the next passage."""
    blanks = [i for i, line in enumerate(pending.lines) if not line.text.strip()]
    cut = blanks[-1] + 1 if blanks else len(pending.lines)
    rest = pending.lines[cut:]
    if sum(len(line.text) for line in rest) > TARGET:
        rest, cut = [], len(pending.lines)
    pending.lines = pending.lines[:cut]
    yield from pending.flush(title)
    for line in rest:
        pending.add(line)


def _pieces(line: Line) -> Iterator[Line]:
    """A line cut so that no piece is longer than TARGET; most lines are one piece."""
    text, at = line.text, 0
    while len(text) - at > TARGET:
        cut = _cut(text, at)
        yield line._replace(text=text[at:cut], start=line.start + at)
        at = cut
    yield line._replace(text=text[at:], start=line.start + at) if at else line


def _cut(text: str, at: int) -> int:
    """Where to cut within TARGET characters: after the last sentence, else after the last space, else hard."""
    half = at + TARGET // 2
    ends = [m.end() for m in SENTENCE_END.finditer(text, half, at + TARGET)]
    if ends:
        return ends[-1]
    space = text.rfind(" ", half, at + TARGET)
    return space + 1 if space > 0 else at + TARGET
