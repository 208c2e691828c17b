"""A linear ranking function: what each feature, standardised as in training, adds to the score in front of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from resift.errors import BrokenModel
from resift.rerank.ranking_function import Floats, FunctionKind, Matrix

FURTHEST = 4.0  # standard deviations from the mean; what lies beyond counts as this, so that no odd value decides
_SCHEMA = 1
_COLUMNS = ("means", "deviations", "weights")


@dataclass(frozen=True, slots=True)
class Standardisation:
    """How features become numbers of one scale: by means and deviations of the rows of training.

    Attributes:
        means: (F,) of the values that were there.
        deviations: (F,) their standard deviations; 0 where they do not differ, so that the feature says nothing.

    """

    means: Floats
    deviations: Floats

    @classmethod
    def of(cls, matrix: Matrix, unused: Sequence[int] = ()) -> Standardisation:
        """That of the rows of training; columns that are not used say nothing."""
        values = matrix.astype(np.float64)
        there = ~np.isnan(values)
        count = np.maximum(there.sum(axis=0), 1)
        means = np.where(there, values, 0).sum(axis=0) / count
        deviations = np.sqrt((np.where(there, values - means, 0) ** 2).sum(axis=0) / count)
        deviations[deviations <= 1e-6 * np.abs(means)] = 0.0  # rounding of equal float32 numbers
        deviations[list(unused)] = 0.0
        return cls(means, deviations)

    def __call__(self, matrix: Matrix) -> Floats:
        """(n, F), values between -4 and 4; 0, which is the mean of training, where a value is missing."""
        spread = np.where(self.deviations > 0, self.deviations, 1.0)
        values = (matrix.astype(np.float64) - self.means) / spread
        values[:, self.deviations == 0] = 0.0
        return np.where(np.isnan(values), 0.0, np.clip(values, -FURTHEST, FURTHEST))


class LinearFunction:
    """A weighted sum of standardised features.

    Args:
        standardisation: of the features.
        weights: (F,), what one standard deviation more of a feature adds, in standard deviations of the score in front.

    """

    library: FunctionKind = "linear"
    is_correction = True

    def __init__(self, standardisation: Standardisation, weights: Floats) -> None:
        self.standardisation, self.weights = standardisation, weights

    @property
    def width(self) -> int:
        """See `RankingFunction`."""
        return len(self.weights)

    def predict(self, matrix: Matrix) -> Floats:
        """See `RankingFunction`; a row's score is the same number beside any other rows."""
        scores: Floats = self.contributions(matrix).sum(axis=1)
        return scores

    def contributions(self, matrix: Matrix) -> Floats:
        """See `RankingFunction`; the bias is 0, since it would change no order."""
        parts = self.standardisation(matrix) * self.weights
        return np.ascontiguousarray(np.concatenate([parts, np.zeros((len(parts), 1))], axis=1))

    def gains(self) -> Floats:
        """See `RankingFunction`."""
        return np.abs(self.weights)

    def content(self) -> bytes:
        """See `RankingFunction`."""
        columns = (self.standardisation.means, self.standardisation.deviations, self.weights)
        entries = {"schema": _SCHEMA} | {name: column.tolist() for name, column in zip(_COLUMNS, columns, strict=True)}
        return json.dumps(entries, allow_nan=False, indent=1).encode() + b"\n"


def read_linear(path: Path) -> LinearFunction:
    """The function of a file that `content` gave.

    Raises:
        BrokenModel: the file is missing or damaged, or another Resift wrote it.

    """
    try:
        entries = json.loads(path.read_bytes())
        columns = [np.array(entries[name], np.float64) for name in _COLUMNS]
        schema = entries["schema"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BrokenModel(f"{path} can't be read ({error!r}); tune or train again") from error
    if schema != _SCHEMA:
        raise BrokenModel(f"{path} was written by another version of Resift; tune or train again")
    means, deviations, weights = columns
    shapes = {column.shape for column in columns}
    if len(shapes) > 1 or weights.ndim != 1 or not np.isfinite(columns).all() or (deviations < 0).any():
        raise BrokenModel(f"{path} is damaged: its columns do not fit, or hold what is no number; tune or train again")
    return LinearFunction(Standardisation(means, deviations), weights)
