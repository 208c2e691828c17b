"""Records as documents, JSONL, and rerank requests."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from resift.arguments import items, nearest
from resift.errors import InputError
from resift.files.encoding import open_text
from resift.files.records import ID_FIELDS, checked, flat, id_of, identified, own_part
from resift.types import Document, Query

TITLE_FIELDS = ("title", "heading", "question", "name", "subject")
TEXT_FIELDS = ("text", "contents", "content", "body", "passage", "answer", "description", "abstract")
REQUEST = ("id", "query", "documents")  # the fields of a rerank request
# Those of an answer, which is a request again: its results, in their order, for the same query.
_ANSWER = ("schema", "query", "reranked", "reason", "results", "trace", "left_out", "model", "stage", "tokens", "ms",
           "threshold")  # fmt: skip
LONGEST_LINE = 64 << 20  # characters; a line has to fit into memory several times


def document(value: object, default_id: str, metadata: Mapping[str, Any] | None = None) -> Document:
    """A string or a mapping as a Document.

    A mapping's id, title and text are under ID_FIELDS, TITLE_FIELDS and TEXT_FIELDS, in capitals or not. Without a text
    field all its strings together are the text, with their names where there are several; where "text" is null, the
    text is empty. The other entries become metadata, and so do those of an object "metadata". Of a result of Resift
    only the document is used. A list of strings, or of parts with a text each, is a text with one line for each; the
    field "text" itself may be no list.

    Raises:
        InputError: neither a string nor a mapping, a mapping without any string, one whose text is no text, or an id
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
    names = _roles(value)
    rest = {k: v for k, v in value.items() if k not in names.values()}
    id_ = id_of(value[names["id"]], f"document {default_id}") if "id" in names else default_id
    title = str(value[names["title"]]) if "title" in names else ""
    if "text" in names:
        text = _text_of(value[names["text"]])
        if text is None:
            raise InputError(
                f"document {default_id} has a {names['text']!r} that is a list of something else than strings; "
                "give a string, or a list of strings"
            )
    else:
        absent = "text" in value  # null: no other string stands in its place
        texts = {} if absent else {k: t for k, v in rest.items() if (t := _text_of(v)) is not None and _is_prose(v)}
        if not texts and not title:
            raise InputError(f"document {default_id} has no text; expected one of the fields {', '.join(TEXT_FIELDS)}")
        text = "\n".join(texts.values() if len(texts) == 1 else (f"{k}: {t}" for k, t in texts.items() if t.strip()))
        rest = {k: v for k, v in rest.items() if k not in texts}
    return Document(id_, text, title, {**flat(rest), **(metadata or {})})


def documents(values: Iterable[object], metadata: Mapping[str, Any] | None = None) -> Iterator[Document]:
    """Each value as a Document, whose id is its position from "0" where it has none; see `document`.

    Raises:
        InputError: one document instead of a list of them.

    """
    if isinstance(values, Document):
        raise InputError("documents is one document, not a list; put it into a list: [document]")
    for i, value in enumerate(items(values, "documents", "document")):
        yield document(value, str(i), metadata)


def _roles(value: Mapping[Any, Any]) -> dict[str, Any]:
    """The keys of a mapping's id, title and text, without those that it lacks."""
    spelling: dict[str, Any] = {}
    for key in value:
        if isinstance(key, str):
            spelling.setdefault(key.strip().lower(), key)
            if key == key.lower():  # before one in capitals
                spelling[key] = key
    names: dict[str, Any] = {}
    for role, fields in (("id", ID_FIELDS), ("title", TITLE_FIELDS), ("text", TEXT_FIELDS)):
        keys = [spelling[f] for f in fields if f in spelling]
        name = next((key for key in keys if _fits(role, value[key])), None)
        if name is not None:
            names[role] = name
    return names


def _fits(role: str, value: object) -> bool:
    """Whether a value may have a role; any value may be an id, and `id_of` refuses the wrong ones."""
    if role == "id":
        return value is not None
    return isinstance(value, (str, int, list) if role == "text" else (str, int)) and not isinstance(value, bool)


def _is_prose(value: object) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and bool(value))


def _text_of(value: object) -> str | None:
    """A string, a number, or a list of strings or of {"text": …}, as one text; None for anything else."""
    if isinstance(value, (str, int)):
        return str(value)
    if not isinstance(value, list):
        return None
    parts = [part.get("text") if isinstance(part, Mapping) else part for part in value]
    texts = [part for part in parts if isinstance(part, str)]
    return "\n".join(texts) if len(texts) == len(parts) else None


def read_jsonl(path: Path) -> Iterator[Document]:
    """Stream a JSONL file (in gzip too) as documents under their own ids."""
    with open_text(path) as file:
        yield from jsonl_documents(file, path)


def jsonl_documents(file: TextIO, path: Path) -> Iterator[Document]:
    """Stream the documents of a JSONL file that is open."""
    at = 0
    for number, line in enumerate(record_lines(file, path), 1):
        if line.strip():
            value = _json(line, f"{path}:{number}")
            place = {"path": str(path), "line": number, "start": at, "end": at + len(line.rstrip("\r\n"))}
            yield document(value, f"{path}:{number}", place)
        at += len(line)


def looks_like_jsonl(head: str) -> bool:
    """Whether the first line of a file, of which `head` is the beginning, is or begins an object."""
    head = head.lstrip()
    try:
        return isinstance(json.JSONDecoder().raw_decode(head)[0], dict) if head.startswith("{") else False
    except (ValueError, RecursionError):
        return head.startswith('{"') and "\n" not in head  # an object that is longer than the beginning


def record_lines(file: TextIO, path: Path) -> Iterator[str]:
    """Stream a file's lines, and refuse a line that is too long for a record."""
    number = 1
    while line := file.readline(LONGEST_LINE + 1):
        if len(line) > LONGEST_LINE:
            raise InputError(f"{path}:{number}: a line of over {LONGEST_LINE >> 20} MB; put one record on each line")
        yield line
        number += 1


def _json(line: str, where: str) -> Any:  # noqa: ANN401 - whatever the line holds
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:  # beside bad syntax: a number too long, lists nested too deep
        message = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        raise InputError(f"{where}: not a JSON value ({message}); JSONL has one object per line") from error


def read_requests(file: Iterable[str], where: str) -> Iterator[tuple[Query, list[Document]]]:
    """Read JSONL rerank requests: {"query": text or {"id", "text"}, "documents": [text or {"id", "text", "title"}]}.

    An answer of Resift (docs/json.md) is a request too: its results are the documents.

    Raises:
        InputError: a line has another shape or an unknown field; the message names it.

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
    """Refuse an object with an unknown field, so that a typo does not go unnoticed.

    Raises:
        InputError: names the first such field, the known one that is most like it, and all known ones.

    """
    if unknown := [name for name in value if name not in known]:
        name = unknown[0][:100]
        raise InputError(f"there is no field {name!r}{nearest(name, known)}; there are {', '.join(known)}")
