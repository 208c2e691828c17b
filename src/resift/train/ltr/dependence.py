"""Partial dependence: how the score changes with one feature while the others stay as they are.

Friedman, Greedy function approximation: a gradient boosting machine (2001).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from resift.rerank.ranking_function import Floats, RankingFunction
from resift.train.ltr.rows import TrainingRows

_SHOWN, _PLACES, _ROWS = 8, 20, 500


@dataclass(frozen=True, slots=True)
class Dependence:
    """One feature's curve.

    Attributes:
        feature: its name.
        points: value and mean score, at quantiles of the values, ascending.
        missing: the mean score where the value is missing; None where it never was.

    """

    feature: str
    points: tuple[tuple[float, float], ...]
    missing: float | None


def dependences(
    rows: TrainingRows, trees: RankingFunction, gains: Floats, shown: int = _SHOWN
) -> tuple[Dependence, ...]:
    """The curves of the features of the largest gain, over at most 500 rows that lie evenly among all."""
    picked = np.unique(np.linspace(0, len(rows.labels) - 1, _ROWS).astype(np.int64))
    base = rows.matrix[picked]
    order = [int(i) for i in np.argsort(-gains, kind="stable") if gains[i] > 0][:shown]
    curves = []
    for i in order:
        column = rows.matrix[:, i]
        there = column[~np.isnan(column)]
        shares = np.linspace(0, 1, _PLACES)
        places: list[float] = np.unique(np.quantile(there, shares, method="nearest")).tolist() if len(there) else []

        def mean_at(value: float, i: int = i) -> float:
            changed = base.copy()
            changed[:, i] = value
            return float(trees.predict(changed).mean())

        points = tuple((value, mean_at(value)) for value in places)
        curves.append(Dependence(rows.features[i], points, mean_at(np.nan) if len(there) < len(column) else None))
    return tuple(curves)
