"""How sure a mean over queries is: bootstrap intervals, a paired randomisation test, and Holm's correction."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

SAMPLES = 10_000
METHOD = "BCa bootstrap over queries"
TEST = "paired randomisation test, two-sided, Holm-corrected over pipelines"
_AT_ONCE = 1 << 22  # draws that are held at once
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over queries and the ends of its interval; `low` <= `value` <= `high` but for extreme skew."""

    value: float
    low: float
    high: float


def estimates(columns: Floats, level: float = 0.95, samples: int = SAMPLES, seed: int = 0) -> list[Estimate]:
    """The mean of each column and its interval, by resampling queries.

    The intervals are BCa (bias-corrected and accelerated): Efron, Better bootstrap confidence intervals (1987); for a
    mean the acceleration is a sixth of the skewness of the sum. All columns see the same resamples. A column without
    spread has an interval without width: nothing is known of queries that it did not see.

    Args:
        columns: (n, C), one value for each query; for paired differences, the differences.
        level: how often the interval is to cover the truth.
        samples: how many resamples are drawn.
        seed: of the resamples.

    """
    columns = np.asarray(columns, np.float64)
    means = columns.mean(axis=0)
    resampled = _resampled_means(columns, samples, seed)
    ends = [_bca(columns[:, c], resampled[:, c], level) for c in range(columns.shape[1])]
    return [Estimate(float(mean), low, high) for mean, (low, high) in zip(means, ends, strict=True)]


def randomisation_test(differences: Floats, samples: int = SAMPLES, seed: int = 0) -> list[float]:
    """How likely a mean difference as large as each column's is where which pipeline is which were a coin's toss.

    Fisher's paired randomisation test, two-sided, as Smucker, Allan & Carterette, A comparison of statistical
    significance tests for information retrieval evaluation (2007), recommend; p = (1 + extreme) / (1 + samples), which
    counts the data themselves.

    Args:
        differences: (n, C), one pipeline's value minus the other's for each query.
        samples: how many assignments are drawn.
        seed: of the assignments.

    """
    columns = np.asarray(differences, np.float64)
    observed = np.abs(columns.sum(axis=0)) - 1e-9  # sums of the same values in another order differ by rounding
    extreme = np.zeros(columns.shape[1], np.int64)
    rng = np.random.default_rng(seed)
    for count in _blocks(samples, len(columns)):
        signs = rng.integers(0, 2, (count, len(columns))) * 2.0 - 1
        extreme += (np.abs(signs @ columns) >= observed).sum(axis=0)
    return [float(p) for p in (1 + extreme) / (1 + samples)]


def holm(p_values: list[float]) -> list[float]:
    """P-values corrected for their number: Holm, A simple sequentially rejective multiple test procedure (1979)."""
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for position, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - position) * p_values[i]))
        corrected[i] = largest
    return corrected


def _resampled_means(columns: Floats, samples: int, seed: int) -> Floats:
    """(samples, C): the mean of each column over queries that were drawn with replacement."""
    rng, n = np.random.default_rng(seed), len(columns)
    means = np.empty((samples, columns.shape[1]))
    at = 0
    for count in _blocks(samples, n):
        picks = rng.integers(0, n, (count, n)) + n * np.arange(count)[:, None]
        weights = np.bincount(picks.ravel(), minlength=count * n).reshape(count, n)
        means[at : at + count] = weights @ columns / n
        at += count
    return means


def _blocks(samples: int, n: int) -> Iterator[int]:
    """Numbers of resamples that are drawn together."""
    size = max(1, _AT_ONCE // n)
    for start in range(0, samples, size):
        yield min(size, samples - start)


def _bca(column: Floats, means: Floats, level: float) -> tuple[float, float]:
    mean = float(column.mean())
    deviations = column - mean
    spread = float((deviations**2).sum())
    if spread <= 1e-24 * max(1.0, mean * mean) * len(column):
        return mean, mean
    acceleration = float((deviations**3).sum()) / (6 * spread**1.5)
    below = ((means < mean).sum() + (means <= mean).sum()) / 2
    bias = _NORMAL.inv_cdf(min(max(below / len(means), 1 / len(means)), 1 - 1 / len(means)))
    place = _adjusted(bias, acceleration)
    low, high = np.quantile(means, [place((1 - level) / 2), place((1 + level) / 2)])
    return float(low), float(high)


def _adjusted(bias: float, acceleration: float) -> Callable[[float], float]:
    """The share of the resampled means that stands for a share of the truth."""

    def place(share: float) -> float:
        z = bias + _NORMAL.inv_cdf(share)
        return _NORMAL.cdf(bias + z / (1 - acceleration * z))

    return place
