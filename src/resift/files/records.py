"""Ids and metadata of records, which come from JSONL, Python or the answer of a server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from resift.arguments import identity
from resift.errors import InputError
from resift.types import Document

DocumentLike = str | Mapping[str, Any] | Document  # the types that a caller may pass as a document

ID_FIELDS = ("id", "_id", "pid", "qid", "docid", "doc_id", "sku")
# Fields of a result of Resift beside those of the document: they belong to an earlier query and are no metadata.
_ALWAYS = frozenset(("rank", "first_rank", "flags", "signals"))
_VERDICT = _ALWAYS | {"score", "span", "index", "probability", "level"}


def own_part(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """The record, or only the document where the record is a result of Resift (docs/json.md)."""
    result = value.keys() >= _ALWAYS and isinstance(value["signals"], list)
    return {k: v for k, v in value.items() if k not in _VERDICT} if result else value


def identified(value: Mapping[str, Any], where: str) -> tuple[str, str | None]:
    """The field that holds a record's id, and the id; "" and None where there is none.

    Raises:
        InputError: the id is neither a text, a whole number nor a UUID.

    """
    field = next((f for f in ID_FIELDS if value.get(f) is not None), "")
    return (field, id_of(value[field], where)) if field else ("", None)


def id_of(value: object, where: str) -> str:
    """An id as text.

    Raises:
        InputError: neither a text, a whole number nor a UUID; `where` begins the message.

    """
    if (text := identity(value)) is None:
        raise InputError(f"{where} has an id of type {type(value).__name__}; give a text, a whole number or a UUID")
    return text


def flat(rest: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata in one layer: the fields under "metadata" and those beside text, title and id.

    Where both have a name, it gets the value beside the text, and the other value stays under "metadata".
    """
    nested = rest.get("metadata")
    if nested is not None and not isinstance(nested, Mapping):
        return dict(rest)
    beside = {k: v for k, v in rest.items() if k != "metadata"}
    clash = {k: v for k, v in (nested or {}).items() if k in beside and beside[k] != v}
    return {**(nested or {}), **beside, **({"metadata": clash} if clash else {})}


def checked(document: Document, where: str) -> Document:
    """A Document with its id as text; callers without a type checker pass other types.

    Raises:
        InputError: title or text is not a string, or `id_of` refuses the id.

    """
    for name, value in (("title", document.title), ("text", document.text)):
        _refuse_other(value, f"{where} has a {name}")
    text = id_of(document.id, where)
    return document if text is document.id else replace(document, id=text)


def _refuse_other(value: object, what: str) -> None:
    if not isinstance(value, str):
        raise InputError(f"{what} of type {type(value).__name__}; give a string")
