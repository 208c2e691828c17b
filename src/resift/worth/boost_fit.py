"""Fits weights and half-lives of boosts on some queries, and reports them on others, by 5-fold cross-fitting."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from resift.evaluate.statistics import Estimate, Floats, estimates
from resift.rerank.boost import BoostRule, shares
from resift.types import Candidate
from resift.worth.selection import stretched
from resift.worth.splits import Bools, Split

K = 10  # of nDCG@10, which is what is fitted
WEIGHTS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0)
HALF_LIVES = ("1d", "7d", "30d", "90d", "180d", "1y", "2y", "5y", "10y", "20y")
_ROUNDS = 2  # of the search over several boosts, one after the other
_CLEARLY = 2.0  # standard errors by which a weight has to be better than none
_BEHIND = -1e9  # a score of candidates that a boost does not move, far behind the others

Setting = tuple[int, float]  # which shape of a boost, and its weight
NONE: Setting = (0, 0.0)


@dataclass(frozen=True, slots=True)
class JudgedRanking:
    """One query as the boosts find it.

    Attributes:
        head: n candidates that a boost orders.
        scores: (n,), theirs in standard deviations.
        gains: (n + m,), what each candidate is worth; those behind the head too.
        ideal: the discounted gain of the best possible order of all documents.

    """

    head: Sequence[Candidate]
    scores: Sequence[float]
    gains: Sequence[float]
    ideal: float


def dcg(gains: npt.ArrayLike) -> float:
    """The discounted cumulative gain of the first 10 gains, in their order: see `measures.ndcg`."""
    first = np.asarray(gains, np.float64)[:K]
    return float((first / np.log2(np.arange(2, len(first) + 2))).sum())


def shapes_of(rule: BoostRule) -> tuple[BoostRule, ...]:
    """The forms of one boost that are tried: with other half-lives, or with and without the logarithm."""
    if rule.half_life is None:
        return (replace(rule, log=True), replace(rule, log=False))
    return tuple(replace(rule, half_life=h) for h in dict.fromkeys([*HALF_LIVES, rule.half_life]))


class BoostGrid:
    """nDCG@10 of Q queries with any setting of some boosts.

    Args:
        rankings: Q queries.
        rules: the boosts, each with its shapes.
        now: seconds since 1970, at which ages end where a rule has no `now`.
        on_progress: is called with the number of shapes that were read.

    """

    def __init__(
        self,
        rankings: Sequence[JudgedRanking],
        rules: Sequence[BoostRule],
        now: float,
        on_progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        self.shapes = [shapes_of(rule) for rule in rules]
        width = max((len(r.gains) for r in rankings), default=0)
        self._scores = np.stack([_padded([*r.scores, *_tail(r)], width, 2 * _BEHIND) for r in rankings])
        self._gains = np.stack([_padded(r.gains, width, 0.0) for r in rankings])
        self._ideals = np.array([r.ideal for r in rankings])
        total, done = sum(map(len, self.shapes)), 0
        self._shares: list[list[Floats]] = []
        for shapes in self.shapes:
            self._shares.append([])
            for shape in shapes:
                rows = [_padded(shares(shape, r.head, now).values, width, 0.5) for r in rankings]
                self._shares[-1].append(np.stack(rows) - 0.5)
                on_progress(done := done + 1, total)
        self._known: dict[tuple[Setting, ...], Floats] = {}

    def values(self, settings: Sequence[Setting]) -> Floats:
        """(Q,), nDCG@10 with one setting for each boost."""
        key = tuple(settings)
        if key not in self._known:
            scores = self._scores.copy()
            for boost, (shape, weight) in enumerate(settings):
                scores += weight * self._shares[boost][shape]
            order = np.argsort(-scores, axis=1, kind="stable")[:, :K]
            gains = np.take_along_axis(self._gains, order, axis=1)
            discounts = np.log2(np.arange(2, gains.shape[1] + 2))
            self._known[key] = np.divide(
                (gains / discounts).sum(axis=1), self._ideals, out=np.zeros(len(gains)), where=self._ideals > 0
            )
        return self._known[key]

    def fit(self, tune: Bools) -> tuple[Setting, ...]:
        """The best setting on some queries: one boost after the other, the others as they are by then.

        A boost gets a weight only where that is better than none by more than two standard errors of the difference,
        since the best of many settings is a lucky one. Of equally good settings the smallest weight is taken.

        Args:
            tune: (Q,), which queries count.

        """
        chosen = [NONE] * len(self.shapes)
        for _ in range(_ROUNDS if len(chosen) > 1 else 1):
            for boost, shapes in enumerate(self.shapes):
                options = [NONE, *((shape, weight) for weight in WEIGHTS for shape in range(len(shapes)))]
                variants = [[*chosen[:boost], option, *chosen[boost + 1 :]] for option in options]
                chosen[boost] = options[_best(np.stack([self.values(v) for v in variants])[:, tune])]
        return tuple(chosen)

    def rules(self, settings: Sequence[Setting]) -> tuple[BoostRule, ...]:
        """The boosts of a setting, without those that have no weight."""
        return tuple(
            replace(self.shapes[boost][shape], weight=weight)
            for boost, (shape, weight) in enumerate(settings)
            if weight
        )


@dataclass(frozen=True, slots=True)
class Fold:
    """A fifth of the queries, reported by what the others chose: the number, the boosts, the gain with its interval."""

    queries: int
    rules: tuple[BoostRule, ...]
    gain: Estimate


@dataclass(frozen=True, slots=True)
class BoostReport:
    """What boosts are worth on queries that did not choose them.

    Attributes:
        plain, boosted: mean nDCG@10 without boosts, and with those that the other folds chose.
        gain: the difference with its interval, stretched as `cross_fitted` says.
        helped, hurt: queries that the boosts made better and worse.
        folds: one after the other.
        rules: what all queries choose; for use.

    """

    plain: float
    boosted: float
    gain: Estimate
    helped: int
    hurt: int
    folds: tuple[Fold, ...]
    rules: tuple[BoostRule, ...]

    @property
    def better(self) -> bool:
        """Whether boosts are better than none: the whole interval is above 0."""
        return self.gain.low > 0 and bool(self.rules)


def cross_fitted(grid: BoostGrid, parts: Sequence[Split], seed: int = 0) -> BoostReport:
    """Fit on all folds but one and report that one, for each; and fit on all for use.

    The folds choose for each other, so that their gains depend on each other. The interval of all of them is therefore
    made sqrt(1 + K / (K - 1)) times as wide for K folds, the correction of Nadeau & Bengio, Inference for the
    generalization error (2003).

    Args:
        grid: of Q queries.
        parts: K folds of them.
        seed: of the intervals.

    """
    plain = grid.values([NONE] * len(grid.shapes))
    gains = np.zeros(len(plain))
    folds = []
    for part in parts:
        settings = grid.fit(part.tune)
        gains[part.report] = (grid.values(settings) - plain)[part.report]
        (gain,) = estimates(gains[part.report][:, None], seed=seed)
        folds.append(Fold(int(part.report.sum()), grid.rules(settings), gain))
    (whole,) = estimates(gains[:, None], seed=seed)
    factor = math.sqrt(1 + len(parts) / (len(parts) - 1))
    helped, hurt = int((gains > 1e-9).sum()), int((gains < -1e-9).sum())
    return BoostReport(
        float(plain.mean()), float((plain + gains).mean()), stretched(whole, factor), helped, hurt, tuple(folds),
        grid.rules(grid.fit(np.ones(len(plain), bool))),
    )  # fmt: skip


def _best(values: Floats) -> int:
    """The row with the best mean, where it is clearly above that of the first; else the first, 0."""
    difference = values - values[0]
    means, errors = np.round(difference.mean(axis=1), 9), difference.std(axis=1) / math.sqrt(values.shape[1])
    return int(np.argmax(np.where(means > _CLEARLY * errors, means, 0.0)))


def _tail(ranking: JudgedRanking) -> list[float]:
    """Scores that keep the candidates behind the head in their order."""
    return [_BEHIND - i for i in range(len(ranking.gains) - len(ranking.scores))]


def _padded(values: Sequence[float], width: int, fill: float) -> npt.NDArray[np.float64]:
    return np.array([*values, *[fill] * (width - len(values))], np.float64)
