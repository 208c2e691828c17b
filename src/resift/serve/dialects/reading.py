"""Requests as clients send them: null is absence, numbers and booleans may be strings, unknown fields are let be."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request

from resift.errors import InputError
from resift.types import Document

_TRUE, _FALSE = ("true", "1", "yes"), ("false", "0", "no")


async def read(request: Request) -> Body:
    """Return the JSON object of a request.

    Raises:
        InputError: no JSON, or no object.

    """
    try:
        fields = json.loads(await request.body(), parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise InputError("the body is not JSON; send an object in UTF-8") from error
    if not isinstance(fields, dict):
        raise InputError(f"the body is {_named(fields)}; send a JSON object")
    return Body(fields)


class Body:
    """The fields of a request; each reader names the field and what it found when it can't be used (InputError)."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = fields

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def get(self, name: str) -> Any:  # noqa: ANN401 - whatever JSON holds
        """The value as it was sent; None when it is absent."""
        return self._fields.get(name)

    def text(self, name: str, default: str = "") -> str:
        """A string, or an object that holds one as `text` or in the parts of its `content`."""
        value = self.get(name)
        if value is None:
            return default
        found = plain_text(value)
        if found is None:
            raise InputError(f"{name} must be a string; it is {_named(value)}")
        return found

    def query(self, name: str = "query") -> str:
        """The query, which must be there and not be blank."""
        query = self.text(name)
        if not query.strip():
            raise InputError("invalid request: query must not be empty or be only whitespace")
        return query

    def count(self, *names: str, least: int = 1) -> int | None:
        """A whole number of `least` or more, under the first of the names that is given."""
        name = next((n for n in names if self.get(n) is not None), None)
        if name is None:
            return None
        number = _whole(self.get(name))
        if number is None or number < least:
            raise InputError(f"{name} must be a whole number of {least} or more; it is {_named(self.get(name))}")
        return number

    def number(self, name: str, default: float) -> float:
        """A finite number."""
        value = self.get(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise InputError(f"{name} must be a number; it is {_named(value)}")
        return float(value)

    def flag(self, name: str, default: bool = False) -> bool:
        """A boolean, also as "true" and "false"."""
        value = self.get(name)
        if value is None or isinstance(value, bool):
            return default if value is None else value
        said = str(value).lower()
        if said not in _TRUE + _FALSE:
            raise InputError(f"{name} must be true or false; it is {_named(value)}")
        return said in _TRUE

    def inside(self, name: str) -> Body:
        """The object under a name; empty when it is absent."""
        value = self.get(name)
        if value is not None and not isinstance(value, dict):
            raise InputError(f"{name} must be an object; it is {_named(value)}")
        return Body(value or {})

    def texts(self, name: str) -> list[str]:
        """A string or a list of texts."""
        given = self.get(name)
        return [d.text for d in self._listed(name, given if given is None or isinstance(given, list) else [given], ())]

    def documents(self, name: str = "documents", fields: Sequence[str] = ()) -> tuple[Document, ...]:
        """Documents under their positions as ids; the object that one was sent as is its metadata.

        Args:
            name: of the list.
            fields: of objects, whose values make the text, one per line in this order; their text by default.

        Raises:
            InputError: no list, or an entry without text; the message has its index.

        """
        return self._listed(name, self.get(name), fields)

    def _listed(self, name: str, given: object, fields: Sequence[str]) -> tuple[Document, ...]:
        if given is None:
            raise InputError(f"{name} is missing; send a list of texts")
        if not isinstance(given, list):
            raise InputError(f"{name} must be a list; it is {_named(given)}")
        return tuple(_document(i, value, fields) for i, value in enumerate(given))

    def some_documents(self, name: str = "documents", fields: Sequence[str] = ()) -> tuple[Document, ...]:
        """The documents, of which there must be at least one."""
        return self._some(self.documents(name, fields))

    def one_or_more(self, name: str) -> tuple[Document, ...]:
        """The same, where the format lets a single text stand for a list of one."""
        given = self.get(name)
        return self._some(self._listed(name, [given] if isinstance(given, str) else given, ()))

    def _some(self, documents: tuple[Document, ...]) -> tuple[Document, ...]:
        if not documents:
            raise InputError("invalid request: list of documents must not be empty")
        return documents


def plain_text(value: object) -> str | None:
    """The text of a string, of {"text": …} or of {"content": [{"type": "text", "text": …}, …]}; None of all else."""
    if isinstance(value, dict):
        parts = value.get("content")
        if "text" not in value and isinstance(parts, list):
            texts = [plain_text(p) if isinstance(p, dict) and "content" not in p else None for p in parts]
            return None if None in texts or not texts else "\n".join(t for t in texts if t is not None)
        value = value.get("text")
    return value if isinstance(value, str) else None


def _document(index: int, value: object, fields: Sequence[str]) -> Document:
    if fields and isinstance(value, dict):
        chosen = [str(value[f]) for f in fields if isinstance(value.get(f), (str, int, float))]
        text = "\n".join(chosen) if chosen else None
    else:
        text = plain_text(value)
    if text is None:
        wanted = f"one of the fields {', '.join(fields)}" if fields else "a text"
        raise InputError(f"document {index} is {_named(value)}; send a string or an object with {wanted}")
    return Document(str(index), text, metadata=value if isinstance(value, dict) else {})


def _finite(number: str) -> float:
    """A number that JSON can hold, so that what is sent back is JSON: NaN and 1e999 are not."""
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(number)
    return value


def _whole(value: object) -> int | None:
    if isinstance(value, str) and value.strip().lstrip("+-").isdecimal() and len(value) < 20:
        return int(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return int(value) if value == int(value) else None


def _named(value: object) -> str:
    """What JSON calls a value; short values themselves."""
    if isinstance(value, (bool, int, float)) or (isinstance(value, str) and len(value) <= 40):
        return json.dumps(value)
    kinds = {type(None): "null", str: "a string", list: "a list", dict: "an object"}
    return kinds.get(type(value), type(value).__name__)
