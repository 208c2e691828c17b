"""Which features a model gets where nobody chooses: every row of the table, for the signals and fields at hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from resift.features.feature import Feature
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


def default_features(signals: Sequence[str], kinds: Mapping[str, str], fields: Sequence[Field]) -> Iterator[Feature]:
    """Yield the features for signals, whose scores may have to be of a kind, and for fields, in the table's order."""
    for source in signals:
        for name in _OF_A_SIGNAL:
            kind = kinds.get(source, "") if "kind" in TABLE[name].parameters else ""
            yield Feature.of(TABLE[name], {"source": source, **({"kind": kind} if kind else {})})
    if len(signals) > 1:
        yield from (Feature.of(TABLE[name], {"sources": tuple(signals)}) for name in _OF_SIGNALS)
    yield from (Feature.of(row, {}) for row in LEXICAL)
    yield from (Feature.of(row, {"form": form}) for row in FORM_FEATURES for form in FORMS)
    for field in fields:
        categories = {"categories": field.categories} if field.kind is FieldKind.CATEGORY else {}
        yield from (Feature.of(TABLE[name], {"field": field.name, **categories}) for name in _OF_A_FIELD[field.kind])
