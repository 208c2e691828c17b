"""Thresholds for engines that compare in another way: every value of the engine's precision keeps its side.

`last_left` of a split is the largest value that goes left, `first_right` the smallest that goes right; an engine of
`x <= t` is given the first, one of `x < t` the second. Where a node only separates missing values from all others, its
threshold is infinite, which no file holds: the largest finite number stands for it, and only that number itself and
infinity may then go the other way.
"""

from __future__ import annotations

import numpy as np

from resift.trees.ensemble import Ensemble, Tree

Precision = type[np.float32] | type[np.float64]


def last_left(ensemble: Ensemble, tree: Tree, node: int, precision: Precision) -> float:
    """The largest finite number of a precision that goes left."""
    number = _cast(tree.threshold[node], precision)
    if not ensemble.goes_left(tree, node, float(number)):
        number = neighbour(number, -np.inf)
    return _finite(number, precision)


def first_right(ensemble: Ensemble, tree: Tree, node: int, precision: Precision) -> float:
    """The smallest finite number of a precision that goes right."""
    number = _cast(tree.threshold[node], precision)
    if ensemble.goes_left(tree, node, float(number)):
        number = neighbour(number, np.inf)
    return _finite(number, precision)


def neighbour(number: np.floating, direction: float) -> np.floating:
    """The next number of the same precision; after the largest finite one, infinity."""
    with np.errstate(over="ignore"):
        following: np.floating = np.nextafter(number, type(number)(direction))
    return following


def _cast(threshold: float, precision: Precision) -> np.floating:
    """The nearest number of the precision, at most one step from the split."""
    with np.errstate(over="ignore"):
        return precision(threshold)


def _finite(number: np.floating, precision: Precision) -> float:
    limit = np.finfo(precision).max
    return float(np.clip(number, -limit, limit))
