"""Intervals cover the truth as often as they say, and tests reject it as seldom."""

from math import comb

import numpy as np
import pytest
from scipy import stats

from resift.evaluate.statistics import estimates, holm, randomisation_test


def differences(rng: np.random.Generator, n: int, trials: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Gains as reranking has them: many queries unchanged, the others moved up or down; the mean is 0.02."""
    moved = rng.random((n, trials)) < 0.6
    return np.where(moved, rng.normal(0.02 / 0.6, 0.25, (n, trials)).clip(-1, 1), 0.0)


@pytest.mark.parametrize("kind", ["gains", "values"])
def test_intervals_cover_the_truth(kind: str) -> None:
    rng, n, trials = np.random.default_rng(7), 100, 1500
    if kind == "gains":
        columns, truth = differences(rng, n, trials), 0.02
    else:  # values of a measure: skewed, many at 1
        columns = np.where(rng.random((n, trials)) < 0.4, 1.0, rng.beta(1.5, 3, (n, trials)))
        truth = 0.4 + 0.6 / 3
    covered = [e.low <= truth <= e.high for e in estimates(columns, samples=2000)]
    assert 0.93 <= np.mean(covered) <= 0.97


def test_intervals_equal_those_of_scipy() -> None:
    column = np.random.default_rng(1).exponential(1, 60)
    (mine,) = estimates(column[:, None], samples=20_000)
    theirs = stats.bootstrap((column,), np.mean, n_resamples=20_000, method="BCa", rng=np.random.default_rng(2))
    low, high = theirs.confidence_interval
    assert (mine.low, mine.high) == pytest.approx((low, high), abs=0.02)
    assert mine.value == pytest.approx(column.mean())


def test_intervals_are_the_same_each_time_and_for_each_block() -> None:
    columns = np.random.default_rng(3).random((50, 3))
    assert estimates(columns) == estimates(columns)
    alone, beside = estimates(columns[:, 1:2])[0], estimates(columns)[1]  # the same resamples, whoever is beside
    assert (alone.low, alone.high) == pytest.approx((beside.low, beside.high), abs=1e-12)
    (constant,) = estimates(np.full((9, 1), 0.1))
    assert constant.low == constant.value == constant.high


def test_p_values_are_those_of_all_assignments() -> None:
    """Nine differences of one size: the sum of the signs is binomial."""
    column = np.ones((9, 1))
    column[0] = -1
    exact = sum(comb(9, k) for k in (0, 1, 8, 9)) / 2**9
    assert randomisation_test(column, 100_000)[0] == pytest.approx(exact, abs=0.003)


def test_p_values_are_uniform_where_there_is_no_difference() -> None:
    rng = np.random.default_rng(5)
    p = randomisation_test(rng.normal(0, 1, (80, 1000)), 1000)
    assert abs(np.mean(np.array(p) < 0.05) - 0.05) < 0.02
    assert randomisation_test(np.zeros((10, 1)))[0] == 1


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
