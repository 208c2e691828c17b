"""How an engine comes by features, judged by their names: match queries, fields, parameters; the rest is named."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from resift.errors import InputError

Kind = Literal["match", "number", "parameter", "external"]

TITLE, TEXT = "title", "text"  # of a document, as Resift calls them

_MATCH = re.compile(r"bm25\((?P<field>[^();]+)\)|(?P<both>score\(bm25\)|bm25)")
_NUMBER = re.compile(r"number\((?P<field>[^();]+)\)")
_PARAMETER = re.compile(r"query_\w+", re.ASCII)
_UNSAFE = re.compile(r"\W+", re.ASCII)


@dataclass(frozen=True, slots=True)
class FeatureQuery:
    """How an engine comes by one feature.

    Attributes:
        name: of the feature.
        kind: "match", the score of a match query over the fields; "number", the value of a numeric field of the
            document; "parameter", a number of the query, which whoever asks has to pass; "external", what no engine
            computes: whoever indexes has to supply it, as a numeric field of the document.
        fields: of the engine's documents; of a parameter, its name.

    """

    name: str
    kind: Kind
    fields: tuple[str, ...]


def feature_queries(names: Sequence[str], fields: Mapping[str, str] | None = None) -> tuple[FeatureQuery, ...]:
    """How an engine comes by each feature.

    Args:
        names: of the features: `bm25(FIELD)`, `score(bm25)` and `bm25` (over title and text) and `number(FIELD)` are
            known, `query_…` is a parameter, and every other is external.
        fields: Resift's name of a field -> the engine's; others keep their name.

    Raises:
        InputError: two external features whose names differ only in characters that a field can't have.

    """
    queries = tuple(_query(name, fields or {}) for name in names)
    external = [query.fields[0] for query in queries if query.kind == "external"]
    if repeated := sorted({field for field in external if external.count(field) > 1}):
        raise InputError(f"two features would be read from the field {repeated[0]!r}; rename one with --features")
    return queries


def _query(name: str, fields: Mapping[str, str]) -> FeatureQuery:
    if match := _MATCH.fullmatch(name):
        asked = (TITLE, TEXT) if match["both"] else (match["field"],)
        return FeatureQuery(name, "match", tuple(fields.get(field, field) for field in asked))
    if match := _NUMBER.fullmatch(name):
        return FeatureQuery(name, "number", (fields.get(match["field"], match["field"]),))
    if _PARAMETER.fullmatch(name):
        return FeatureQuery(name, "parameter", (name,))
    field = _UNSAFE.sub("_", name).strip("_") or "feature"
    return FeatureQuery(name, "external", (fields.get(name, field),))
