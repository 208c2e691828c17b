"""Lines of plain text, Markdown and reStructuredText, with headings marked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from resift.text.passages import Line

_ATX = re.compile(r" {0,3}(#{1,6})[ \t]")
_FENCE = re.compile(r" {0,3}(```+|~~~+)")
_SETEXT = re.compile(r" {0,3}(?:(=)=*|--+)\s*$")
_UNDERLINE = re.compile(r"([=\-`:'\"~^_*+#<>.])\1{2,}\s*$")


def _heading(line: Line, text: str, level: int) -> Line:
    """The line as a heading; its offsets stay those of the whole source line."""
    return line._replace(text=text.strip(), level=level, end=line.start + len(line.text.rstrip()))


def _without_closing(title: str) -> str:
    """A heading's text without the # signs at its end, except those of a word, as in C#."""
    title = title.strip()
    bare = title.rstrip("#")
    return bare if not bare or bare.endswith((" ", "\t")) else title


def plain(lines: Iterable[Line]) -> Iterator[Line]:
    """Plain text has no headings."""
    return iter(lines)


def markdown(lines: Iterable[Line]) -> Iterator[Line]:
    """Mark `# ATX` and underlined headings, except in fenced blocks of code."""
    fence = ""
    previous: Line | None = None  # the line before; it becomes a heading if this one underlines it
    heads = False  # whether it may
    for line in lines:
        marks = _FENCE.match(line.text)
        code = bool(fence or marks)
        if fence and marks and marks.group(1).startswith(fence):
            fence = ""
        elif marks and not fence:
            fence = marks.group(1)
        if not code and (atx := _ATX.match(line.text)):
            if previous:
                yield previous
            previous = None
            yield _heading(line, _without_closing(line.text[atx.end() :]), len(atx.group(1)))
        elif not code and previous and heads and (rule := _SETEXT.match(line.text)):
            yield _heading(previous, previous.text, 1 if rule.group(1) == "=" else 2)
            previous = None
        else:
            if previous:
                yield previous
            previous, heads = line, not code and bool(line.text.strip())
    if previous:
        yield previous


def restructured(lines: Iterable[Line]) -> Iterator[Line]:
    """Mark titles by their underline; levels follow the order in which kinds of underline first appear."""
    levels: dict[str, int] = {}
    previous: Line | None = None
    for line in lines:
        rule = _UNDERLINE.match(line.text)
        if rule and previous and _underlines(line.text, previous.text):
            level = levels.setdefault(rule.group(1), len(levels) + 1)
            yield _heading(previous, previous.text, level)
            previous = None
            continue
        if previous and not (_UNDERLINE.match(previous.text) and line.text.strip()):  # an overline is no text
            yield previous
        previous = line
    if previous:
        yield previous


def _underlines(rule: str, title: str) -> bool:
    """Whether a line of punctuation is at least as long as the text above it."""
    return bool(title.strip()) and len(rule.strip()) >= len(title.strip()) and not _UNDERLINE.match(title)
