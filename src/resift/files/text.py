"""Text files and the markup among them -> documents; every place is an exact slice of the file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TextIO

from resift.files.encoding import open_text
from resift.text import markup
from resift.text.clean import clean
from resift.text.passages import Line, Passage, passages
from resift.types import Document

_LONGEST_LINE = 1 << 16  # characters read at once, so that a file of one line is streamed too
MARKUP: dict[str, Callable[[Iterable[Line]], Iterator[Line]]] = {
    ".txt": markup.plain,
    ".md": markup.markdown,
    ".markdown": markup.markdown,
    ".rst": markup.restructured,
    ".html": markup.html,
    ".htm": markup.html,
}


def lines_of(file: TextIO) -> Iterator[Line]:
    """Stream a file's lines with their offsets; one that is longer than 64 K characters comes in pieces."""
    number, at, begun = 1, 0, True
    while text := file.readline(_LONGEST_LINE):
        yield Line(text, number, at)
        at += len(text)
        begun = text.endswith("\n")
        number += begun


def read_text(path: Path) -> Iterator[Document]:
    """Stream a text file's passages; its suffix says which markup it has, any that is not known has none."""
    read = MARKUP.get(path.suffix.lower(), markup.plain)
    with open_text(path) as file:
        for p in passages(read(lines_of(file))):
            yield placed(p, p.title, path)


def placed(p: Passage, title: str, path: Path) -> Document:
    """A passage of a text file as a Document; metadata: path, line (from 1), start/end (characters in the file)."""
    place = {"path": str(path), "line": p.line, "start": p.start, "end": p.end}
    return Document(f"{path}:{p.start}-{p.end}", clean(p.text), clean(title), place)
