"""Which features a model gets where nobody chooses: every row of the table, for the signals and fields at hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from resift.features.feature import Feature, Value
from resift.features.field import Field, FieldKind
from resift.features.forms import FORM_FEATURES
from resift.features.lexical import LEXICAL
from resift.features.question_forms import FORMS
from resift.features.table import TABLE

_OF_A_SIGNAL = ("score", "rank", "gap_to_best", "gap_to_next", "z")
_OF_SIGNALS = ("lists", "best_rank", "reciprocal_ranks", "rank_spread", "overlap")  # where there are two or more
_OF_A_FIELD = {
    FieldKind.NUMBER: ("number", "log", "place"),
    FieldKind.DATE: ("age_days", "recency"),
    FieldKind.CATEGORY: ("category",),
}


def default_features(signals: Sequence[str], fields: Sequence[Field]) -> Iterator[Feature]:
    """Yield the features for signals and fields, in the order of the table."""
    for source in signals:
        yield from (_feature(name, source=source) for name in _OF_A_SIGNAL)
    if len(signals) > 1:
        yield from (_feature(name, sources=tuple(signals)) for name in _OF_SIGNALS)
    yield from (Feature.of(row, {}) for row in LEXICAL)
    yield from (Feature.of(row, {"form": form}) for row in FORM_FEATURES for form in FORMS)
    for field in fields:
        categories = {"categories": field.categories} if field.kind is FieldKind.CATEGORY else {}
        yield from (Feature.of(TABLE[name], {"field": field.name, **categories}) for name in _OF_A_FIELD[field.kind])


def _feature(name: str, **parameters: Value) -> Feature:
    return Feature.of(TABLE[name], parameters)
