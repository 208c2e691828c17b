"""The matrix of a ranking's features, and what was missing in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

Column = npt.NDArray[np.float64]


class MissingCode(StrEnum):
    """Why values of a matrix are missing."""

    SIGNAL = "signal"  # no candidate has a signal of this source
    FIELD = "field"  # no candidate has this field of metadata
    NOT_FINITE = "not_finite"  # a field holds NaN or infinity
    WRONG_TYPE = "wrong_type"  # a field holds another type than the feature reads
    CATEGORY = "category"  # a field holds a category that the feature set does not know
    STATISTICS = "statistics"  # there are no document frequencies


@dataclass(frozen=True, slots=True)
class Missing:
    """What a matrix lacks: a code for programs, the signal or field, how many candidates, a sentence for people."""

    code: MissingCode
    name: str
    count: int
    message: str


@dataclass(frozen=True, slots=True)
class FeatureMatrix:
    """The features of one ranking.

    Attributes:
        names: of the columns, in the order of the feature set.
        values: (n, F) float32, one row per candidate in the ranking's order; NaN where a value is missing.
        missing: signals and fields that no candidate has, and values that could not be used.

    """

    names: tuple[str, ...]
    values: npt.NDArray[np.float32]
    missing: tuple[Missing, ...] = ()


def constant_columns(names: Sequence[str], values: npt.NDArray[np.float32]) -> tuple[str, ...]:
    """The names of columns that tell nothing, because all their values are equal or missing; a value may not be both.

    Args:
        names: of the columns.
        values: (n, F) of all candidates of all queries.

    """
    if not len(values):
        return tuple(names)
    missing = np.isnan(values)
    same = (values == values[:1]).all(axis=0) & ~missing.any(axis=0)
    return tuple(name for name, nothing in zip(names, missing.all(axis=0) | same, strict=True) if nothing)
