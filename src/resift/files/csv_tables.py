"""Tables as text, CSV and TSV with any of the usual separators -> documents."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from resift.errors import InputError
from resift.files.encoding import kind, open_text
from resift.files.records import ID_FIELDS
from resift.files.tables import LONGEST_LINE, TEXT_FIELDS, TITLE_FIELDS, document, record_lines
from resift.types import Document

_FIELDS = frozenset((*ID_FIELDS, *TITLE_FIELDS, *TEXT_FIELDS))
_SEPARATORS = (",", ";", "\t", "|")
_SEPARATOR_LINE = re.compile(
    r"\s*sep=(.)\s*$", re.IGNORECASE
)  # the line above the table by which a spreadsheet names the separator
_MOST_WORDS = 5  # of a column's name


class _Form(NamedTuple):
    """The separator of cells, whether a space behind it belongs to it, and whether a cell may stand in quotes."""

    separator: str
    spaced: bool
    quotes: bool


def read_csv(path: Path) -> Iterator[Document]:
    """Stream the rows of a CSV or TSV file as documents; see `read_rows`."""
    for number, cells in read_rows(path):
        yield document(cells, f"{path}:{number}", {"path": str(path), "line": number})


def read_rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Stream the rows of a CSV or TSV file, each with its line and its cells by name; the first row names the fields.

    The separator is the comma, semicolon, tab or bar that the first row has most of, or the one of a line `sep=;` above
    it. A first row that has a number or a sentence but none of the known field names is data; two cells are then id
    and text. More cells than the header has belong to a text in its last column, whose separators are not quoted.

    The module csv limits a cell to 131,072 characters; this raises that limit for the whole process.

    Raises:
        InputError: a quote that is never closed, or a row with more cells than the header where they can't be text.

    """
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST_LINE))
    with open_text(path) as file:
        lines = record_lines(file, path)
        above = 0
        first = next(lines, "")
        tsv = kind(path) == ".tsv"
        separator = "\t" if tsv else ""
        if separator_line := _SEPARATOR_LINE.match(first):
            above, first, separator = 1, next(lines, ""), separator_line[1]
        form = _form(first, separator, tsv)
        names: list[str] = []
        for number, row in _rows(chain([first], lines), form, path, above):
            if not names and any(row):
                names = _names(row)
                if not _is_data(row):
                    continue
            cells = _cells(row, names, form, f"{path}:{number}")
            if any(v.strip() for v in cells.values()):
                yield number, cells


def _form(first: str, separator: str, tsv: bool) -> _Form:
    """The form of a table, by its first row."""
    if not separator:
        counts = {s: len(next(csv.reader([first], delimiter=s), [])) for s in _SEPARATORS}
        separator = max(_SEPARATORS, key=lambda s: counts[s])
    behind = re.findall(re.escape(separator) + r"(\s?)", first.strip())
    return _Form(separator, separator != "\t" and bool(behind) and all(behind), not tsv)


def _rows(lines: Iterable[str], form: _Form, path: Path, above: int) -> Iterator[tuple[int, list[str]]]:
    """Each row with the number of its last line; `above` lines stand above the first row."""
    if not form.quotes:
        for number, line in enumerate(lines, above + 1):
            yield number, [_bare(cell) for cell in line.rstrip("\r\n").split(form.separator)]
        return
    counted = _CountedLines(iter(lines))
    reader = csv.reader(counted, delimiter=form.separator, skipinitialspace=form.spaced)
    begins = above + 1
    try:
        for row in reader:
            if counted.complete:  # csv takes everything behind an unclosed quote for one cell
                raise csv.Error(f"a quote that is opened in line {begins} or behind it is never closed")
            begins = above + reader.line_num + 1
            yield above + reader.line_num, row
    except csv.Error as error:
        raise InputError(f"{path}:{above + reader.line_num}: {error}; mend the quotes around there") from error


class _CountedLines:
    """Lines, and whether the last of them was read: the module csv reads on only where a row is not complete."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines, self.complete = lines, False

    def __iter__(self) -> Iterator[str]:
        yield from self._lines
        self.complete = True


def _bare(cell: str) -> str:
    """A cell of a TSV file without the quotes that a spreadsheet put around it; TSV itself has no quotes."""
    inner = cell[1:-1]
    if len(cell) > 1 and cell[0] == cell[-1] == '"' and '"' not in inner.replace('""', ""):
        return inner.replace('""', '"')
    return cell


def _is_data(row: list[str]) -> bool:
    """Whether a first row looks like data: no known name, but a number in front, an id and words, or a sentence."""
    if _FIELDS.intersection(cell.strip().lower() for cell in row):
        return False
    has_number = row[0].strip().isdecimal()
    has_id = len(row) == 2 and any(c.isdigit() for c in row[0]) and len(row[1].split()) > 1
    return has_number or has_id or any(len(cell.split()) > _MOST_WORDS for cell in row)


def _names(row: list[str]) -> list[str]:
    """The names of the columns, each once: by the header, or made up above data."""
    if _is_data(row):
        if len(row) == 1:
            return ["text"]
        return ["id", "text"] if len(row) == 2 and len(row[0].split()) == 1 else _names([""] * len(row))
    names: list[str] = []
    for i, cell in enumerate(row, 1):
        name = cell.strip() or f"column {i}"
        names.append(name if name not in names else f"{name} (column {i})")
    return names


def _cells(row: list[str], names: list[str], form: _Form, where: str) -> dict[str, str]:
    """A row's cells by name; those that go beyond the header are more of a text in its last column."""
    beyond = row[len(names) :]
    if any(cell.strip() for cell in beyond):
        if names[-1].lower() not in TEXT_FIELDS and len(names) > 1:
            raise InputError(
                f"{where}: {len(row)} cells under a header of {len(names)}; "
                f"put quotes around a cell that has {form.separator!r} in it"
            )
        separator = form.separator + " " * form.spaced
        row = [*row[: len(names) - 1], separator.join(row[len(names) - 1 :])]
    return dict(zip(names, row, strict=False))
