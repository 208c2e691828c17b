"""Fields of metadata: what kinds there are, and which of them sample documents have."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


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
