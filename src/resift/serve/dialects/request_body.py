"""Reads the JSON body of a request: strictly, as Resift's own format wants it, or leniently, as other clients send it.

| | strict | lenient |
|---|---|---|
| a name that is not known | refused | ignored |
| null | as if left out | as if left out |
| numbers and booleans as strings | refused | read |
| NaN, Infinity and 1e999 | refused where a field is a number; 1e999 may stand in metadata | no JSON |
| whole numbers | up to 10,000 | any |

Every method raises InputError where a field can't be used; the message names the field and what it holds.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from starlette.requests import Request

from resift.errors import InputError
from resift.files import refuse_unknown
from resift.types import Document

_TRUE, _FALSE = ("true", "1", "yes"), ("false", "0", "no")
_MOST = 10_000  # of anything that is counted, in a strict body
_SHORT = 40  # characters of the longest string that a message repeats
_DIGITS = re.compile(r"[+-]?\d+")


async def read_body(request: Request, fields: Sequence[str] | None = None) -> RequestBody:
    """The JSON object of a request.

    Args:
        request: whose body is read.
        fields: the names that it may have, which makes the body strict; None: a lenient body.

    Raises:
        InputError: no JSON, no object, or a name that is not among `fields`.

    """
    return _lenient(await request.body()) if fields is None else _strict(await request.body(), fields)


def _strict(body: bytes, fields: Sequence[str]) -> RequestBody:
    try:
        value = json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise InputError(f"the body is not JSON ({error})") from error
    if not isinstance(value, dict):
        raise InputError(f"the body must be a JSON object; not {json_type(value)}")
    refuse_unknown(value, fields)
    return RequestBody(value, strict=True)


def _lenient(body: bytes) -> RequestBody:
    try:
        value = json.loads(body, parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise InputError("the body is not JSON; send an object in UTF-8") from error
    if not isinstance(value, dict):
        raise InputError(f"the body is {_short_value(value)}; send a JSON object")
    return RequestBody(value, strict=False)


class RequestBody:
    """The fields of a JSON object; a null counts as left out."""

    def __init__(self, fields: Mapping[str, Any], strict: bool) -> None:
        self._fields, self._strict = fields, strict

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def get(self, name: str) -> Any:  # noqa: ANN401 - whatever JSON holds
        """The value as it was sent; None when it is absent."""
        return self._fields.get(name)

    def _wrong(self, name: str, expected: str) -> InputError:
        """The refusal of a field that holds another type of value than it must."""
        value = self.get(name)
        contents = f"not {json_type(value)}" if self._strict else f"it is {_short_value(value)}"
        return InputError(f"{name} must be {expected}; {contents}")

    def text(self, name: str, default: str | None = "") -> str:
        """A text; must be there where the default is None. Lenient: also an object with a text, see `plain_text`."""
        value = self.get(name)
        if value is None and default is not None:
            return default
        text = plain_text(value) if not self._strict else value if isinstance(value, str) else None
        if text is None:
            raise self._wrong(name, "a text" if self._strict else "a string")
        return text

    def query(self, name: str = "query") -> str:
        """A text that must be there and not be blank."""
        query = self.text(name)
        if not query.strip():
            raise InputError("invalid request: query must not be empty or be only whitespace")
        return query

    def number(self, name: str, least: float = -math.inf) -> float | None:
        """A finite number of at least `least`; None when it is absent."""
        value = self.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self._wrong(name, "a number")
        try:
            number = float(value)
        except OverflowError as error:
            raise InputError(f"{name} is too large") from error
        if not math.isfinite(number) or number < least:
            raise InputError(f"{name} must be a finite number of {least:g} or more; not {number:g}")
        return number

    def number_or_word(self, name: str, words: Sequence[str]) -> float | str | None:
        """A finite number, or one of the words; None when it is absent."""
        value = self.get(name)
        if not isinstance(value, str):
            return self.number(name)
        if value not in words:
            raise self._wrong(name, f"a number, {' or '.join(words)}")
        return value

    def whole(self, *names: str, least: int = 1) -> int | None:
        """A whole number of at least `least`, under the first of the names that is there; None when none is."""
        name = next((name for name in names if self.get(name) is not None), None)
        if name is None:
            return None
        if self._strict:
            number = self.number(name) or 0.0
            if number != int(number) or not least <= number <= _MOST:
                raise InputError(f"{name} must be a whole number from {least} to {_MOST}; not {number:g}")
            return int(number)
        whole = _whole(self.get(name))
        if whole is None or whole < least:
            raise self._wrong(name, f"a whole number of {least} or more")
        return whole

    def flag(self, name: str, default: bool = False) -> bool:
        """True or false; lenient: also as "true" and "false", "yes" and "no", 1 and 0."""
        value = self.get(name)
        if value is None or isinstance(value, bool):
            return default if value is None else value
        word = "" if self._strict else str(value).lower()
        if word not in _TRUE + _FALSE:
            raise self._wrong(name, "true or false")
        return word in _TRUE

    def flag_or_weight(self, name: str, default: bool) -> bool | float:
        """True, false, or a number from 0 to a million."""
        if isinstance(self.get(name), bool):
            return self.flag(name, default)
        weight = self.number(name, 0)
        if weight is not None and weight > 1e6:
            raise InputError(f"{name} is a weight up to 1e6; not {weight}")
        return default if weight is None else weight

    def choice(self, name: str, choices: Any) -> Any:  # noqa: ANN401 - a Literal type and one of its values
        """One of a Literal's values; None when it is absent."""
        value = self.get(name)
        if value is not None and value not in get_args(choices):
            raise InputError(f"{name} must be one of {', '.join(get_args(choices))}")
        return value

    def inner(self, name: str) -> RequestBody:
        """The object under a name; an empty one when it is absent."""
        value = self.get(name)
        if value is not None and not isinstance(value, dict):
            raise self._wrong(name, "an object")
        return RequestBody(value or {}, self._strict)

    def items(self, name: str) -> list[Any]:
        """A list, which must be there."""
        value = self.get(name)
        if value is None and not self._strict:
            raise InputError(f"{name} is missing; send a list of texts")
        if not isinstance(value, list):
            raise self._wrong(name, "a list")
        return value

    def texts(self, name: str) -> list[str]:
        """A text or a list of texts."""
        value = self.get(name)
        values = self.items(name) if value is None or isinstance(value, list) else [value]
        return [document.text for document in _documents(values, ())]

    def documents(self, name: str = "documents", fields: Sequence[str] = ()) -> tuple[Document, ...]:
        """Documents, with their positions as ids; where one was sent as an object, that is its metadata.

        Args:
            name: of the list.
            fields: of objects, whose values make the text, one per line in this order; without them, an object's text.

        Raises:
            InputError: no list, or an entry without text; the message has its index.

        """
        return _documents(self.items(name), fields)

    def some_documents(self, name: str = "documents", fields: Sequence[str] = ()) -> tuple[Document, ...]:
        """The documents, of which there must be at least one."""
        return _not_empty(self.documents(name, fields))

    def one_or_more(self, name: str) -> tuple[Document, ...]:
        """The same, where the format lets a single text stand for a list of one."""
        value = self.get(name)
        return _not_empty(_documents([value] if isinstance(value, str) else self.items(name), ()))


