"""JSONL and CSV: documents and rerank requests."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from resift.arguments import items, nearest
from resift.errors import InputError
from resift.files.encoding import open_text
from resift.files.records import ID_FIELDS, checked, flat, id_of, identified, own_part
from resift.types import Document, Query

TITLE_FIELDS = ("title", "heading", "question", "name")
TEXT_FIELDS = ("text", "contents", "content", "body", "passage", "answer", "description")
REQUEST = ("id", "query", "documents")  # the fields of a rerank request
# Those of an answer, which is a request again: its results, in their order, for the same query.
_ANSWER = ("schema", "query", "reranked", "reason", "results", "trace", "model", "stage", "tokens", "ms", "threshold")
_LONGEST_LINE = 64 << 20  # characters: a line has to fit into memory several times over


def document(value: object, default_id: str, metadata: Mapping[str, Any] | None = None) -> Document:
    """A string or a mapping as a Document.

    A mapping's id, title and text are looked for under ID_FIELDS, TITLE_FIELDS and TEXT_FIELDS; without a text field,
    all its strings together are the text, but not beside a "text" of null. The other entries become metadata, and so
    do those of an object "metadata"; of a result that Resift gave, the document alone is taken.

    Raises:
        InputError: neither a string nor a mapping, a mapping without any string, one whose "text" is none, or an id
            that is neither a text, a whole number nor a UUID.

    """
    if isinstance(value, Document):
        return checked(value, f"document {default_id}")
    if isinstance(value, str):
        return Document(default_id, value, metadata=metadata or {})
    if not isinstance(value, Mapping):
        raise InputError(
            f"document {default_id} is of type {type(value).__name__}; give a string or an object with text"
        )
    if isinstance(value.get("text"), (bool, float, list, Mapping)):  # the other strings would be judged in its place
        raise InputError(f"document {default_id} has a text of type {type(value['text']).__name__}; give a string")
    value = own_part(value)
    id_field, id_ = identified(value, f"document {default_id}")
    found = {
        role: next((f for f in fields if isinstance(value.get(f), (str, int)) and not isinstance(value[f], bool)), None)
        for role, fields in (("title", TITLE_FIELDS), ("text", TEXT_FIELDS))
    }
    rest = {k: v for k, v in value.items() if k not in (*found.values(), id_field)}
    title = str(value[found["title"]]) if found["title"] else ""
    if found["text"]:
        text = str(value[found["text"]])
    else:
        absent = "text" in value  # null: no other string stands in its place
        strings = [] if absent else [str(v) for v in rest.values() if isinstance(v, str)]
        if not strings and not title:
            raise InputError(f"document {default_id} has no text; expected one of the fields {', '.join(TEXT_FIELDS)}")
        text, rest = "\n".join(strings), {k: v for k, v in rest.items() if not isinstance(v, str)}
    return Document(default_id if id_ is None else id_, text, title, {**flat(rest), **(metadata or {})})


def documents(values: Iterable[object], metadata: Mapping[str, Any] | None = None) -> Iterator[Document]:
    """Each value as a Document, whose id is its position from "0" where it has none; see `document`.

    Raises:
        InputError: one document instead of a list of them.

    """
    if isinstance(values, Document):
        raise InputError("documents is one document, not a list; put it into a list: [document]")
    for i, value in enumerate(items(values, "documents", "document")):
        yield document(value, str(i), metadata)


def read_jsonl(path: Path) -> Iterator[Document]:
    """Stream a JSONL file (.gz too) as documents under their own ids."""
    at = 0
    with open_text(path) as file:
        for number, line in enumerate(_lines(file, path), 1):
            if line.strip():
                value = _json(line, f"{path}:{number}")
                place = {"path": str(path), "line": number, "start": at, "end": at + len(line.rstrip("\r\n"))}
                yield document(value, f"{path}:{number}", place)
            at += len(line)


def _lines(file: TextIO, path: Path) -> Iterator[str]:
    """Stream a file's lines, refusing one that is as long as a whole file would be."""
    number = 1
    while line := file.readline(_LONGEST_LINE + 1):
        if len(line) > _LONGEST_LINE:
            raise InputError(f"{path}:{number}: a line of over {_LONGEST_LINE >> 20} MB; put one record on each line")
        yield line
        number += 1


