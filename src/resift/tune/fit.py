"""Chooses among options smoothly and with shrinkage, and finds out on other queries what the choice is worth.

An option's values are averaged with those of its neighbours, and the option wins whose mean gain over the default, less
a standard error of that gain, is largest; where none is above 0 the default stays. The standard error grows with the
distance from the default and shrinks with the number of queries, so that few queries leave little room, and many do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from resift.evaluate.statistics import Floats
from resift.tune.space import Space
from resift.worth.splits import Split

DEFAULT = -1  # no option: the pipeline stays as it is
RESAMPLES = 300
_KERNEL = np.array([0.25, 0.5, 0.25])


@dataclass(frozen=True, eq=False)
class Fitted:
    """What a level gives.

    Attributes:
        values: (Q,), of each query by what the other folds chose.
        option: what all queries choose; DEFAULT where the default stays.
        factor: how many times as wide intervals of gains are, since folds choose for each other.

    """

    values: Floats
    option: int
    factor: float


def fit(space: Space, values: Floats, default: Floats, folds: Sequence[Split], seed: int = 0) -> Fitted:
    """Choose on all queries, and in each fold for the others.

    Args:
        space: the options.
        values: (O, Q), of the options.
        default: (Q,), of the default.
        folds: who chooses and who is reported.
        seed: of the resamples for `factor`.

    """
    gains = smooth(space, values) - default
    out = default.copy()
    for fold in folds:
        (option,) = choose(gains[:, fold.tune], np.ones((1, int(fold.tune.sum()))))
        if option != DEFAULT:
            out[fold.report] = values[option, fold.report]
    (option,) = choose(gains, np.ones((1, len(default))))
    return Fitted(out, int(option), _stretch(gains, values - default, out - default, folds, seed))


def smooth(space: Space, values: Floats) -> Floats:
    """(O, Q), each option's values averaged with those of its neighbours among weights and shares of vectors."""
    cube = values.reshape(*space.shape, -1)
    cube = _averaged(cube, 2)
    shares = _averaged(cube[:, 1:], 1)  # the first opinion is no neighbour of a share
    smoothed: Floats = np.concatenate([cube[:, :1], shares], axis=1).reshape(values.shape)
    return smoothed


def choose(gains: Floats, weights: Floats) -> npt.NDArray[np.int64]:
    """(S,), the options that S samples of the queries choose, DEFAULT where none is surely better.

    Args:
        gains: (O, Q), over the default.
        weights: (S, Q), how often each query is in a sample.

    """
    size = np.maximum(weights.sum(axis=1, keepdims=True), 1)
    means = weights @ gains.T / size
    variances = np.maximum(weights @ (gains**2).T / size - means**2, 0)
    lower = np.round(means - np.sqrt(variances / size), 9)
    best = np.argmax(lower, axis=1)
    chosen: npt.NDArray[np.int64] = np.where(lower[np.arange(len(best)), best] > 0, best, DEFAULT)
    return chosen


def most_stretch(folds: int) -> float:
    """The correction of an interval for queries that teach for each other: Nadeau & Bengio (2003)."""
    return math.sqrt(1 + folds / (folds - 1))


def _averaged(cube: Floats, axis: int) -> Floats:
    """Averages of neighbours along an axis; at an end the neighbour that is missing does not count."""
    count = cube.shape[axis]
    if count < 2:
        return cube
    padded = np.zeros((count, count))
    for offset, share in zip((-1, 0, 1), _KERNEL, strict=True):
        padded += share * np.eye(count, k=offset)
    padded /= padded.sum(axis=1, keepdims=True)
    averaged: Floats = np.moveaxis(np.tensordot(padded, cube, axes=(1, axis)), 0, axis)
    return averaged


def _stretch(gains: Floats, raw: Floats, reported: Floats, folds: Sequence[Split], seed: int) -> float:
    """As `worth.selection.stretch`: the spread of the mean gain with choices that are made anew, by that without."""
    queries = gains.shape[1]
    weights = np.random.default_rng(seed).multinomial(queries, np.full(queries, 1 / queries), RESAMPLES).astype(float)
    sums = np.zeros(RESAMPLES)
    with_default = np.concatenate([raw, np.zeros((1, queries))])  # at DEFAULT, the last row
    for fold in folds:
        options = choose(gains[:, fold.tune], weights[:, fold.tune])
        sums += (weights[:, fold.report] * with_default[options][:, fold.report]).sum(axis=1)
    spread = float((weights @ reported).std())
    return float(np.clip(sums.std() / max(spread, 1e-12), 1, most_stretch(len(folds))))
