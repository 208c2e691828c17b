"""Intervals of what is measured, from queries that are drawn again and again (Efron, 1979; by cluster)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from resift.calibrate.fitting import Bools, Floats, Ints

DRAWS = 1000
_CELLS = 1 << 24  # draws × queries; with more queries there are fewer draws
_FEWEST = 200


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with the ends of its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f}-{self.high:.3f})"

    def entries(self) -> dict[str, Any]:
        """The estimate as JSON."""
        return {name: round(number, 6) for name, number in asdict(self).items()}


class QueryBootstrap:
    """Draws of queries with replacement; a query comes with all its pairs, since they are not independent.

    Attributes:
        members: the row of each pair's query, (n,).
        weights: how often each draw has each query, (draws, queries).

    """

    def __init__(self, groups: Ints, seed: int = 0) -> None:
        names, self.members = np.unique(groups, return_inverse=True)
        self.queries = len(names)
        draws = min(DRAWS, max(_FEWEST, _CELLS // self.queries))
        random = np.random.default_rng(seed)
        self.weights: npt.NDArray[np.float32] = np.stack(
            [np.bincount(random.integers(0, self.queries, self.queries), minlength=self.queries) for _ in range(draws)]
        ).astype(np.float32)

    def sums(self, values: Floats) -> Floats:
        """The sum of a value over the pairs of each query, (queries,)."""
        return np.bincount(self.members, values, minlength=self.queries).astype(np.float64)

    def ratios(self, numerators: Floats, denominators: Floats) -> Floats:
        """Ratios of the draws' sums; NaN where a draw's denominator is 0.

        Args:
            numerators: of each query, (queries,) or (queries, k).
            denominators: likewise.

        """
        above, below = self.weights @ numerators, self.weights @ denominators
        ratios: Floats = np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)
        return ratios

    def ratio(self, numerator: Floats, denominator: Floats) -> Estimate:
        """The ratio of two sums over pairs, (n,) each, with its interval."""
        a, b = self.sums(numerator), self.sums(denominator)
        return self.estimate(float(a.sum() / b.sum()) if b.sum() else 0.0, self.ratios(a, b))

    def mean(self, values: Floats) -> Estimate:
        """The mean over pairs, (n,), with its interval."""
        return self.ratio(values, np.ones(len(values)))

    def estimate(self, value: float, draws: Floats) -> Estimate:
        """A value with the middle 95 % of its draws."""
        known = draws[np.isfinite(draws)]
        low, high = np.quantile(known, [0.025, 0.975]) if len(known) else (value, value)
        return Estimate(value, min(float(low), value), max(float(high), value))


def auc(bootstrap: QueryBootstrap, scores: Floats, relevant: Bools) -> Estimate:
    """How likely a relevant pair scores above an irrelevant one, ties counting half (Hanley and McNeil, 1982)."""
    values, place = np.unique(scores, return_inverse=True)
    order = np.argsort(place, kind="stable")
    starts = np.searchsorted(place[order], np.arange(len(values)))
    members, positive = bootstrap.members[order], relevant[order].astype(float)

    def area(weights: Floats) -> float:
        pair_weights = weights[members]
        positives = np.add.reduceat(pair_weights * positive, starts)
        negatives = np.add.reduceat(pair_weights * (1 - positive), starts)
        total = positives.sum() * negatives.sum()
        below = np.cumsum(negatives) - negatives / 2
        return float(positives @ below / total) if total else np.nan

    draws = np.array([area(row.astype(float)) for row in bootstrap.weights])
    return bootstrap.estimate(area(np.ones(bootstrap.queries)), draws)
