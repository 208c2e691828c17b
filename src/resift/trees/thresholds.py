"""Thresholds for engines that compare in another way: every value of the engine's precision keeps its side.

`last_left` of a split is the largest value that goes left, `first_right` the smallest that goes right; an engine of
`x <= t` is given the first, one of `x < t` the second.
"""

from __future__ import annotations

import numpy as np

from resift.errors import InputError
from resift.trees.ensemble import Ensemble, Tree

Precision = type[np.float32] | type[np.float64]


def last_left(ensemble: Ensemble, tree: Tree, node: int, precision: Precision) -> float:
    """The largest number of a precision that goes left.

    Raises:
        InputError: none does that is finite.

    """
    threshold = tree.threshold[node]
    number = _cast(threshold, precision)
    if not ensemble.goes_left(tree, node, float(number)):
        number = np.nextafter(number, precision(-np.inf))
    return _finite(number, threshold)


def first_right(ensemble: Ensemble, tree: Tree, node: int, precision: Precision) -> float:
    """The smallest number of a precision that goes right.

    Raises:
        InputError: none does that is finite.

    """
    number = _cast(tree.threshold[node], precision)
    if ensemble.goes_left(tree, node, float(number)):
        number = np.nextafter(number, precision(np.inf))
    return _finite(number, tree.threshold[node])


def _cast(threshold: float, precision: Precision) -> np.floating:
    """The nearest number of the precision, at most one step from the split."""
    with np.errstate(over="ignore"):
        return precision(threshold)


def _finite(number: np.floating, threshold: float) -> float:
    if not np.isfinite(number):
        raise InputError(
            f"a threshold of the trees ({threshold}) is beyond what the engine's numbers reach; clip the feature"
        )
    return float(number)
