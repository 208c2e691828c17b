"""Writes trees as the file that a search engine takes, once the engine's reading of it agrees with the library's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from resift import arguments
from resift.errors import InputError
from resift.trees.ensemble import Ensemble
from resift.trees.feature_queries import FeatureQuery, feature_queries
from resift.trees.formats.elasticsearch import ELASTICSEARCH
from resift.trees.formats.format import MOST_LEVELS, Format, Request
from resift.trees.formats.onnx import ONNX
from resift.trees.formats.ranklib import RANKLIB
from resift.trees.formats.solr import SOLR
from resift.trees.formats.vespa import VESPA
from resift.trees.formats.xgboost_dump import XGBOOST_JSON
from resift.trees.parity import ROWS, Parity, parity

FORMATS: dict[str, Format] = {row.name: row for row in (ELASTICSEARCH, RANKLIB, XGBOOST_JSON, SOLR, VESPA, ONNX)}

_NAME = re.compile(r"[A-Za-z_][\w.-]*", re.ASCII)  # what all engines take
_OTHER_SCORES = (
    "the score that the engine gives a match query is not Resift's BM25 score; train on features logged from the engine"
)


@dataclass(frozen=True, slots=True)
class Export:
    """A file for an engine, checked.

    Attributes:
        content: of the file.
        features: the engine's own definition of the features; None where it is part of the model, or there is none.
        parity: by kind of rows, what the engine computes from the file beside what the library predicts.
        notes: what whoever loads it has to know.
        external: features that the engine can't compute: parameters that a search has to pass, and fields of documents
            that have to be filled.

    """

    content: bytes
    features: bytes | None
    parity: tuple[Parity, ...]
    notes: tuple[str, ...]
    external: tuple[FeatureQuery, ...]


def export(
    ensemble: Ensemble,
    format_name: str,
    name: str,
    fields: Mapping[str, str] | None = None,
    file_name: str = "model.json",
    never_missing: bool = False,
    rows: int = ROWS,
) -> Export:
    """Write trees in an engine's format, and compare what the engine computes with what the library predicts.

    Args:
        ensemble: with a name for every feature.
        format_name: one of FORMATS.
        name: of the model in the engine.
        fields: Resift's name of a field or of a feature -> the engine's field.
        file_name: under which the engine finds the file; a rank profile of Vespa names it.
        never_missing: the caller's word that no value is ever missing; where an engine has no missing values, trees
            that send them elsewhere than 0 are then written all the same.
        rows: how many are compared.

    Raises:
        InputError: what the format can't express; the message says why.
        ModelError: the file would not score as the model does.
        MissingExtra: writing ONNX needs its packages.

    """
    form = FORMATS.get(format_name)
    if form is None:
        hint = arguments.nearest(format_name, tuple(FORMATS))
        raise InputError(f"no format {format_name!r}{hint}; there are {', '.join(FORMATS)}")
    if not _NAME.fullmatch(name):
        raise InputError(f"engines take no model called {name!r}; pass --name with letters, digits, '_', '-' and '.'")
    if form.nested and ensemble.depth > MOST_LEVELS:
        raise InputError(
            f"a tree is {ensemble.depth} levels deep, and {form.title} is read to {MOST_LEVELS}; train with max_depth"
        )
    queries = feature_queries(ensemble.features, fields)
    request = Request(ensemble, queries, name, file_name, never_missing)
    written = form.write(request)
    return Export(
        written.content,
        form.features(request) if form.features is not None else None,
        parity(ensemble, written, form, rows, absent=not never_missing),
        (*written.notes, *([_OTHER_SCORES] if any(query.kind == "match" for query in queries) else [])),
        tuple(query for query in queries if query.kind in ("parameter", "external")),
    )
