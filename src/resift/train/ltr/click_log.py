"""Reads click logs: who was shown what at which position, and whether it was clicked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resift import files
from resift.errors import InputError
from resift.files.csv_tables import read_rows

_FORM = 'a line is {"query": "q1", "document": "d7", "position": 3, "clicked": true}, and "session" if you have one'
_TRUTHS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False, "": False}


@dataclass(frozen=True, slots=True)
class Impression:
    """One document that was shown: `position` counts from 1; rows of one `session` were one page of results."""

    session: int
    query: str
    document: str
    position: int
    clicked: bool


def read_clicks(path: Path) -> list[Impression]:
    """The impressions of a click log, in their order.

    Without sessions a new one begins where the query changes, or the position does not rise.

    Args:
        path: JSONL, CSV or TSV (gzip too) with query, document, position, clicked, and perhaps session.

    Raises:
        InputError: a file that can't be read, a line without these entries, or no click in all of it.

    """
    table = ".csv" in path.suffixes or ".tsv" in path.suffixes
    impressions: list[Impression] = []
    numbers: dict[object, int] = {}
    count = 0
    for where, entries in _table(path) if table else _lines(path):
        query, document, position, clicked = _checked(entries, where)
        last = impressions[-1] if impressions else None
        if "session" in entries:
            session = numbers.setdefault((entries["session"], query), len(numbers))
        else:
            count += last is None or last.query != query or position <= last.position
            session = count
        impressions.append(Impression(session, query, document, position, clicked))
    if not any(impression.clicked for impression in impressions):
        raise InputError(f"{path} has no click in {len(impressions)} lines; {_FORM}")
    return impressions


def _lines(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number, line in enumerate(files.read_lines(str(path)), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}:{number} is not JSON ({error}); {_FORM}") from error
        if not isinstance(value, dict):
            raise InputError(f"{path}:{number} is no object; {_FORM}")
        yield f"{path}:{number}", value


def _table(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number, row in read_rows(path):
        yield f"{path}:{number}", row


def _checked(entries: Mapping[str, Any], where: str) -> tuple[str, str, int, bool]:
    if missing := [name for name in ("query", "document", "position", "clicked") if name not in entries]:
        raise InputError(f"{where} has no {', '.join(missing)}; {_FORM}")
    query, document = str(entries["query"]).strip(), str(entries["document"]).strip()
    if not query or not document:
        raise InputError(f"{where} has an empty {'document' if query else 'query'}; {_FORM}")
    position, clicked = str(entries["position"]).strip(), str(entries["clicked"]).strip().lower()
    if not position.isdecimal() or int(position) < 1:
        raise InputError(f"{where} has the position {entries['position']!r}; positions count from 1")
    if clicked not in _TRUTHS:
        raise InputError(f"{where} has {entries['clicked']!r} as clicked; write true or false")
    return query, document, int(position), _TRUTHS[clicked]
