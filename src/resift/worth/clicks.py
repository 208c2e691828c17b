"""Reads what people clicked: a query, a document's id, and whether it was clicked, on each line or row."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from resift import files
from resift.arguments import identity
from resift.errors import InputError
from resift.evaluate.dataset import Dataset
from resift.evaluate.read_data import DataFiles, file_of
from resift.files.csv_tables import read_rows
from resift.files.encoding import kind
from resift.files.formats import blamed_on
from resift.types import Query

MOST = 10  # what a click counts at most, however far down it was
_FIELDS: Mapping[str, Sequence[str]] = {
    "query": ("query", "q"),
    "document": ("document", "document_id", "doc_id", "docid", "doc"),
    "clicked": ("clicked", "click", "clicks"),
    "position": ("position", "rank"),
}
_YES, _NO = ("1", "true", "yes"), ("0", "false", "no", "")
_SHAPE = "write a query, a document (its id), clicked (0 or 1) and, if known, the position from 1"


@dataclass(frozen=True, slots=True)
class Clicks:
    """Clicks as judgements.

    Attributes:
        data: the queries, and the documents with a grade of 1 where one was clicked, 0 where it was only shown.
        gains: what each document is worth, by query id and document id. A click counts 1, or where its position is
            known so much as that position, 10 at most: what stands further down is looked at less often (inverse
            propensities, Joachims, Swaminathan & Schnabel, Unbiased learning-to-rank with biased feedback, 2017, with
            1 / position as the chance of a look).
        lines: how many were read.

    """

    data: Dataset
    gains: Mapping[str, Mapping[str, float]]
    lines: int

    @property
    def graded(self) -> Dataset:
        """The data with gains as grades; they are whole numbers, since positions are."""
        qrels = {query: {i: round(gain) for i, gain in of_query.items()} for query, of_query in self.gains.items()}
        return replace(self.data, qrels={query.id: qrels[query.id] for query in self.data.queries})


def read_clicks(path: Path, documents: Path) -> Clicks:
    """Read a JSONL, CSV or TSV file of clicks on the documents of another file.

    Queries whose texts are equal are one; a query without a click is left out, and an issue of the data counts them.

    Raises:
        InputError: a line without a query, document or clicked, a value that is none, or ids that are not among the
            documents.

    """
    queries: dict[str, Query] = {}
    gains: dict[str, dict[str, float]] = {}
    lines = 0
    with blamed_on(path):
        for value, where in _values(path):
            lines += 1
            text, document, gain = _click(value, where)
            id_ = f"q-{sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"
            queries.setdefault(id_, Query(text, id_))
            of_query = gains.setdefault(id_, {})
            of_query[document] = of_query.get(document, 0.0) + gain
    if not lines:
        raise InputError(f"{path} has no line; {_SHAPE}")
    qrels = {id_: {document: int(gain > 0) for document, gain in row.items()} for id_, row in gains.items()}
    return Clicks(Dataset.of(queries.values(), files.read_file(documents), qrels, name=path.name), gains, lines)


def clicks_of(source: DataFiles, clicks: Path) -> Clicks:
    """The clicks of a file on the documents of a data set.

    Raises:
        InputError: as `read_clicks`, no documents, or other judgements beside the clicks.

    """
    if any((source.queries, source.qrels, source.run, source.split)):
        raise InputError(
            "clicks have queries and judgements themselves; leave --queries, --qrels, --run and --split out"
        )
    documents = source.documents or file_of(source.data, "corpus")
    if documents is None:
        raise InputError("clicks name documents by their ids; give the documents with --documents, or a folder")
    return read_clicks(clicks, documents)


def _values(path: Path) -> Iterator[tuple[Mapping[str, Any], str]]:
    if kind(path) in (".csv", ".tsv"):
        for number, cells in read_rows(path):
            yield {name.strip().lower(): cell.strip() for name, cell in cells.items()}, f"{path}:{number}"
        return
    with files.open_text(path) as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield _object(line, f"{path}:{number}"), f"{path}:{number}"


def _object(line: str, where: str) -> Mapping[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not a JSON value ({error}); {_SHAPE}") from error
    if not isinstance(value, dict):
        raise InputError(f"{where}: no object; {_SHAPE}")
    return value


def _click(value: Mapping[str, Any], where: str) -> tuple[str, str, float]:
    """The query, the document's id, and what the click counts; 0 without one."""
    row = {role: next((value[f] for f in fields if f in value), None) for role, fields in _FIELDS.items()}
    for role in ("query", "document", "clicked"):
        if row[role] is None:
            raise InputError(f"{where}: no {role}; {_SHAPE}")
    if not isinstance(row["query"], str) or not row["query"].strip():
        raise InputError(f"{where}: the query {row['query']!r} is no text; {_SHAPE}")
    if not (document := identity(row["document"])):
        raise InputError(f"{where}: the document {row['document']!r} is no id; {_SHAPE}")
    clicked = str(row["clicked"]).strip().lower()
    if clicked not in (*_YES, *_NO):
        raise InputError(f"{where}: clicked is {row['clicked']!r}; write 0 or 1")
    return row["query"].strip(), document, _position(row["position"], where) if clicked in _YES else 0.0


def _position(value: object, where: str) -> float:
    """What a click at a position counts; 1 where the position is not known."""
    if value is None or value == "":
        return 1.0
    text = str(value).strip()
    if isinstance(value, bool) or not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise InputError(f"{where}: the position {value!r} is no whole number from 1")
    return float(min(int(text), MOST))
