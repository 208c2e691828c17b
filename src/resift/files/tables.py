"""Records as documents, JSONL, and rerank requests."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from resift.errors import InputError
from resift.files.encoding import open_text
from resift.types import Document, Query

ID_FIELDS = ("id", "_id", "pid", "qid", "docid", "doc_id", "sku")
TITLE_FIELDS = ("title", "heading", "question", "name", "subject")
TEXT_FIELDS = ("text", "contents", "content", "body", "passage", "answer", "description", "abstract")
LONGEST_LINE = 64 << 20  # characters: a line has to fit into memory several times over


def document(value: object, default_id: str, metadata: Mapping[str, Any] | None = None) -> Document:
    """A string or a mapping as a Document.

    A mapping's id, title and text are looked for under ID_FIELDS, TITLE_FIELDS and TEXT_FIELDS, in capitals or not;
    without a text field, all its strings together are the text, with their names where there are several, but not
    beside a "text" of null. The other entries become metadata. A list of strings, or of parts with a text each, is text
    too, one to a line, but for the field "text" itself.

    Raises:
        InputError: neither a string nor a mapping, a mapping without any string, or one whose text is none.

    """
    if isinstance(value, Document):
        return value
    if isinstance(value, str):
        return Document(default_id, value, metadata=metadata or {})
    if not isinstance(value, Mapping):
        raise InputError(
            f"document {default_id} is of type {type(value).__name__}; give a string or an object with text"
        )
    if isinstance(value.get("text"), (bool, float, list, Mapping)):  # the other strings would be judged in its place
        raise InputError(f"document {default_id} has a text of type {type(value['text']).__name__}; give a string")
    names = _roles(value)
    rest = {k: v for k, v in value.items() if k not in names.values()}
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
    id_ = str(value[names["id"]]) if "id" in names else default_id
    return Document(id_, text, title, {**rest, **(metadata or {})})


def _roles(value: Mapping[Any, Any]) -> dict[str, Any]:
    """The keys under which a mapping has its id, title and text, as far as it has them."""
    spelling: dict[str, Any] = {}
    for key in value:
        if isinstance(key, str):
            spelling.setdefault(key.strip().lower(), key)
            if key == key.lower():  # before one in capitals
                spelling[key] = key
    names: dict[str, Any] = {}
    for role, fields in (("id", ID_FIELDS), ("title", TITLE_FIELDS), ("text", TEXT_FIELDS)):
        kinds = (str, int, list) if role == "text" else (str, int)
        keys = (spelling[f] for f in fields if f in spelling)
        name = next((k for k in keys if isinstance(value[k], kinds) and not isinstance(value[k], bool)), None)
        if name is not None:
            names[role] = name
    return names


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
    """Whether a file that begins so has an object on its first line, as far as the beginning goes."""
    head = head.lstrip()
    try:
        return isinstance(json.JSONDecoder().raw_decode(head)[0], dict) if head.startswith("{") else False
    except (ValueError, RecursionError):
        return head.startswith('{"') and "\n" not in head  # an object that is longer than the beginning


def record_lines(file: TextIO, path: Path) -> Iterator[str]:
    """Stream a file's lines, refusing one that is as long as a whole file would be."""
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

    Raises:
        InputError: a line of another shape; the message names it.

    """
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        value = _json(line, f"{where}:{number}")
        query = value.get("query") if isinstance(value, dict) else None
        documents = value.get("documents") if isinstance(value, dict) else None
        if isinstance(query, dict) and isinstance(query.get("text"), str):
            asked = Query(query["text"], str(query.get("id", number)))
        elif isinstance(query, str):
            asked = Query(query, str(value.get("id", number)))
        else:
            raise InputError(f'{where}:{number}: expected an object with "query" and "documents"')
        if not isinstance(documents, list):
            raise InputError(f'{where}:{number}: "documents" must be a list of strings or objects')
        yield asked, [document(d, str(i)) for i, d in enumerate(documents)]
