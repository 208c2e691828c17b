"""What a learned stage remembers of its training: which values each feature had there, and how it was made."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from resift import atomic
from resift.errors import BrokenModel
from resift.rerank.ranking_function import MODEL_FILES, Floats, FunctionKind, Matrix

TRAINING_FILE = "training.json"
_SCHEMA = 1
_QUANTILES = (0.0, 0.01, 0.25, 0.5, 0.75, 0.99, 1.0)


@dataclass(frozen=True, slots=True)
class Distribution:
    """The values of one feature over the rows of training.

    Attributes:
        feature: its name.
        missing: share of the rows without a value.
        quantiles: least, 1 %, 25 %, 50 %, 75 %, 99 % and largest value; empty where every value was missing.
        gain: of its splits, as a share of the gain of all splits; of a linear model, its share of absolute weights.

    """

    feature: str
    missing: float
    quantiles: tuple[float, ...]
    gain: float

    @property
    def median(self) -> float:
        """The middle value; NaN without values."""
        return self.quantiles[len(self.quantiles) // 2] if self.quantiles else math.nan

    @property
    def range(self) -> tuple[float, float]:
        """The least and the largest value; NaN without values."""
        return (self.quantiles[0], self.quantiles[-1]) if self.quantiles else (math.nan, math.nan)


@dataclass(frozen=True, slots=True)
class TrainingSummary:
    """How a learned stage was made.

    Attributes:
        name: of the model.
        library: whose trees it has, or "linear".
        features: the distribution of each, in the order of the matrix's columns.
        settings: of the training; see `train.ltr.settings` and `train.ltr.linear`.
        data: what it was trained on: name, fingerprint, counts, how unjudged candidates count, hashes of its queries.
        pipeline: what gave the candidates and signals; empty for a matrix of unknown origin.
        report: figures on queries that the model did not see.
        issues: what was left out or odd.

    """

    name: str
    library: FunctionKind
    features: tuple[Distribution, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    pipeline: str = ""
    report: Mapping[str, Any] = field(default_factory=dict)
    issues: tuple[str, ...] = ()

    def write(self, folder: Path) -> None:
        """Write training.json."""
        text = json.dumps({"schema": _SCHEMA} | asdict(self), ensure_ascii=False, allow_nan=False, indent=1)
        atomic.write(folder / TRAINING_FILE, [text.encode("utf-8", "replace"), b"\n"])

    @classmethod
    def read(cls, folder: Path) -> TrainingSummary:
        """Read training.json.

        Raises:
            BrokenModel: it is missing or malformed, or another Resift wrote it.

        """
        path = folder / TRAINING_FILE
        try:
            entries = json.loads(path.read_text("utf-8"))
            schema = entries.pop("schema")
            rows = tuple(Distribution(r["feature"], r["missing"], tuple(r["quantiles"]), r["gain"])
                         for r in entries.pop("features"))  # fmt: skip
            known = {f.name for f in fields(cls)}
            summary = cls(
                features=rows, issues=tuple(entries.pop("issues")), **{k: entries[k] for k in known & set(entries)}
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise BrokenModel(f"{path} can't be read ({error!r}); train the model again") from error
        if schema != _SCHEMA or summary.library not in MODEL_FILES:
            raise BrokenModel(f"{path} was written by another version of Resift; train the model again")
        return summary


def distributions(features: Sequence[str], matrix: Matrix, gains: Floats) -> tuple[Distribution, ...]:
    """The distribution of each column."""
    total = float(gains.sum()) or 1.0
    rows = []
    for i, name in enumerate(features):
        column = matrix[:, i]
        there = column[~np.isnan(column)].astype(np.float64)
        quantiles = tuple(map(float, np.quantile(there, _QUANTILES))) if len(there) else ()
        rows.append(Distribution(name, 1 - len(there) / max(1, len(column)), quantiles, float(gains[i]) / total))
    return tuple(rows)
