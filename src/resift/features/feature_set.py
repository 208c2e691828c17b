"""Which features a model reads, in order: the file `features.toml`, and the matrix of a ranking."""

from __future__ import annotations

import json
import time
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from resift import arguments
from resift.errors import InputError, KindError
from resift.features.collection_statistics import Statistics
from resift.features.default_features import default_features
from resift.features.feature import Feature, Value
from resift.features.field import Field
from resift.features.matrix import FeatureMatrix
from resift.features.query_view import QueryView
from resift.features.table import TABLE
from resift.types import Ranking

FEATURES_FILE = "features.toml"  # its usual name in a model's folder
Signals = Iterable[str] | Mapping[str, Sequence[str]]
_SCHEMA = 1


@dataclass(frozen=True, slots=True)
class FeatureSet:
    """The features of a model, in the order of the matrix's columns; `parse(to_toml()) == ` the set.

    Raises:
        InputError: no feature, or the same one twice.

    """

    features: tuple[Feature, ...]

    def __post_init__(self) -> None:
        names = self.names
        if not names:
            raise InputError("a feature set needs a feature")
        if repeated := [name for i, name in enumerate(names) if name in names[:i]]:
            raise InputError(f"the feature {repeated[0]} stands in the set twice")

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns, such as "score(bm25)"; none has a character that LightGBM or XGBoost refuses."""
        return tuple(feature.column for feature in self.features)

    @property
    def sources(self) -> tuple[str, ...]:
        """Of the signals that the set reads: the retrievers and models that a pipeline has to have for it."""
        values = (v for f in self.features for key, v in f.parameters.items() if key in ("source", "sources"))
        return tuple(dict.fromkeys(s for v in values for s in (v if isinstance(v, tuple) else (str(v),))))

    @property
    def directions(self) -> tuple[int, ...]:
        """Per column 1 where more can only speak for relevance, -1 where it can only speak against it, else 0."""
        return tuple(feature.definition.direction for feature in self.features)

    @property
    def categorical(self) -> tuple[str, ...]:
        """The names of the columns that hold codes of categories: whole numbers from 0, whose order means nothing."""
        return tuple(feature.column for feature in self.features if feature.definition.categorical)

    @property
    def within_query(self) -> tuple[str, ...]:
        """The names of the columns that depend on a query's other candidates, so that no engine computes them alone."""
        return tuple(feature.column for feature in self.features if feature.definition.within_query)

    @classmethod
    def default(cls, signals: Signals = (), fields: Iterable[Field] = ()) -> FeatureSet:
        """All features of the table, for these signals and fields.

        Args:
            signals: sources of signals, such as "bm25", "resift-static-en", "resift-mini-en"; or as `signal_kinds`
                gives them, so that scores of another kind are refused later.
            fields: of metadata, as `detect_fields` finds them.

        Raises:
            InputError: a signal or field stands there twice.
            KindError: a source gives scores of two kinds.

        """
        kinds = signals if isinstance(signals, Mapping) else {}
        for source, of_source in kinds.items():
            if len(of_source) > 1:
                raise KindError(f"{source!r} gave {' and '.join(of_source)} scores; one feature reads one kind")
        kind_of = {source: str(of_source[0]) if of_source else "" for source, of_source in kinds.items()}
        return cls(tuple(default_features(tuple(signals), kind_of, tuple(fields))))

    @classmethod
    def read(cls, path: str | Path) -> FeatureSet:
        """Read a file that `to_toml` wrote.

        Raises:
            InputError: an unreadable file, or what `parse` refuses.

        """
        try:
            text = Path(path).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"can't read {path}: {getattr(error, 'strerror', None) or error}") from error
        return cls.parse(text, str(path))

    @classmethod
    def parse(cls, text: str, where: str = FEATURES_FILE) -> FeatureSet:
        """Read what `to_toml` writes; `where` begins the message of an error.

        Raises:
            InputError: no TOML, an unknown feature or parameter, or another version of a feature than Resift has.

        """
        try:
            table = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise InputError(f"{where} is not TOML: {error}") from error
        if table.get("schema") != _SCHEMA:
            raise InputError(
                f"{where} has the schema {table.get('schema')}, and this Resift reads {_SCHEMA}; train the model again"
            )
        rows = table.get("feature")
        if not isinstance(rows, list) or table.keys() != {"schema", "feature"}:
            raise InputError(f"{where} holds schema and [[feature]], nothing else")
        return cls(tuple(_feature(row, where) for row in rows))

    def to_toml(self) -> str:
        """The set as the text of `features.toml`."""
        lines = [f"schema = {_SCHEMA}"]
        for feature in self.features:
            lines += ["", "[[feature]]", f"name = {_toml(feature.definition.name)}"]
            lines += [f"version = {feature.definition.version}"]
            if feature.parameters:
                inside = ", ".join(f"{key} = {_toml(v)}" for key, v in feature.parameters.items() if v != "")
                lines += [f"parameters = {{ {inside} }}"]
        return "\n".join(lines) + "\n"

    def matrix(self, ranking: Ranking, statistics: Statistics, now: float | None = None) -> FeatureMatrix:
        """Compute the features of a ranking's candidates; training and serving both call this.

        Args:
            ranking: with the signals and the metadata that the features read.
            statistics: of the collection that the model was trained on; `Statistics.empty()` where there are none.
            now: when the query is or was asked, in seconds since 1970 (UTC); by default the present time.

        Raises:
            KindError: a source gives scores of another kind than those that the set was made for.

        """
        view = QueryView(ranking, statistics, time.time() if now is None else now)
        values = np.empty((len(ranking), len(self.features)), np.float32)
        for i, feature in enumerate(self.features):
            values[:, i] = feature.definition.compute(view, feature.parameters)
        return FeatureMatrix(self.names, values, tuple(view.missing.values()))


def _feature(row: Mapping[str, Any], where: str) -> Feature:
    if not isinstance(row, Mapping) or not row.keys() <= {"name", "version", "parameters"} or "name" not in row:
        raise InputError(f"{where}: a [[feature]] has name, version and parameters, nothing else")
    name, version = row["name"], row.get("version")
    definition = TABLE.get(name) if isinstance(name, str) else None
    if definition is None:
        hint = arguments.nearest(str(name), tuple(TABLE))
        raise InputError(f"{where}: there is no feature {name!r}{hint}")
    if version != definition.version:
        raise InputError(
            f"{where} has version {version} of the feature {name!r}, and this Resift computes version "
            f"{definition.version}; train the model again, or use the Resift that it was trained with"
        )
    parameters = row.get("parameters", {})
    if not isinstance(parameters, Mapping):
        raise InputError(f"{where}: the parameters of {name!r} are a table")
    return Feature.of(definition, {key: tuple(v) if isinstance(v, list) else v for key, v in parameters.items()})


def _toml(value: Value) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
