"""Fits both curves to scores and labels, and chooses one by its log loss on queries that it was not fitted on."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from resift.calibrate.curves import Curve, IsotonicCurve, PlattCurve

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

_STEPS = 100  # of Newton's method, which needs about ten


@dataclass(frozen=True, slots=True)
class Choice:
    """The curve that was chosen, and the cross-fitted log loss of each by its name (in nats)."""

    curve: Curve
    losses: dict[str, float]


def fit_platt(scores: Floats, relevant: Bools) -> PlattCurve:
    """The logistic curve of least log loss against Platt's smoothed targets.

    Targets are (n₊ + 1) / (n₊ + 2) for the n₊ relevant pairs and 1 / (n₋ + 2) for the others, so that separable data
    give a finite slope. Where scores run against the labels the slope is 0, and every probability the mean target.
    Source: Platt, 1999; Newton's method with halved steps as in Lin, Lin and Weng, 2007.
    """
    targets = np.where(relevant, *_targets(relevant))
    middle, spread = float(scores.mean()), float(scores.std()) or 1.0
    x = np.stack([(scores - middle) / spread, np.ones(len(scores))], axis=1)
    weights = np.array([0.0, _log_odds(float(targets.mean()))])
    loss = _logistic_loss(x @ weights, targets)
    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-np.clip(x @ weights, -500, 500)))
        gradient = x.T @ (p - targets)
        curvature = (x * (p * (1 - p))[:, None]).T @ x + 1e-12 * np.eye(2)
        step, size = np.linalg.solve(curvature, gradient), 1.0
        while (new := _logistic_loss(x @ (weights - size * step), targets)) > loss and size > 1e-10:
            size /= 2
        if loss - new <= 1e-14 * max(loss, 1.0):
            break
        weights, loss = weights - size * step, new
    if weights[0] <= 0:
        return PlattCurve(0.0, _log_odds(float(targets.mean())))
    slope = float(weights[0]) / spread
    return PlattCurve(slope, float(weights[1]) - slope * middle)


def fit_isotonic(scores: Floats, relevant: Bools) -> IsotonicCurve:
    """The never falling steps of least squared error; equal scores are one point.

    No probability is nearer to 0 or 1 than Platt's targets: a block without any relevant pair does not prove that there
    is none. Source: pool adjacent violators, Barlow et al., 1972.
    """
    values, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    means = np.bincount(inverse, relevant.astype(float)) / counts
    blocks: list[tuple[float, float, int]] = []  # mean, weight, and how many values are pooled
    for mean, weight in zip(means.tolist(), counts.tolist(), strict=True):
        size = 1
        while blocks and blocks[-1][0] >= mean:
            before, heavy, many = blocks.pop()
            mean, weight, size = (before * heavy + mean * weight) / (heavy + weight), heavy + weight, size + many
        blocks.append((mean, weight, size))
    high, low = _targets(relevant)
    xs: list[float] = []
    ys: list[float] = []
    at = 0
    for mean, _, size in blocks:
        ends = [values[at]] if size == 1 else [values[at], values[at + size - 1]]
        xs += map(float, ends)
        ys += [min(max(mean, low), high)] * len(ends)
        at += size
    return IsotonicCurve(tuple(xs), tuple(ys))


FITS: dict[str, Callable[[Floats, Bools], Curve]] = {"platt": fit_platt, "isotonic": fit_isotonic}


def choose(scores: Floats, relevant: Bools, folds: Ints, names: tuple[str, ...]) -> Choice:
    """The named curve with the least log loss on the folds that it was not fitted on; of equal ones the first.

    Args:
        scores: of the pairs, (n,).
        relevant: whether each is relevant, (n,).
        folds: the fold of each pair, (n,); a fold whose rest has one class only counts for nothing.
        names: of `FITS`, the simplest first.

    """
    losses = {}
    for name in names:
        probabilities = cross_fitted(FITS[name], scores, relevant, folds)
        known = np.isfinite(probabilities)
        losses[name] = log_loss(probabilities[known], relevant[known]) if known.any() else math.inf
    best = min(names, key=lambda name: losses[name])
    return Choice(FITS[best](scores, relevant), losses)


def cross_fitted(fit: Callable[[Floats, Bools], Curve], scores: Floats, relevant: Bools, folds: Ints) -> Floats:
    """The probability of each pair by a curve fitted on the other folds; NaN where those have one class only."""
    probabilities = np.full(len(scores), np.nan)
    for fold in np.unique(folds):
        inside = folds == fold
        if 0 < relevant[~inside].sum() < (~inside).sum():
            probabilities[inside] = applied(fit(scores[~inside], relevant[~inside]), scores[inside])
    return probabilities


def applied(curve: Curve, scores: Floats) -> Floats:
    """The probability of each score."""
    return np.array([curve(score) for score in scores.tolist()], dtype=np.float64)


def log_loss(probabilities: Floats, relevant: Bools) -> float:
    """The mean of -log of the probability that was given to what is so, in nats."""
    return float(losses_of(probabilities, relevant).mean())


def losses_of(probabilities: Floats, relevant: Bools) -> Floats:
    """The log loss of each pair; probabilities are held 1e-15 off 0 and 1."""
    p = np.clip(probabilities, 1e-15, 1 - 1e-15)
    return -np.log(np.where(relevant, p, 1 - p))


def _targets(relevant: Bools) -> tuple[float, float]:
    """Platt's targets of relevant and irrelevant pairs."""
    positives = int(relevant.sum())
    return (positives + 1) / (positives + 2), 1 / (len(relevant) - positives + 2)


def _log_odds(p: float) -> float:
    return math.log(p / (1 - p))


def _logistic_loss(x: Floats, targets: Floats) -> float:
    return float(np.sum(np.logaddexp(0, x) - targets * x))
