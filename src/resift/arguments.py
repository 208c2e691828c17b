"""Checks of what a caller passes; an error names the argument, the type that it takes and the value."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from numbers import Integral, Real
from typing import Any, TypeVar
from uuid import UUID

from resift.errors import InputError
from resift.types import Query

T = TypeVar("T")


def items(values: Iterable[T], name: str, one: str) -> Iterable[T]:
    """The values, if they are a list or another iterable, but no text, which would be a list of its letters.

    Args:
        values: of the argument.
        name: of the argument.
        one: the word for an item, such as "text".

    Raises:
        InputError: one item instead of a list of them, or nothing that has items.

    """
    if isinstance(values, (str, bytes, Mapping)):
        kind = "text" if isinstance(values, (str, bytes)) else "mapping"
        raise InputError(f"{name} is one {kind}, not a list; put it into a list: [{one}]")
    if not isinstance(values, Iterable):
        raise InputError(f"{name} is a list of {one}s; not {_describe(values)}")
    return values


def whole(value: Any, name: str) -> int | None:  # noqa: ANN401 - whatever a caller passes
    """A whole number from 1, of Python or NumPy; None stays None.

    Raises:
        InputError: anything else, a float that happens to be whole among it.

    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise InputError(f"{name} is a whole number; not {_describe(value)}")
    if value < 1:
        raise InputError(f"{name} must be 1 or more; not {value}")
    return int(value)


def number(value: Any, name: str) -> float:  # noqa: ANN401
    """A number.

    Raises:
        InputError: anything else, NaN among it.

    """
    if isinstance(value, bool) or not isinstance(value, Real) or math.isnan(value):
        raise InputError(f"{name} is a number; not {_describe(value)}")
    return float(value)


def query(value: Any) -> Query:  # noqa: ANN401
    """A text or a Query as a Query.

    Raises:
        InputError: neither, or an empty one.

    """
    question = Query(value) if isinstance(value, str) else value
    if not isinstance(question, Query):
        raise InputError(f"a query is a text; not {_describe(value)}")
    if not isinstance(question.text, str):
        raise InputError(f"a query's text is a text; not {_describe(question.text)}")
    if not question.text.strip():
        raise InputError("the query is empty; ask with at least one word")
    return question


def path(value: Any, name: str) -> str:  # noqa: ANN401
    """A path, or a name of a model, as text; not empty: an empty path is the working folder.

    Raises:
        InputError: empty, or neither a text nor a path.

    """
    text = os.fspath(value) if isinstance(value, (str, os.PathLike)) else None
    if not isinstance(text, str):
        raise InputError(f"{name} is a text or a path; not {_describe(value)}")
    if not text.strip():
        raise InputError(f"{name} is empty; leave it out, or check the variable that it comes from")
    return text


def paths(value: Any, name: str) -> list[str]:  # noqa: ANN401
    """One path or a list of them.

    Raises:
        InputError: anything else, or a path that is empty.

    """
    entries = [value] if isinstance(value, (str, os.PathLike)) else items(value, name, "path")
    return [path(p, f"one of {name}" if p is not value else name) for p in entries]


def identity(value: Any) -> str | None:  # noqa: ANN401
    """An id as text if it is a text, a whole number (NumPy's too) or a UUID, else None."""
    if isinstance(value, str):
        return value
    is_id = isinstance(value, (Integral, UUID)) and not isinstance(value, bool)
    return str(value) if is_id else None


def nearest(name: str, known: Sequence[str]) -> str:
    """A hint at the known name that is most like an unknown one, "; did you mean 'top_k'?", or nothing."""
    by_fold = {_fold(k): k for k in known}
    close = get_close_matches(_fold(name), by_fold, 1, 0.7)
    return f"; did you mean {by_fold[close[0]]!r}?" if close else ""


def _fold(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def _describe(value: object) -> str:
    """A value with its type; long ones by their type alone."""
    if value is None:
        return "None"
    text = repr(value)
    kind = type(value).__name__
    return f"{text} ({kind})" if len(text) <= 40 else f"a value of type {kind}"
