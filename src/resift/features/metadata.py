"""Features of metadata: numbers, dates, categories."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from numbers import Real
from typing import Any

import numpy as np

from resift.features.analysed_text import folded
from resift.features.feature import Definition, Parameters
from resift.features.matrix import Column
from resift.features.query_view import QueryView

_DAY = 86_400.0
_MILLISECONDS = 1e11  # as seconds, a moment after the year 5000; as milliseconds, one in 1973


def number_of(value: Any) -> float:  # noqa: ANN401 - whatever metadata hold
    """A number, True and False as 1 and 0, or a number written as text.

    Raises:
        TypeError: anything else.

    """
    if isinstance(value, Real):  # bool and the numbers of NumPy, too
        return float(value)
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError as error:
            raise TypeError from error
    raise TypeError


def seconds_of(value: Any) -> float:  # noqa: ANN401
    """A moment in seconds since 1970: ISO 8601 as text, a date or datetime of Python, seconds or milliseconds.

    Without a time zone it is UTC; a date is its first moment.

    Raises:
        TypeError: anything else.

    """
    if isinstance(value, bool):
        raise TypeError
    if isinstance(value, Real):
        number = float(value)
        return number / 1000 if abs(number) > _MILLISECONDS else number
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError as error:
            raise TypeError from error
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    if not isinstance(value, datetime):
        raise TypeError
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()


def _number(view: QueryView, parameters: Parameters) -> Column:
    return view.field(str(parameters["field"]), number_of, "number")


def _log(view: QueryView, parameters: Parameters) -> Column:
    numbers = _number(view, parameters)
    return np.sign(numbers) * np.log1p(np.abs(numbers))


def _place(view: QueryView, parameters: Parameters) -> Column:
    numbers = _number(view, parameters)
    there = np.sort(numbers[~np.isnan(numbers)])
    if len(there) < 2:
        return view.constant(math.nan)
    below, upto = (np.searchsorted(there, numbers, side) for side in ("left", "right"))
    places = (below + upto - 1) / 2 / (len(there) - 1)
    return np.where(np.isnan(numbers), math.nan, places)


def _age_days(view: QueryView, parameters: Parameters) -> Column:
    moments = view.field(str(parameters["field"]), seconds_of, "date")
    return (view.now - moments) / _DAY


def _recency(view: QueryView, parameters: Parameters) -> Column:
    half_life = float(str(parameters["half_life_days"]))
    return np.asarray(0.5 ** (np.maximum(_age_days(view, parameters), 0.0) / half_life), np.float64)


def category_of(value: Any) -> str:  # noqa: ANN401
    """A category as text; a whole number or a truth value is written out.

    Raises:
        TypeError: a list, a mapping, a number with a fraction.

    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return folded(value)
    if isinstance(value, Real) and float(value).is_integer():
        return str(int(float(value)))
    raise TypeError


def _category(view: QueryView, parameters: Parameters) -> Column:
    known = parameters["categories"]
    assert isinstance(known, tuple)
    codes = {category_of(category): float(code) for code, category in enumerate(known)}
    return view.field(str(parameters["field"]), lambda value: codes[category_of(value)], "category")


_FIELD = {"field": str}

METADATA = (
    Definition("number", 1, _number, "A number of the metadata, as it stands there", _FIELD),
    Definition("log", 1, _log, "Its logarithm, sign(x) ln(1 + abs(x)): for counts, popularity, prices", _FIELD),
    Definition(
        "place", 1, _place, "Share of the query's other candidates with a smaller number, equal ones counted half",
        _FIELD, within_query=True,
    ),
    Definition("age_days", 1, _age_days, "Days from a date of the metadata to the moment of the query", _FIELD),
    Definition(
        "recency", 1, _recency, "0.5 ^ (age / half_life_days); 1 for a date to come",
        {**_FIELD, "half_life_days": 365.0},
    ),
    Definition(
        "category", 1, _category, "A category of the metadata as its place in the parameter `categories`",
        {**_FIELD, "categories": tuple}, categorical=True,
    ),
)  # fmt: skip
