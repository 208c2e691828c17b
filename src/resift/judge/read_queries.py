"""Queries without judgements: one per line, JSONL or a table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resift import files
from resift.errors import InputError
from resift.files.csv_tables import read_rows
from resift.files.encoding import kind
from resift.files.formats import blamed_on
from resift.types import Query

_JSONL, _TABLES = (".jsonl", ".ndjson"), (".tsv", ".csv")


@dataclass(frozen=True, slots=True)
class QueryFile:
    """The queries of a file, each once, and how many lines repeated one."""

    queries: tuple[Query, ...]
    repeated: int


def read_queries(path: Path) -> QueryFile:
    """Read a file of queries; those without an id get that of their line, from "q1".

    JSONL has a string or an object on each line, with the text under "query", or under a field of a document; so does
    a table. In any other file each line that is not blank is a query.

    Raises:
        InputError: unreadable, malformed, without a query, or one id has two texts.

    """
    queries: dict[str, Query] = {}
    texts: set[str] = set()
    repeated = 0
    for query in _read(path):
        if queries.get(query.id, query).text != query.text:
            raise InputError(f"{path}: two queries have the id {query.id!r}; give each its own")
        if query.text in texts:
            repeated += 1
            continue
        texts.add(query.text)
        queries[query.id] = query
    if not queries:
        raise InputError(f"{path} has no query; write one on each line")
    return QueryFile(tuple(queries.values()), repeated)


def _read(path: Path) -> Iterator[Query]:
    suffix = kind(path)
    if suffix in _TABLES:
        with blamed_on(path):
            yield from (_query(cells, number, path) for number, cells in read_rows(path))
        return
    for number, line in enumerate(files.read_lines(str(path)), 1):
        if line.strip():
            yield _query(_json(line, number, path) if suffix in _JSONL else line.strip(), number, path)


def _json(line: str, number: int, path: Path) -> Any:  # noqa: ANN401 - whatever the line holds
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}:{number}: not a JSON value ({error}); JSONL has one object per line") from error


def _query(value: Any, number: int, path: Path) -> Query:  # noqa: ANN401 - whatever the line holds
    if isinstance(value, Mapping) and isinstance(value.get("query"), str):
        value = {**value, "text": value["query"]}
    try:
        record = files.document(value, f"q{number}")
    except InputError as error:
        raise InputError(f"{path}:{number}: {error}") from error
    text = " ".join((record.text or record.title).split())
    if not text:
        raise InputError(f"{path}:{number}: the query is empty; remove the line, or write a text")
    return Query(text, record.id)
