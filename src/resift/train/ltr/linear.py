"""Fits a linear correction of an order: softmax cross-entropy over each query's candidates, with a ridge.

The loss is ListNet's with a query's labels, as shares of their sum, for the wanted chances: Cao et al., Learning to
rank: from pairwise approach to listwise approach (2007). It is convex, and Newton's method finds its only minimum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from resift.rerank.linear import LinearFunction, Standardisation
from resift.rerank.ranking_function import Floats
from resift.train.ltr.rows import Integers, TrainingRows
from resift.train.ltr.search import folds

CUTOFF = 10  # k of the nDCG@k that is reported
_STEPS = 100
_NEAR = 1e-9  # decrease that a step promises; below it steps are whole, and rounding would hide what they gain
_THERE = 1e-20
_PLACES = 8  # of weights: beyond them the number of threads would show
_WEAKEST = 0.1  # log-odds of a standard deviation of the score so far, so that a useless one does not divide by 0


@dataclass(frozen=True, eq=False)
class LinearExamples:
    """What is learned from.

    Attributes:
        rows: features and labels.
        so_far: (n,), the score in front of the stage, standardised within each list.
        unused: columns that say nothing as numbers, such as codes of categories.

    """

    rows: TrainingRows
    so_far: Floats
    unused: tuple[int, ...] = ()

    def lists(self, places: Integers) -> LinearExamples:
        """Some of the lists."""
        starts = self.rows.starts
        so_far = np.concatenate([self.so_far[starts[i] : starts[i + 1]] for i in places])
        return replace(self, rows=self.rows.lists(places), so_far=so_far)


def settings_of(ridge: float) -> dict[str, Any]:
    """What a model's summary says of how it was fitted."""
    return {"objective": "softmax cross-entropy", "ridge": ridge, "gain": "label", "measure": f"nDCG@{CUTOFF}"}


def fit_linear(examples: LinearExamples, ridges: Sequence[float]) -> list[LinearFunction]:
    """A correction for each ridge, the same on any number of threads.

    Chances of a query's candidates are softmax(strength x so_far + weights x features); the strength is fitted to the
    rows first, and weights are told in its unit. The loss, which is summed over queries, grows by ridge / 2 times the
    sum of the squared weights.

    Args:
        examples: of training.
        ridges: above 0.

    """
    rows, so_far = examples.rows, examples.so_far
    (step,) = _minimum(_Lists.of(rows, so_far[:, None], so_far), 1.0, np.zeros(1))
    strength = max(1.0 + float(step), _WEAKEST)
    standardisation = Standardisation.of(rows.matrix, examples.unused)
    lists = _Lists.of(rows, standardisation(rows.matrix), strength * so_far)
    weights, functions = np.zeros(lists.features.shape[1]), []
    for ridge in ridges:
        weights = _minimum(lists, ridge, weights)
        functions.append(LinearFunction(standardisation, np.round(weights / strength, _PLACES) + 0.0))
    return functions


def out_of_fold(examples: LinearExamples, ridges: Sequence[float], count: int, seed: int) -> Floats:
    """(R, n), for each ridge the corrected score of each row by a function that saw no list of its query.

    Args:
        examples: all of them.
        ridges: above 0.
        count: of folds, one for each query at most.
        seed: of the folds.

    """
    rows, starts = examples.rows, examples.rows.starts
    scores = np.tile(examples.so_far, (len(ridges), 1))
    for training, others in folds(rows.queries, min(count, len(set(rows.queries))), seed):
        places = np.concatenate([np.arange(starts[i], starts[i + 1]) for i in others])
        for i, function in enumerate(fit_linear(examples.lists(training), ridges)):
            scores[i, places] += function.predict(rows.matrix[places])
    return scores


@dataclass(frozen=True, eq=False, slots=True)
class _Lists:
    """The loss of n candidates in L lists.

    Attributes:
        features: (n, F).
        offset: (n,), what is added to a candidate's weighted features.
        wanted: (n,), chances; those of a list add up to 1.
        starts: (L,), where each list begins.
        of_row: (n,), the list of each candidate.
        counts: (L,), how much each list counts.

    """

    features: Floats
    offset: Floats
    wanted: Floats
    starts: Integers
    of_row: Integers
    counts: Floats

    @classmethod
    def of(cls, rows: TrainingRows, features: Floats, offset: Floats) -> _Lists:
        starts = rows.starts[:-1]
        of_row = np.repeat(np.arange(len(rows.sizes)), rows.sizes)
        wanted = rows.labels / np.add.reduceat(rows.labels, starts)[of_row]
        counts = np.ones(len(rows.sizes)) if rows.weights is None else rows.weights
        return cls(features, offset, wanted, starts, of_row, counts)

    def loss(self, weights: Floats) -> tuple[float, Floats]:
        """The loss, and (n,) the chances."""
        values = self.features @ weights + self.offset
        highest = np.maximum.reduceat(values, self.starts)
        chances = np.exp(values - highest[self.of_row])
        sums = np.add.reduceat(chances, self.starts)
        reached = np.add.reduceat(self.wanted * values, self.starts)
        return float(self.counts @ (np.log(sums) + highest - reached)), chances / sums[self.of_row]

    def gradient(self, chances: Floats) -> Floats:
        """(F,), the slope of the loss."""
        return self.features.T @ (self.counts[self.of_row] * (chances - self.wanted))

    def hessian(self, chances: Floats) -> Floats:
        """(F, F), the slopes of the gradient."""
        means = np.add.reduceat(self.features * chances[:, None], self.starts, axis=0)
        squares = self.features.T @ (self.features * (self.counts[self.of_row] * chances)[:, None])
        return squares - means.T @ (means * self.counts[:, None])


def _minimum(lists: _Lists, ridge: float, start: Floats) -> Floats:
    """(F,), the weights of the least loss plus ridge / 2 x |weights|².

    The Hessian is the dearest part, and changes little near the end: it is computed anew only where steps with the last
    one no longer bring the end ten times nearer.
    """
    weights, promise, before = start, 0.0, 0.0
    value, chances = lists.loss(weights)
    value += ridge / 2 * float(weights @ weights)
    for _ in range(_STEPS):
        gradient = lists.gradient(chances) + ridge * weights
        if promise >= before / 10:
            hessian = lists.hessian(chances) + ridge * np.eye(len(weights))
        step = np.linalg.solve(hessian, gradient)
        promise, before, share = float(gradient @ step), promise, 1.0
        while True:
            tried = weights - share * step
            loss, chances = lists.loss(tried)
            loss += ridge / 2 * float(tried @ tried)
            if promise < _NEAR or loss <= value - 1e-4 * share * promise:
                break
            share /= 2
        weights, value = tried, loss
        if promise < _THERE:
            break
    return weights