def _json(line: str, where: str) -> Any:  # noqa: ANN401 - whatever the line holds
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:  # beside bad syntax: a number too long, lists nested too deep
        message = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        raise InputError(f"{where}: not a JSON value ({message}); JSONL has one object per line") from error


def read_csv(path: Path) -> Iterator[Document]:
    """Stream a CSV file's rows as documents; its first row names the fields.

    Raises the limit that the module csv sets for a cell, of 131,072 characters, for the whole process.
    """
    csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_LINE))
    with open_text(path) as file:
        lines = _Watched(_lines(file, path))
        reader, names, begins = csv.reader(lines), list[str](), 1
        try:
            for row in reader:
                if lines.ended:  # csv takes all that follows an unclosed quote for one cell
                    raise csv.Error(f"a quote that is opened in line {begins} or behind it is never closed")
                begins = reader.line_num + 1
                cells = dict(zip(names, row, strict=False))
                if any(v.strip() for v in cells.values()):
                    place = {"path": str(path), "line": reader.line_num}
                    yield document(cells, f"{path}:{reader.line_num}", place)
                names = names or row
        except csv.Error as error:
            raise InputError(f"{path}:{reader.line_num}: {error}; mend the quotes around there") from error


class _Watched:
    """Lines, and whether all of them were read: a row that is complete is given before the next line is asked for."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines, self.ended = lines, False

    def __iter__(self) -> Iterator[str]:
        yield from self._lines
        self.ended = True


def read_requests(file: Iterable[str], where: str) -> Iterator[tuple[Query, list[Document]]]:
    """Read JSONL rerank requests: {"query": text or {"id", "text"}, "documents": [text or {"id", "text", "title"}]}.

    An answer of Resift (docs/json.md) is a request too: its results are the documents.

    Raises:
        InputError: a line of another shape, or with a field that is not known; the message names it.

    """
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        value = _json(line, f"{where}:{number}")
        try:
            yield _request(value, number)
        except InputError as error:
            raise InputError(f"{where}:{number}: {error}") from error


def _request(value: Any, number: int) -> tuple[Query, list[Document]]:  # noqa: ANN401 - whatever the line holds
    if not isinstance(value, dict) or not isinstance(value.get("query"), (str, dict)):
        raise InputError('expected an object with "query" and "documents"')
    answer = "schema" in value and "documents" not in value
    refuse_unknown(value, _ANSWER if answer else REQUEST)
    query, field = value["query"], "results" if answer else "documents"
    if isinstance(query, dict):
        refuse_unknown(query, ("text", *ID_FIELDS))
        if not isinstance(query.get("text"), str):
            raise InputError('"query" is an object without a "text"; give a string, or an object with id and text')
        _, id_ = identified(query, "the query")
    else:
        id_ = None
    if id_ is None:
        id_ = id_of(number if value.get("id") is None else value["id"], "the request")
    if not isinstance(value.get(field), list):
        raise InputError(f'"{field}" must be a list of strings or objects')
    return Query(query if isinstance(query, str) else query["text"], id_), list(documents(value[field]))


def refuse_unknown(value: Iterable[str], known: Sequence[str]) -> None:
    """Refuse an object with a field that is not known, so that a typo is not silence.

    Raises:
        InputError: names the first such field, the one that may have been meant, and those that there are.

    """
    if unknown := [name for name in value if name not in known]:
        name = unknown[0][:100]
        raise InputError(f"there is no field {name!r}{nearest(name, known)}; there are {', '.join(known)}")
