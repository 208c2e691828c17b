"""Fields of metadata: what kinds there are, and which of them sample documents have."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from numbers import Real
from typing import Any

from resift.errors import InputError
from resift.features.metadata import category_of, number_of, seconds_of
from resift.types import Document

_MOST_CATEGORIES = 100
_PLACES = frozenset(("path", "line", "start", "end"))  # where a passage stands in its file: Resift's own metadata
_DATE_NAME = re.compile(r"date|time|(?:^|_)(?:at|on)$|created|updated|modified|published|released|timestamp", re.I)
_EPOCH = (1e8, 1e11)  # seconds: from 1973 on; what is larger are milliseconds


class FieldKind(StrEnum):
    """What a field of metadata holds."""

    NUMBER = "number"
    DATE = "date"  # ISO 8601 as text, Python's date and datetime, or seconds since 1970
    CATEGORY = "category"  # one text of few


@dataclass(frozen=True, slots=True)
class Field:
    """A field of metadata; `categories` are those that the sample has, most frequent first."""

    name: str
    kind: FieldKind
    categories: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DetectedFields:
    """The fields that features can read, and those that they can't, each with the reason."""

    fields: tuple[Field, ...]
    left_out: Mapping[str, str]


def detect_fields(documents: Iterable[Document], names: Sequence[str] | None = None) -> DetectedFields:
    """Which fields of metadata sample documents have, and what they hold.

    A number is a number of JSON, a truth value, or a text that is a number in every document. A date is a text in
    ISO 8601, a date of Python, or seconds or milliseconds since 1970 in a field with a name such as "created_at". A
    category is one of at most 100 texts, most of which come more than once. `path`, `line`, `start` and `end`, which
    passages of files have, are no fields.

    Args:
        documents: the sample.
        names: the fields to look at; by default all, and what can't be used is then left out with its reason.

    Raises:
        InputError: a field of `names` can't be used, or no document has it.

    """
    values: dict[str, list[tuple[str, Any]]] = {name: [] for name in names or ()}
    for document in documents:
        for name, value in document.metadata.items():
            if value is None or value == "" or (name not in values if names else name in _PLACES):
                continue
            values.setdefault(name, []).append((document.id, value))
    fields, left_out = [], {}
    for name, examples in values.items():
        kind = _kind(name, examples)
        if isinstance(kind, FieldKind):
            fields.append(Field(name, kind, _categories(examples) if kind is FieldKind.CATEGORY else ()))
        elif names:
            raise InputError(f"the field {name!r} can't be a feature: {kind}")
        else:
            left_out[name] = kind
    return DetectedFields(tuple(fields), left_out)


def _kind(name: str, examples: Sequence[tuple[str, Any]]) -> FieldKind | str:
    """The kind of a field, or why it has none."""
    if not examples:
        return "no document has it"
    texts = [(id_, value) for id_, value in examples if isinstance(value, str)]
    others = [(id_, value) for id_, value in examples if not isinstance(value, str)]
    odd = next(((id_, v) for id_, v in others if not isinstance(v, (Real, date))), None)
    if odd is not None:
        return f"it is a {type(odd[1]).__name__} in {odd[0]!r}; features read texts, numbers and dates"
    if all(_reads(number_of, value) for _, value in examples):
        return FieldKind.DATE if _epochs(name, [number_of(v) for _, v in examples]) else FieldKind.NUMBER
    if all(_reads(seconds_of, v) and not isinstance(v, Real) for _, v in examples):
        return FieldKind.DATE
    if others:
        words = [(id_, value) for id_, value in texts if not _reads(number_of, value)] or texts
        return (
            f"it is a number or date in {others[0][0]!r} ({others[0][1]}) and a text in {words[0][0]!r} "
            f"({words[0][1][:40]!r}); write it the same way in every document"
        )
    categories = _categories(examples)
    if len(categories) > _MOST_CATEGORIES or 2 * len(categories) > len(examples):
        return f"it has {len(categories)} different texts in {len(examples)} documents, too many for categories"
    return FieldKind.CATEGORY


def _reads(read: Any, value: Any) -> bool:  # noqa: ANN401 - one of metadata's readers, and whatever it reads
    try:
        read(value)
    except TypeError:
        return False
    return True


def _epochs(name: str, numbers: Sequence[float]) -> bool:
    low, high = _EPOCH
    return bool(_DATE_NAME.search(name)) and all(low <= (n / 1000 if n > high else n) <= high for n in numbers)


def _categories(examples: Sequence[tuple[str, Any]]) -> tuple[str, ...]:
    """The categories, most frequent first, equally frequent ones by name."""
    counts = Counter(category_of(value) for _, value in examples)
    return tuple(sorted(counts, key=lambda category: (-counts[category], category)))
