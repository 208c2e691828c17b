"""Text files, with markup or without -> documents; every place is an exact slice of the file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TextIO

from resift.files.encoding import kind, open_text
from resift.text import markup
from resift.text.clean import clean
from resift.text.data_uris import without_data
from resift.text.front import Front, front_matter, under_title
from resift.text.html import html
from resift.text.passages import Line, Passage, passages
from resift.types import Document

_LONGEST_LINE = 1 << 16  # characters read at once, so that a file of one line is streamed too
MARKUP: dict[str, Callable[[Iterable[Line]], Iterator[Line]]] = {
    ".txt": markup.plain,
    ".md": markup.markdown,
    ".markdown": markup.markdown,
    ".rst": markup.restructured,
    ".html": html,
    ".htm": html,
}


def lines_of(file: TextIO) -> Iterator[Line]:
    """Stream a file's lines with their offsets; a line of more than 64 K characters comes in pieces."""
    number, at, is_start = 1, 0, True
    while text := file.readline(_LONGEST_LINE):
        yield Line(text, number, at)
        at += len(text)
        is_start = text.endswith("\n")
        number += is_start


def read_text(path: Path) -> Iterator[Document]:
    """Stream a text file's passages; its suffix names the markup, and an unknown suffix means none."""
    with open_text(path) as file:
        yield from text_documents(file, path)


def text_documents(file: TextIO, path: Path) -> Iterator[Document]:
    """Stream the passages of a text file that is open.

    The front matter of a Markdown file gives its title; the first passage's metadata has the rest of it.
    """
    suffix = kind(path)
    reader = MARKUP.get(suffix, markup.plain)
    lines, front = lines_of(file), Front()
    if reader is markup.markdown:
        front, lines = front_matter(lines)
    more = {"front_matter": clean(front.text)} if front.text else {}
    if reader is not html:
        lines = without_data(lines)
    for p in passages(under_title(front, reader(lines))):
        yield placed(p, p.title, path, more)
        more = {}
    if more:  # nothing else stands in the file
        yield from (placed(p, "", path, {}) for p in passages([Line(front.text, 1, 0)]))


def placed(p: Passage, title: str, path: Path, more: Mapping[str, str] = MappingProxyType({})) -> Document:
    """A passage of a text file as a Document; metadata: path, line (from 1), start/end (characters in the file)."""
    place = {"path": str(path), "line": p.line, "start": p.start, "end": p.end, **more}
    return Document(f"{path}:{p.start}-{p.end}", clean(p.text), clean(title), place)