def plain_text(value: object) -> str | None:
    """The text of a string, of {"text": …} or of {"content": [{"type": "text", "text": …}, …]}; None of all else."""
    if isinstance(value, dict):
        parts = value.get("content")
        if "text" not in value and isinstance(parts, list):
            texts = [plain_text(part) if isinstance(part, dict) and "content" not in part else None for part in parts]
            return None if None in texts or not texts else "\n".join(text for text in texts if text is not None)
        value = value.get("text")
    return value if isinstance(value, str) else None


def _documents(values: Sequence[object], fields: Sequence[str]) -> tuple[Document, ...]:
    return tuple(_document(i, value, fields) for i, value in enumerate(values))


def _document(index: int, value: object, fields: Sequence[str]) -> Document:
    if fields and isinstance(value, dict):
        lines = [str(value[name]) for name in fields if isinstance(value.get(name), (str, int, float))]
        text = "\n".join(lines) if lines else None
    else:
        text = plain_text(value)
    if text is None:
        content = f"one of the fields {', '.join(fields)}" if fields else "a text"
        raise InputError(f"document {index} is {_short_value(value)}; send a string or an object with {content}")
    return Document(str(index), text, metadata=value if isinstance(value, dict) else {})


def _not_empty(documents: tuple[Document, ...]) -> tuple[Document, ...]:
    if not documents:
        raise InputError("invalid request: list of documents must not be empty")
    return documents


def _no_constant(name: str) -> None:
    raise InputError(f"{name} is not JSON")


def _finite(number: str) -> float:
    """A number that JSON can hold, so that an answer that repeats it is JSON: NaN and 1e999 are not."""
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(number)
    return value


def _whole(value: object) -> int | None:
    if isinstance(value, str) and len(value) < 20 and _DIGITS.fullmatch(value.strip()):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return int(value) if isinstance(value, int) or value.is_integer() else None


def json_type(value: object) -> str:
    """What JSON calls the type of a value."""
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a text", list: "a list", dict: "an object"}
    return names.get(type(value), "null")


def _short_value(value: object) -> str:
    """A number, a boolean or a short string itself; else what JSON calls the type."""
    if isinstance(value, (bool, int, float)) or (isinstance(value, str) and len(value) <= _SHORT):
        return json.dumps(value)
    return "a string" if isinstance(value, str) else json_type(value)
