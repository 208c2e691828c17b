"""Front matter: the block of YAML or TOML settings above a Markdown page, which static site generators read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import NamedTuple

from resift.text.passages import Line

_LONGEST = 300  # lines; a longer block counts as text between two horizontal rules
_MARKS = {"---": ("---", "..."), "+++": ("+++",)}
_SETTING = {
    "---": re.compile(r"[\w\"'][^:\n]*:(?:\s|$)|[-#\s\]}]|$"),
    "+++": re.compile(r"[\w\"'][^=\n]*=|[\[#\s\]}]|$"),
}
_TITLE = re.compile(r"[\"']?title[\"']?\s*[:=](?P<value>.*)", re.IGNORECASE)


class Front(NamedTuple):
    """The title in a page's front matter, the line of it, and the source of all other settings."""

    title: str = ""
    line: Line | None = None
    text: str = ""


def front_matter(lines: Iterable[Line]) -> tuple[Front, Iterator[Line]]:
    """The front matter of a page, and the lines below it; all lines where there is none."""
    rest = iter(lines)
    block = [line for line in [next(rest, None)] if line]
    mark = block[0].text.rstrip() if block else ""
    if mark not in _MARKS:
        return Front(), chain(block, rest)
    for line in rest:
        block.append(line)
        if line.text.rstrip() in _MARKS[mark]:
            break
        if len(block) > _LONGEST or not _SETTING[mark].match(line.text):
            return Front(), chain(block, rest)
    else:
        return Front(), iter(block)
    if len(block) == 2:
        return Front(), chain(block, rest)
    return _front(block[1:-1]), rest


def _front(settings: list[Line]) -> Front:
    for i, line in enumerate(settings):
        match = _TITLE.match(line.text)
        if not match:
            continue
        value, following = match["value"].strip(), i + 1
        if value in (">", "|", ">-", "|-", ""):  # the title stands in the indented lines below
            while following < len(settings) and settings[following].text[:1] in (" ", "\t"):
                following += 1
            value = " ".join(s.text.strip() for s in settings[i + 1 : following])
        if value[:1] in ("'", '"') and value[-1:] == value[0] and len(value) > 1:
            value = value[1:-1]
        if value:
            return Front(value, line, "".join(s.text for s in settings[:i] + settings[following:]).strip())
    return Front(text="".join(s.text for s in settings).strip())


def under_title(front: Front, lines: Iterable[Line]) -> Iterator[Line]:
    """The lines below the title as highest heading, without a first heading that repeats the title."""
    if not front.line:
        yield from lines
        return
    yield Line(front.title, front.line.number, front.line.start, 1, front.line.start + len(front.line.text.rstrip()))
    first = True
    for line in lines:
        if first and line.level == 1 and line.text == front.title:
            first = False
            continue
        first = first and not line.level
        yield line._replace(level=line.level + 1) if line.level else line
