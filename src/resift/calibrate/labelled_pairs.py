"""What a calibration is made of; `evaluate.labels` reads it from files."""

from __future__ import annotations

from dataclasses import dataclass

from resift.types import Document, Query


@dataclass(frozen=True, slots=True)
class LabelledPair:
    """A query, a document, and how relevant somebody said that it is."""

    query: Query
    document: Document
    grade: float
