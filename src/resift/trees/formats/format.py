"""What a format is: a writer, the engine's reading of what was written, and what it can express."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from resift.trees.ensemble import Ensemble, Floats, Matrix
from resift.trees.feature_queries import FeatureQuery

MOST_LEVELS = 100  # of nested JSON or XML; OpenSearch reads 250 levels, and a level of a dump is two of them


@dataclass(frozen=True, slots=True)
class Request:
    """What a writer is given.

    Attributes:
        ensemble: the trees, with a name for every feature.
        queries: how the engine comes by each feature.
        name: of the model in the engine.
        file_name: under which the engine finds the file.
        never_missing: the caller's word that no value is ever missing.

    """

    ensemble: Ensemble
    queries: tuple[FeatureQuery, ...]
    name: str
    file_name: str
    never_missing: bool = False


@dataclass(frozen=True, slots=True)
class Gap:
    """Values of a feature that go the other way in the engine: above `low`, up to and including `high`."""

    feature: int
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Written:
    """A file for an engine.

    Attributes:
        content: of the file.
        notes: what whoever loads it has to know; one sentence each.
        gaps: where the engine's numbers can't express a threshold.

    """

    content: bytes
    notes: tuple[str, ...] = ()
    gaps: tuple[Gap, ...] = ()


@dataclass(frozen=True, slots=True)
class Format:
    """A row of the table of formats.

    Attributes:
        name: as the command takes it.
        title: for people.
        precision: of the numbers that the engine compares with; for XGBoost's trees, float32 is all that is compared.
        write: makes the file.
        scores: what the engine computes from a file's content and rows, (n,) float64.
        features: the engine's own definition of the features, beside the model; None where it is part of the model.
        nested: whether nodes are nested, so that deep trees can't be read.
        sums: the precision in which outputs are added, or the sum is given.

    """

    name: str
    title: str
    precision: type[np.float32] | type[np.float64]
    write: Callable[[Request], Written]
    scores: Callable[[bytes, tuple[str, ...], Matrix], Floats]
    features: Callable[[Request], bytes] | None = None
    nested: bool = True
    sums: type[np.float32] | type[np.float64] = np.float32
