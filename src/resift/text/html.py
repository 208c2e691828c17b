"""Lines of HTML: the visible text by blocks, with headings marked."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from html import unescape
from html.parser import HTMLParser

from resift.text.data_uris import strip_data
from resift.text.passages import Line

_PIECE = 1 << 14  # least characters per call of the parser
_BLOCKS = frozenset(
    "address article aside blockquote br dd details div dl dt fieldset figcaption figure footer form header hr li main "
    "nav ol option p pre section summary table td th tr ul body h1 h2 h3 h4 h5 h6".split()
)
_SILENT = frozenset({"script", "style", "template", "noscript", "title"})
_VOID = frozenset("area base br col embed hr img input link meta param source track wbr".split())
# Elements whose end tag is optional, and the tags that end them.
_ENDED_BY = {
    "p": _BLOCKS - {"br", "option", "body"},
    "li": frozenset({"li"}),
    "dt": frozenset({"dt", "dd"}),
    "dd": frozenset({"dt", "dd"}),
    "td": frozenset({"td", "th", "tr"}),
    "th": frozenset({"td", "th", "tr"}),
    "tr": frozenset({"tr"}),
    "option": frozenset({"option"}),
}
_UNSEEN = re.compile(r"(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*hidden)\b", re.IGNORECASE)
_TAG_OR_TEXT = re.compile(r"<(?P<end>/?)(?P<tag>[a-zA-Z][a-zA-Z0-9]*+)[^<>]*+>|<|[^<]+")


class _Html(HTMLParser):
    """Collects blocks of visible text; `line_starts` turns the parser's (line, column) into offsets."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.ready: list[Line] = []
        self.line_starts = [0]
        self.open: list[tuple[str, bool]] = []  # elements, and whether each hides its content
        self.names = Counter[str]()  # how many of them are open, by name
        self.hiding = 0
        self.level = 0
        self.parts: list[str] = []
        self.at: tuple[int, int] | None = None
        self.rest_at: int | None = None  # offset in the rest that `take_rest` reads

    def place(self) -> tuple[int, int]:
        if self.rest_at is not None:
            return bisect_right(self.line_starts, self.rest_at), self.rest_at
        number, column = self.getpos()
        return number, self.line_starts[number - 1] + column

    def block(self) -> None:
        text = " ".join(strip_data("".join(self.parts)).split())
        if text and self.at:
            number, start = self.at
            end = max(self.place()[1], start)
            self.ready.append(Line(text + "\n", number, start, self.level, end))
            self.ready.append(Line("\n", number, end, 0, end))
        self.parts, self.at = [], None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _BLOCKS:
            self.block()
            self.level = int(tag[1]) if re.fullmatch("h[1-6]", tag) else 0
        if tag in _VOID:
            return
        while self.open and tag in _ENDED_BY.get(self.open[-1][0], ()):
            self.leave()
        hides = tag in _SILENT or (tag not in ("html", "body") and _hidden(dict(attrs)))
        self.open.append((tag, hides))
        self.names[tag] += 1
        self.hiding += hides

    def leave(self) -> str:
        """Close the innermost element and return its name."""
        name, hides = self.open.pop()
        self.names[name] -= 1
        self.hiding -= hides
        return name

    def handle_endtag(self, tag: str) -> None:
        if tag in _BLOCKS:
            self.block()
            self.level = 0
        if self.names[tag]:
            while self.leave() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if self.hiding:
            return
        if data.strip() and self.at is None:
            self.at = self.place()
        self.parts.append(data)

    def take_rest(self, end: int) -> None:
        """Read the text behind a tag or comment that never ends, up to `end`, as text and complete tags.

        The parser would look for the end again behind each of them, in quadratic time.
        """
        rest, self.rawdata = self.rawdata, ""
        if self.cdata_elem:  # a script that never ends
            return
        begin = end - len(rest)
        for match in _TAG_OR_TEXT.finditer(rest):
            self.rest_at = begin + match.start()
            if not match["tag"]:
                self.handle_data(unescape(match.group()))
            elif match["end"]:
                self.handle_endtag(match["tag"].lower())
            else:
                self.handle_starttag(match["tag"].lower(), [])
        self.rest_at = end


def _hidden(attributes: dict[str, str | None]) -> bool:
    """Whether attributes hide an element; "until-found" does not, because a search in the page opens it."""
    hidden = attributes.get("hidden", "until-found")
    return (
        (hidden or "").lower() != "until-found"
        or (attributes.get("aria-hidden") or "").lower() == "true"
        or bool(_UNSEEN.search(attributes.get("style") or ""))
    )


def html(lines: Iterable[Line]) -> Iterator[Line]:
    """Visible text by blocks, with headings marked; offsets are those of each block's source.

    Scripts, comments and elements that no reader of the page sees are left out: `hidden`, `aria-hidden`, and
    `display: none` or `visibility: hidden` in the element's style attribute.
    """
    parser = _Html()
    waiting, size, end = list[str](), 0, 0
    for line in lines:
        waiting.append(line.text)
        size, end = size + len(line.text), line.start + len(line.text)
        if line.text.endswith("\n"):
            parser.line_starts.append(end)
        # The parser starts again at an incomplete tag, so it waits until as much text as that has come again.
        if size >= max(_PIECE, len(parser.rawdata)):
            parser.feed("".join(waiting))
            waiting, size = [], 0
            yield from parser.ready
            parser.ready.clear()
    parser.feed("".join(waiting))
    if "<" in parser.rawdata:
        parser.take_rest(end)
    else:
        parser.close()
    parser.block()
    yield from parser.ready
