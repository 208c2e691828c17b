"""Removes data: URIs, which are pictures and other files within a text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from resift.text.passages import Line

# Short URIs stay: they can be examples in a text about them.
_TYPE = r"data:[\w.+-]+/[\w.+-]+(?:;[\w.+=-]+)*"
_URI = re.compile(rf"{_TYPE};base64,(?P<coded>[\w+/=%-]{{40,}})|{_TYPE},(?P<plain>[^\s()<>\"']{{200,}})")
_MORE = {"coded": re.compile(r"[\w+/=%-]*"), "plain": re.compile(r"[^\s()<>\"']*")}
_START = re.compile(r"d(?:a(?:t(?:a(?::[^\s()<>\"']*)?)?)?)?$")
_LONGEST_BEGINNING = 400  # characters


def strip_data(text: str) -> str:
    """The text without its data: URIs."""
    return _URI.sub("", text) if "data:" in text else text


def without_data(lines: Iterable[Line]) -> Iterator[Line]:
    """Lines without data: URIs, also where a URI continues in the next piece of a line; offsets are of the source."""
    going_on = ""  # the kind of URI that continues from the piece before: "coded", "plain" or none
    start: Line | None = None  # the end of the piece before, where a URI may have begun
    for line in lines:
        if not (start or going_on or "data:" in line.text) and line.text.endswith("\n"):
            yield line  # most lines, of which there can be millions
            continue
        if start:
            line = line._replace(text=start.text + line.text, start=start.start)
        if going_on:
            line = _behind(line, going_on)
        line, start = _held_back(line)
        going_on = going_on if not line.text and not start else ""
        if "data:" in line.text:
            line, going_on = _stripped(line)
        if line.text:
            yield line
    if start:
        yield start


def _behind(line: Line, written: str) -> Line:
    """The part of a piece behind the URI that continues in it."""
    more = _MORE[written].match(line.text)
    at = more.end() if more else 0
    return line._replace(text=line.text[at:], start=line.start + at)


def _held_back(line: Line) -> tuple[Line, Line | None]:
    """A piece of a longer line, without the end in which a URI may begin, and that end."""
    if line.text.endswith("\n"):
        return line, None
    tail = _START.search(line.text, max(0, len(line.text) - _LONGEST_BEGINNING))
    if not tail:
        return line, None
    at = tail.start()
    return line._replace(text=line.text[:at]), line._replace(text=line.text[at:], start=line.start + at)


def _stripped(line: Line) -> tuple[Line, str]:
    """A line without its URIs, and the kind of URI that reaches its end, if one does."""
    going_on, size, end = "", len(line.text), line.start + len(line.text)
    for match in _URI.finditer(line.text):
        going_on = (match.lastgroup or "") if match.end() == size else ""
    text = _URI.sub("", line.text)
    return (line if len(text) == size else line._replace(text=text, end=end)), going_on
