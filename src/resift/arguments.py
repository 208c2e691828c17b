"""What a caller may pass: each check names the argument, what belongs there and what came instead."""

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
    """The values, where they are a list or another iterable: a text would be taken for its letters.

    Args:
        values: what came.
        name: of the argument.
        one: what an item is called, such as "text".

    Raises:
        InputError: one item instead of a list of them, or nothing that has items.

    """
    if isinstance(values, (str, bytes, Mapping)):
        kind = "text" if isinstance(values, (str, bytes)) else "mapping"
        raise InputError(f"{name} is one {kind}, not a list; put it into a list: [{one}]")
    if not isinstance(values, Iterable):
        raise InputError(f"{name} is a list of {one}s; not {_shown(values)}")
    return values


def whole(value: Any, name: str) -> int | None:  # noqa: ANN401 - whatever a caller passes
    """A whole number from 1, of Python or NumPy; None stays None.

    Raises:
        InputError: anything else, a float that happens to be whole among it.

    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise InputError(f"{name} is a whole number; not {_shown(value)}")
    if value < 1:
        raise InputError(f"{name} must be 1 or more; not {value}")
    return int(value)


def number(value: Any, name: str) -> float:  # noqa: ANN401
    """A number.

    Raises:
        InputError: anything else, NaN among it.

    """
    if isinstance(value, bool) or not isinstance(value, Real) or math.isnan(value):
        raise InputError(f"{name} is a number; not {_shown(value)}")
    return float(value)


def query(value: Any) -> Query:  # noqa: ANN401
    """A text or a Query as a Query.

    Raises:
        InputError: neither, or an empty one.

    """
    asked = Query(value) if isinstance(value, str) else value
    if not isinstance(asked, Query):
        raise InputError(f"a query is a text; not {_shown(value)}")
    if not isinstance(asked.text, str):
        raise InputError(f"a query's text is a text; not {_shown(asked.text)}")
    if not asked.text.strip():
        raise InputError("the query is empty; ask with at least one word")
    return asked


def path(value: Any, name: str) -> str:  # noqa: ANN401
    """A path, or a name of a model, as text; not empty: an empty path is the working folder.

    Raises:
        InputError: empty, or neither a text nor a path.

    """
    text = os.fspath(value) if isinstance(value, (str, os.PathLike)) else None
    if not isinstance(text, str):
        raise InputError(f"{name} is a text or a path; not {_shown(value)}")
    if not text.strip():
        raise InputError(f"{name} is empty; leave it out, or check the variable that it comes from")
    return text


def paths(value: Any, name: str) -> list[str]:  # noqa: ANN401
    """One path or a list of them.

    Raises:
        InputError: anything else, or a path that is empty.

    """
    listed = [value] if isinstance(value, (str, os.PathLike)) else items(value, name, "path")
    return [path(p, f"one of {name}" if p is not value else name) for p in listed]


def identity(value: Any) -> str | None:  # noqa: ANN401
    """An id as text, where it is a text, a whole number (NumPy's too) or a UUID; None for all else."""
    if isinstance(value, str):
        return value
    known = isinstance(value, (Integral, UUID)) and not isinstance(value, bool)
    return str(value) if known else None


def nearest(name: str, known: Sequence[str]) -> str:
    """What may have been meant by an unknown name: ", did you mean 'top_k'?", or nothing."""
    folded = {_folded(k): k for k in known}
    close = get_close_matches(_folded(name), folded, 1, 0.7)
    return f"; did you mean {folded[close[0]]!r}?" if close else ""


def _folded(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def _shown(value: object) -> str:
    """A value with its type; long ones by their type alone."""
    if value is None:
        return "None"
    text = repr(value)
    kind = type(value).__name__
    return f"{text} ({kind})" if len(text) <= 40 else f"a value of type {kind}"
