"""Queries with judged documents in one file: JSONL with a query on each line, or a table with a pair in each row.

A line of JSONL has a "query", and "documents" with a grade each, or "positives" and "negatives" (also "pos" and "neg"),
which have the grades 1 and 0, or one "document" (or "text") and its grade. A row of a table has the columns query,
document and grade, and may have query_id, document_id and title, as a line of one document may; other columns are
metadata. What has no id gets one from its text, so that equal texts are one query or one document.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from resift import files
from resift.errors import InputError
from resift.files.csv_tables import read_rows
from resift.files.encoding import kind
from resift.files.formats import blamed_on
from resift.files.records import id_of, identified
from resift.types import Document, Query

GRADE_FIELDS = ("grade", "label", "relevance", "relevant", "rel", "rating")
_LISTS = {"positives": 1, "positive": 1, "pos": 1, "negatives": 0, "negative": 0, "neg": 0}
_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "query": ("query", "question", "q"),
    "query_id": ("query_id", "qid", "query-id"),
    "document": ("document", "doc", *files.TEXT_FIELDS),
    "document_id": ("document_id", "doc_id", "docid", "pid", "corpus-id"),
    "title": ("title",),
    "grade": (*GRADE_FIELDS, "score"),
}
_SHAPE = (
    'a line is {"query": "…", "documents": [{"text": "…", "grade": 2}, …]}, or it has "positives" and "negatives", or '
    'a "document" and its "grade"'
)


class JudgedPairs:
    """Streams the documents of a file, and collects its queries and grades on the way.

    Attributes:
        queries: by id; complete when all documents were read.
        qrels: grades by query id and document id; complete when all documents were read.

    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.queries: dict[str, Query] = {}
        self.qrels: dict[str, dict[str, int]] = {}

    def documents(self) -> Iterator[Document]:
        """Each document of the file, as often as it stands there.

        Raises:
            InputError: a line of another shape, a grade that is no whole number, or two grades for one pair.

        """
        table = kind(self.path) in (".csv", ".tsv")
        with blamed_on(self.path):
            for query, document, grade, where in self._of_table() if table else self._of_lines():
                if self.queries.setdefault(query.id, query).text != query.text:
                    raise InputError(f"{where}: another query has the id {query.id!r}")
                grades = self.qrels.setdefault(query.id, {})
                if grades.setdefault(document.id, grade) != grade:
                    raise InputError(
                        f"{where}: document {document.id!r} has the grade {grade}, and {grades[document.id]} before; "
                        "one pair has one grade"
                    )
                yield document

    def _of_lines(self) -> Iterator[tuple[Query, Document, int, str]]:
        with files.open_text(self.path) as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                where = f"{self.path}:{number}"
                value = _object(line, where)
                query = _query(value, where)
                for document, grade in _judged(value, where):
                    yield query, document, grade, where

    def _of_table(self) -> Iterator[tuple[Query, Document, int, str]]:
        for number, cells in read_rows(self.path):
            where = f"{self.path}:{number}"
            names = {name.strip().lower(): name for name in cells}
            columns = {
                role: names[field]
                for role, fields in _COLUMNS.items()
                if (field := next((f for f in fields if f in names), None)) is not None
            }
            row = {role: cells[column].strip() for role, column in columns.items()}
            if missing := [role for role in ("query", "document", "grade") if role not in row]:
                raise InputError(
                    f"{self.path} has no column for {' and '.join(missing)}; name the columns query, document, grade"
                )
            text, title = row["document"], row.get("title", "")
            beside = {field: cell for field, cell in cells.items() if field not in columns.values()}
            document = Document(row.get("document_id") or _id("d", title, text), text, title, beside)
            query = Query(row["query"], row.get("query_id") or _id("q", row["query"]))
            yield query, document, _grade(row["grade"], where), where


def _object(line: str, where: str) -> Mapping[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not a JSON value ({error}); {_SHAPE}") from error
    if not isinstance(value, dict):
        raise InputError(f"{where}: no object; {_SHAPE}")
    return value


def _query(value: Mapping[str, Any], where: str) -> Query:
    query = value.get("query")
    text = query.get("text") if isinstance(query, Mapping) else query
    if not isinstance(text, str):
        raise InputError(f"{where}: no query; {_SHAPE}")
    id_ = identified(query, where)[1] if isinstance(query, Mapping) else _id_in(value, "query_id", where)
    return Query(text, id_ or identified(value, where)[1] or _id("q", text))


def _id_in(value: Mapping[str, Any], role: str, where: str) -> str | None:
    """The id of a query or a document, under one of the names of its column."""
    field = next((name for name in _COLUMNS[role] if value.get(name) is not None), None)
    return None if field is None else id_of(value[field], where)


def _judged(value: Mapping[str, Any], where: str) -> Iterator[tuple[Document, int]]:
    lists = [name for name in ("documents", *_LISTS) if name in value]
    if not lists:
        yield _single(value, where)
    for name in lists:
        entries = value[name] if isinstance(value[name], list) else [value[name]]
        if name == "documents":
            yield from _graded(entries, where)
        else:
            yield from ((_document(entry, where), _LISTS[name]) for entry in entries)


def _single(value: Mapping[str, Any], where: str) -> tuple[Document, int]:
    """The one document of a line, which has the line's grade."""
    texts = {key: value[key] for key in ("title", "text") if key in value}
    if "document" not in value and "text" not in texts:
        raise InputError(f"{where}: no documents; {_SHAPE}")
    document = _document(value.get("document", texts), where)
    id_ = _id_in(value, "document_id", where)
    field = next((f for f in GRADE_FIELDS if f in value), None)
    if field is None:
        raise InputError(f"{where}: no grade; {_SHAPE}")
    return replace(document, id=id_) if id_ else document, _grade(value[field], where)


def _graded(entries: Iterable[Any], where: str) -> Iterator[tuple[Document, int]]:
    for i, entry in enumerate(entries):
        field = next((f for f in GRADE_FIELDS if f in entry), None) if isinstance(entry, Mapping) else None
        if field is None:
            raise InputError(f"{where}: document {i} has no grade; {_SHAPE}")
        rest = {key: v for key, v in entry.items() if key != field}
        yield _document(rest, where), _grade(entry[field], where)


def _document(value: Any, where: str) -> Document:  # noqa: ANN401 - whatever the line holds
    document = files.document(value, "")
    return document if document.id else replace(document, id=_id("d", document.title, document.text))


def _grade(value: object, where: str) -> int:
    """A grade as a whole number; "2", 2 and 2.0 are the same."""
    try:
        number = float(value) if isinstance(value, (str, int, float)) else float("nan")
    except ValueError:
        number = float("nan")
    if not number.is_integer():
        raise InputError(f"{where}: the grade {value!r} is no whole number; 0 is not relevant, 1 and more is")
    return int(number)


def _id(prefix: str, *texts: str) -> str:
    return f"{prefix}-{sha256(repr(texts).encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"
