"""Lines of plain text, Markdown, reStructuredText and HTML, with the headings among them marked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from html.parser import HTMLParser

from resift.text.passages import Line

_ATX = re.compile(r" {0,3}(#{1,6})[ \t]+(.*?)[ \t]*#*[ \t]*$")
_FENCE = re.compile(r" {0,3}(```+|~~~+)")
_SETEXT = re.compile(r" {0,3}(?:(=)=*|--+)\s*$")
_UNDERLINE = re.compile(r"([=\-`:'\"~^_*+#<>.])\1{2,}\s*$")


def _heading(line: Line, text: str, level: int) -> Line:
    """The line as a heading; its offsets keep framing the whole source line."""
    return replace(line, text=text.strip(), level=level, end=line.start + len(line.text.rstrip()))


def plain(lines: Iterable[Line]) -> Iterator[Line]:
    """Plain text has no headings."""
    return iter(lines)


def markdown(lines: Iterable[Line]) -> Iterator[Line]:
    """Mark `# ATX` and underlined headings; what looks like one inside a fenced block is code."""
    fence = ""
    held: Line | None = None  # the line before; it becomes a heading if this one underlines it
    heads = False  # whether it may
    for line in lines:
        marks = _FENCE.match(line.text)
        code = bool(fence or marks)
        if fence and marks and marks.group(1).startswith(fence):
            fence = ""
        elif marks and not fence:
            fence = marks.group(1)
        if not code and (atx := _ATX.match(line.text)):
            if held:
                yield held
            held = None
            yield _heading(line, atx.group(2), len(atx.group(1)))
        elif not code and held and heads and (rule := _SETEXT.match(line.text)):
            yield _heading(held, held.text, 1 if rule.group(1) == "=" else 2)
            held = None
        else:
            if held:
                yield held
            held, heads = line, not code and bool(line.text.strip())
    if held:
        yield held


def restructured(lines: Iterable[Line]) -> Iterator[Line]:
    """Mark titles by their underline; levels in the order in which the underlines first appear."""
    levels: dict[str, int] = {}
    held: Line | None = None
    for line in lines:
        rule = _UNDERLINE.match(line.text)
        if rule and held and _underlines(line.text, held.text):
            level = levels.setdefault(rule.group(1), len(levels) + 1)
            yield _heading(held, held.text, level)
            held = None
            continue
        if held and not (_UNDERLINE.match(held.text) and line.text.strip()):  # an overline is no text
            yield held
        held = line
    if held:
        yield held


def _underlines(rule: str, title: str) -> bool:
    """Whether a line of punctuation is long enough for the line above, which is text."""
    return bool(title.strip()) and len(rule.strip()) >= len(title.strip()) and not _UNDERLINE.match(title)


_BLOCKS = frozenset(
    "address article aside blockquote br dd details div dl dt fieldset figcaption figure footer form header hr li main "
    "nav ol option p pre section summary table td th tr ul body h1 h2 h3 h4 h5 h6".split()
)
_SILENT = frozenset({"script", "style", "template", "noscript", "title"})


class _Html(HTMLParser):
    """Gathers blocks of visible text; `line_starts` turns the parser's (line, column) into offsets."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.ready: list[Line] = []
        self.line_starts = [0]
        self.silent = 0
        self.level = 0
        self.parts: list[str] = []
        self.at: tuple[int, int] | None = None

    def place(self) -> tuple[int, int]:
        number, column = self.getpos()
        return number, self.line_starts[number - 1] + column

    def block(self) -> None:
        text = " ".join("".join(self.parts).split())
        if text and self.at:
            number, start = self.at
            end = max(self.place()[1], start)
            self.ready.append(Line(text + "\n", number, start, self.level, end))
            self.ready.append(Line("\n", number, end, 0, end))
        self.parts, self.at = [], None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _SILENT:
            self.silent += 1
        if tag in _BLOCKS:
            self.block()
            self.level = int(tag[1]) if re.fullmatch("h[1-6]", tag) else 0

    def handle_endtag(self, tag: str) -> None:
        if tag in _SILENT:
            self.silent = max(0, self.silent - 1)
        if tag in _BLOCKS:
            self.block()
            self.level = 0

    def handle_data(self, data: str) -> None:
        if self.silent:
            return
        if data.strip() and self.at is None:
            self.at = self.place()
        self.parts.append(data)


def html(lines: Iterable[Line]) -> Iterator[Line]:
    """Visible text by blocks, headings marked; offsets frame the source of each block."""
    parser = _Html()
    for line in lines:
        parser.feed(line.text)
        if line.text.endswith("\n"):
            parser.line_starts.append(line.start + len(line.text))
        yield from parser.ready
        parser.ready.clear()
    parser.close()
    parser.block()
    yield from parser.ready
