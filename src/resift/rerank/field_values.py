"""Reads what a document's metadata say of a date or a number; what can't be read is named, never guessed."""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime
from numbers import Real
from typing import Any

_SECONDS = {"min": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0, "y": 365.25 * 86_400}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(min|h|d|w|y)")
UNITS = {"s": 1.0, "ms": 1e-3}  # of numbers that are Unix times, in seconds

_YEAR, _MONTH = re.compile(r"\d{4}"), re.compile(r"\d{4}-\d{2}")
_ISO = re.compile(r"\d{4}-\d{2}-\d{2}([T ].+)?|\d{8}(T.+)?")


def duration(text: object) -> float:
    """Seconds of a text such as "12h", "90d" or "2y"; a year has 365.25 days.

    Raises:
        ValueError: no number above 0 with one of the units min, h, d, w and y.

    """
    match = _DURATION.fullmatch(text.strip()) if isinstance(text, str) else None
    seconds = float(match[1]) * _SECONDS[match[2]] if match else 0.0
    if not 0 < seconds < math.inf:
        raise ValueError(f'{text!r} is no duration; write a number with min, h, d, w or y, such as "90d"')
    return seconds


def number(value: Any) -> float:  # noqa: ANN401 - whatever metadata hold
    """A finite number, or a text that is one.

    Raises:
        ValueError: anything else, such as True, "1,000" or NaN.

    """
    if isinstance(value, bool) or not isinstance(value, (Real, str)):
        raise ValueError(f"{value!r} is no number")
    try:
        result = float(value)
    except OverflowError as error:
        raise ValueError(f"{value!r} is too large") from error
    if not math.isfinite(result):
        raise ValueError(f"{value!r} is not finite")
    return result


def moment(value: Any, unit: str | None = None) -> float:  # noqa: ANN401
    """Seconds since 1970 of a date; without a zone it is in UTC, and without a time, day or month at their first.

    Dates are ISO texts ("2026-11-27", "2026-11-27T09:30+01:00", "20261127", "2026-11"), years of four digits, and
    Python's dates and datetimes.

    Args:
        value: of the metadata.
        unit: "s" or "ms": numbers, and texts that are one, are Unix times in it; None: they are years.

    Raises:
        ValueError: no date; a number of another length than a year's without a unit is none.

    """
    if isinstance(value, date):
        midnight = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)
        return _seconds(midnight)
    if unit is not None and (not isinstance(value, str) or _is_number(value)):
        return number(value) * UNITS[unit]
    text = f"{number(value):g}" if isinstance(value, Real) else value.strip() if isinstance(value, str) else ""
    if _YEAR.fullmatch(text):
        return _seconds(datetime.fromisoformat(f"{text}-01-01"))
    if _MONTH.fullmatch(text):
        return _seconds(datetime.fromisoformat(f"{text}-01"))
    if not _ISO.fullmatch(text):
        raise ValueError(f"{value!r} is no date")
    return _seconds(datetime.fromisoformat(text))


def _seconds(value: datetime) -> float:
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()


def _is_number(text: str) -> bool:
    try:
        number(text)
    except ValueError:
        return False
    return True
