"""Reads request bodies strictly: each field has a type and a range, and a name that is unknown is a mistake."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from starlette.requests import Request

from resift.errors import InputError
from resift.files import refuse_unknown

_MOST = 10_000  # of what is counted


async def body_of(request: Request, known: Sequence[str]) -> Fields:
    """The JSON object of a request.

    Raises:
        InputError: no JSON, no object, or a field that is not known.

    """
    try:
        value = json.loads(await request.body(), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise InputError(f"the body is not JSON ({error})") from error
    if not isinstance(value, dict):
        raise InputError(f"the body must be a JSON object; not {kind_of(value)}")
    refuse_unknown(value, known)
    return Fields(value)


def _no_constant(name: str) -> None:
    raise InputError(f"{name} is not JSON")


def kind_of(value: object) -> str:
    """What JSON calls a value."""
    named = {bool: "a boolean", int: "a number", float: "a number", str: "a text", list: "a list", dict: "an object"}
    return named.get(type(value), "null")


class Fields:
    """A JSON object; every method raises InputError when the field is not what it should be. Null is as left out."""

    def __init__(self, value: Mapping[str, Any]) -> None:
        self._value = value

    def text(self, name: str, default: str | None = None) -> str:
        """A text; required without a default."""
        value = self._value.get(name)
        if value is None and default is not None:
            return default
        if not isinstance(value, str):
            raise InputError(f"{name} must be a text; not {kind_of(value)}")
        return value

    def items(self, name: str) -> list[Any]:
        """A list; required."""
        value = self._value.get(name)
        if not isinstance(value, list):
            raise InputError(f"{name} must be a list; not {kind_of(value)}")
        return value

    def whole(self, name: str, least: int = 1) -> int | None:
        """A whole number of at least `least` and at most 10,000."""
        value = self.number(name)
        if value is not None and (value != int(value) or not least <= value <= _MOST):
            raise InputError(f"{name} must be a whole number from {least} to {_MOST}; not {value:g}")
        return None if value is None else int(value)

    def number(self, name: str, least: float = -math.inf) -> float | None:
        """A finite number of at least `least`."""
        value = self._value.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise InputError(f"{name} must be a number; not {kind_of(value)}")
        try:
            found = float(value)
        except OverflowError as error:
            raise InputError(f"{name} is too large") from error
        if not math.isfinite(found) or found < least:
            raise InputError(f"{name} must be a finite number of {least:g} or more; not {found:g}")
        return found

    def flag(self, name: str, default: bool) -> bool:
        """True or false."""
        value = self._value.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise InputError(f"{name} must be true or false; not {kind_of(value)}")
        return value

    def choice(self, name: str, choices: Any) -> Any:  # noqa: ANN401 - a Literal type and one of its values
        """One of a Literal's values."""
        value = self._value.get(name)
        if value is not None and value not in get_args(choices):
            raise InputError(f"{name} must be one of {', '.join(get_args(choices))}")
        return value

    def flag_or_number(self, name: str, default: bool) -> bool | float:
        """True, false, or a number of 0 or more."""
        if isinstance(self._value.get(name), bool):
            return self.flag(name, default)
        value = self.number(name, 0)
        if value is not None and value > 1e6:
            raise InputError(f"{name} is a weight up to 1e6; not {value}")
        return default if value is None else value
