"""How much wider an interval has to be where folds of queries choose parameters for each other.

In cross-fitting a fold is reported by what the others chose, and is among those that choose for the others. An option's
good luck in one fold thus makes the others choose it, so that folds are lucky together, and an interval that takes
queries as independent is too narrow (Bengio & Grandvalet, No unbiased estimator of the variance of K-fold
cross-validation, 2004). With twelve independent options it called 11 % of useless ones better at a level of 2.5 %.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from resift.evaluate.statistics import Estimate, Floats
from resift.worth.splits import Split
from resift.worth.tuning import OutOfSample, Tables, choose_firsts

RESAMPLES = 1000


def stretch(
    tables: Tables, parts: Sequence[Split], result: OutOfSample, seed: int = 0, samples: int = RESAMPLES
) -> float:
    """How many times as wide an interval of the mean gain is with the choices than without them, 1 or more.

    Queries are drawn with replacement, and each draw chooses the best option anew; the answer is the standard deviation
    of the mean gain over draws, by that of the gain as it was reported. At most it is sqrt(1 + K / (K - 1)) for K
    folds, the correction of Nadeau & Bengio, Inference for the generalization error (2003). It is 1 for a single split,
    whose reported queries chose nothing.

    Args:
        tables: values of all options.
        parts: who tunes and who is reported.
        result: what was reported.
        seed: of the draws.
        samples: how many there are.

    """
    folds, queries = len(parts), tables.first.shape[1]
    if folds == 1:
        return 1.0
    weights = np.random.default_rng(seed).multinomial(queries, np.full(queries, 1 / queries), samples).astype(float)
    chosen = sum((_gains(tables, part, weights) for part in parts), np.zeros(samples))
    reported = weights[:, result.queries] @ result.gain
    most = math.sqrt(1 + folds / (folds - 1))
    return float(np.clip(chosen.std() / max(float(reported.std()), 1e-12), 1, most))


def stretched(estimate: Estimate, factor: float) -> Estimate:
    """The same value with ends that are so many times as far away."""
    low, value, high = estimate.low, estimate.value, estimate.high
    return Estimate(value, value - (value - low) * factor, value + (high - value) * factor)


def _gains(tables: Tables, part: Split, weights: Floats) -> Floats:
    """(S,), the sum of the gains of a split's reported queries by what its other queries choose, for S draws."""
    firsts = sorted(tables.reranked)
    tune, report = weights[:, part.tune], weights[:, part.report]
    size = np.maximum(tune.sum(axis=1, keepdims=True), 1)
    front = np.r_[0, firsts]  # the product's stands in front, and where no split chose it its draws go to the next
    chosen = choose_firsts(tables.first[front][:, part.tune], tune)
    of_draw = np.maximum(chosen - 1, 0)
    gains = np.zeros(len(weights))
    for place, first in enumerate(firsts):
        draws = np.flatnonzero(of_draw == place)
        values = tables.reranked[first].values
        means = tune[draws] @ values[:, part.tune].T / size[draws]
        sums = report[draws] @ (values - tables.first[first])[:, part.report].T
        gains[draws] = sums[np.arange(len(draws)), np.argmax(np.round(means, 9), axis=1)]
    return gains
