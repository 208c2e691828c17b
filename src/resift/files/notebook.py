"""Jupyter notebooks: the sources of Markdown and code cells, not their outputs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from resift.errors import InputError
from resift.files.encoding import open_text
from resift.text import markup
from resift.text.clean import clean
from resift.text.data_uris import without_data
from resift.text.passages import Line, passages
from resift.types import Document

_ABOVE = 0  # the cell number of headings from cells above


def read_notebook(path: Path) -> Iterator[Document]:
    """Stream a notebook's passages, none across cells; metadata: path and cell (from 1). The file is held whole.

    The headings of Markdown cells are the titles of the cells below them too.

    Raises:
        InputError: not JSON, or not a notebook of format 4.

    """
    above: list[Line] = []
    waiting: list[Line] = []  # headings that have no text under them yet
    for lines in chain(_cells(path), [None]):
        if lines is None:
            ready, waiting = waiting, []
        else:
            cell = waiting + list(lines)
            texts = [i for i, line in enumerate(cell) if line.text.strip() and not line.level]
            cut = texts[-1] + 1 if texts else 0
            ready, waiting = cell[:cut], [line for line in cell[cut:] if line.level]
        for p in passages(above + ready):
            if p.line != _ABOVE:
                place = {"path": str(path), "cell": p.line}
                yield Document(f"{path}#cell={p.line}:{p.start}-{p.end}", clean(p.text), clean(p.title), place)
        above = _path(above, ready)


def _path(above: Iterable[Line], lines: Iterable[Line]) -> list[Line]:
    """The headings that apply to the lines after these."""
    path: list[Line] = []
    for line in chain(above, lines):
        if line.level:
            path = [h for h in path if h.level < line.level]
            path.append(Line(line.text, _ABOVE, 0, line.level, 0))
    return path


def _cells(path: Path) -> Iterator[Iterator[Line]]:
    """The lines of each cell; their line number is the number of the cell."""
    for number, cell in enumerate(_json(path), 1):
        source = cell.get("source") if isinstance(cell, dict) else None
        if isinstance(source, list) and all(isinstance(part, str) for part in source):
            source = "".join(source)
        if not isinstance(source, str):
            raise InputError(f"{path}: cell {number} has no source; open the notebook in Jupyter and save it again")
        if cell.get("cell_type") in ("markdown", "code"):
            reader = markup.markdown if cell["cell_type"] == "markdown" else markup.plain
            yield reader(without_data(_lines(source, number)))


def _json(path: Path) -> list[Any]:
    try:
        with open_text(path) as file:
            notebook = json.load(file)
    except UnicodeDecodeError:
        raise
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is a broken notebook ({error}); open it in Jupyter and save it again") from error
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(cells, list):
        raise InputError(f"{path} is no notebook of format 4; convert it: jupyter nbconvert --to notebook {path.name}")
    return cells


def _lines(source: str, number: int) -> Iterator[Line]:
    at = 0
    for text in source.splitlines(keepends=True):
        yield Line(text, number, at)
        at += len(text)
