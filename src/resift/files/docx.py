"""Word files (.docx): paragraphs, headings and tables of the main text."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

from resift.errors import InputError
from resift.files.encoding import open_binary
from resift.text.clean import clean
from resift.text.passages import Line, passages
from resift.types import Document

if TYPE_CHECKING:
    from zipfile import ZipFile

_CHUNK = 1 << 16
_OLE = b"\xd0\xcf\x11\xe0"  # how old .doc files begin, and .docx files with a password
_HEADING = re.compile(r"heading ?([1-9])$", re.IGNORECASE)
_WHITE = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}


def read_docx(path: Path) -> Iterator[Document]:
    """Stream a Word file's passages; metadata: path and paragraph (from 1, those in tables counted too).

    Titles are its headings; a row of a table is one line. Notes, comments, headers and footers are not read.

    Raises:
        InputError: broken, encrypted, or no Word file.

    """
    for p in passages(_lines(path)):
        place = {"path": str(path), "paragraph": p.line}
        yield Document(f"{path}#paragraph={p.line}:{p.start}-{p.end}", clean(p.text), clean(p.title), place)


def _lines(path: Path) -> Iterator[Line]:
    from xml.etree.ElementTree import ParseError
    from zipfile import BadZipFile, ZipFile

    with open_binary(path) as file:
        if file.read(len(_OLE)) == _OLE:
            raise InputError(f"{path} is encrypted or an old .doc file; save it as .docx without a password")
        try:
            with ZipFile(file) as archive:
                body = _WordBody(_levels(archive))
                with archive.open("word/document.xml") as part:
                    yield from _parsed(part, body)
        except KeyError as error:
            raise InputError(f"{path} holds no Word text; open it in a word processor and save it as .docx") from error
        except (BadZipFile, ParseError, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
            # NotImplementedError: a rare compression. RuntimeError: an encrypted entry. ValueError: an unknown charset.
            raise InputError(f"{path} is a broken .docx file ({error}); open it and save it again") from error


def _parsed(part: IO[bytes], body: _WordBody) -> Iterator[Line]:
    from xml.etree.ElementTree import XMLParser

    parser = XMLParser(target=body)
    while chunk := part.read(_CHUNK):
        parser.feed(chunk)
        yield from body.ready
        body.ready.clear()
    parser.close()
    yield from body.ready


def _levels(archive: ZipFile) -> dict[str, int]:
    """Heading levels by style id. Ids are in the language of Word ("berschrift1"), the names of styles in English."""
    from xml.etree.ElementTree import iterparse

    levels: dict[str, int] = {}
    if "word/styles.xml" not in archive.namelist():
        return levels
    with archive.open("word/styles.xml") as part:
        style = ""
        for _, element in iterparse(part, ["start"]):
            tag = _local(element.tag)
            if tag == "style":
                style = next((v for k, v in element.attrib.items() if _local(k) == "styleId"), "")
            elif tag == "name" and style:
                levels[style] = _level(_value(element.attrib))
    return levels


def _level(style: str) -> int:
    match = _HEADING.match(style)
    return int(match.group(1)) if match else int(style.lower() == "title")


def _local(name: str) -> str:
    """A name without its namespace, of which there are two (transitional and strict)."""
    return name.rpartition("}")[2]


def _value(attributes: dict[str, str]) -> str:
    return next((v for k, v in attributes.items() if _local(k) == "val"), "")


class _WordBody:
    """The target of an XML parser: it collects paragraphs, and rows of the outermost tables, as lines."""

    def __init__(self, levels: dict[str, int]) -> None:
        self.levels = levels
        self.ready: list[Line] = []
        self.number = 0  # of the last paragraph begun
        self.at = 0
        self.open: list[tuple[int, list[str]]] = []  # paragraphs, each with its number; a text box is one in another
        self.level = 0
        self.is_text = False  # whether characters are text
        self.tables = 0
        self.repeated = 0  # depth within a fallback, which repeats the text before it
        self.row = 0
        self.cells: list[list[str]] = []

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name = _local(tag)
        self.is_text = name == "t" and not self.repeated
        if name == "p":
            self.number += 1
            self.level = 0
            self.open.append((self.number, []))
        elif name == "pStyle":
            style = _value(attributes)
            self.level = self.levels.get(style, 0) or _level(style)
        elif name in _WHITE and self.open and not self.repeated:
            self.open[-1][1].append(_WHITE[name])
        elif name == "Fallback":
            self.repeated += 1
        else:
            self._start_table(name)

    def _start_table(self, name: str) -> None:
        if name == "tbl":
            self.tables += 1
        elif self.tables == 1 and name == "tr":
            self.row, self.cells = self.number + 1, []
        elif self.tables == 1 and name == "tc":
            self.cells.append([])

    def data(self, text: str) -> None:
        if self.is_text and self.open:
            self.open[-1][1].append(text)

    def end(self, tag: str) -> None:
        name = _local(tag)
        self.is_text = False
        if name == "p" and self.open:
            number, parts = self.open.pop()
            self._paragraph(number, "".join(parts).strip())
        elif name == "Fallback":
            self.repeated -= 1
        elif name == "tr" and self.tables == 1:
            self._emit(" | ".join(" ".join(cell) for cell in self.cells if cell), self.row, 0)
        elif name == "tbl":
            self.tables -= 1
            if not self.tables:
                self._blank()

    def _paragraph(self, number: int, text: str) -> None:
        if self.tables and self.cells:
            self.cells[-1] += [" ".join(text.split())] if text else []
        elif text:
            self._emit(" ".join(text.split()) if self.level else text, number, self.level)
            self._blank()
            self.level = 0

    def _emit(self, text: str, number: int, level: int) -> None:
        if text:
            self.ready.append(Line(text + "\n", number, self.at, level))
            self.at += len(text) + 1

    def _blank(self) -> None:
        self.ready.append(Line("\n", self.number, self.at))
        self.at += 1
