"""Learns when to rerank: expected gains as lines over signals of the query, and what deciding by them costs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from resift.evaluate.statistics import SAMPLES, Estimate, Floats, estimates
from resift.rerank.when import Expectation
from resift.worth.selection import stretched
from resift.worth.splits import Split

RIDGE = 0.3  # beside variances of 1: with fewer than a hundred queries most weights are luck
LEAST_SAVED = 0.1  # share of the scored pairs from which on a rule is worth having
SKIP, RERANK, DEEPER = 0, 1, 2

Actions = npt.NDArray[np.int64]


def fit(signals: Floats, gains: Floats, names: Sequence[str]) -> Expectation:
    """A line by ridge regression on standardised signals (Hoerl & Kennard, 1970), written for signals as they are.

    Args:
        signals: (n, S).
        gains: (n,).
        names: of the S signals; one without spread gets no weight.

    """
    means, deviations = signals.mean(axis=0), signals.std(axis=0)
    live = np.flatnonzero(deviations > 1e-9)
    x = (signals[:, live] - means[live]) / deviations[live]
    matrix = x.T @ x / len(x) + RIDGE * np.eye(len(live))
    weights = np.linalg.solve(matrix, x.T @ (gains - gains.mean()) / len(x)) / deviations[live]
    constant = float(gains.mean() - weights @ means[live])
    return Expectation(constant, {names[int(i)]: float(w) for i, w in zip(live, weights, strict=True)})


def expected(line: Expectation, signals: Floats, names: Sequence[str]) -> Floats:
    """(n,), the expected gains."""
    weights = np.array([line.weights.get(name, 0.0) for name in names])
    values: Floats = line.constant + signals @ weights
    return values


@dataclass(frozen=True, eq=False)
class Outcomes:
    """What each action gives on Q queries: the measure (A, Q), and scored pairs (A, Q); A is 2, or 3 with a depth more.

    The actions are to skip, to rerank, and to rerank deeper.
    """

    values: Floats
    pairs: Floats


@dataclass(frozen=True, eq=False)
class LearnedRule:
    """Lines for the gain of reranking and, with three actions, of more depth."""

    gain: Expectation
    extra: Expectation | None

    def actions(self, signals: Floats, names: Sequence[str], least: float) -> Actions:
        """(n,), what to do with each query."""
        reranked = expected(self.gain, signals, names) >= least
        more = np.zeros(len(signals), bool)
        if self.extra is not None:
            more = expected(self.extra, signals, names) >= least
        return np.where(reranked, np.where(more, DEEPER, RERANK), SKIP)


def learn(signals: Floats, outcomes: Outcomes, tune: npt.NDArray[np.bool_], names: Sequence[str]) -> LearnedRule:
    """Both lines from some queries."""
    values = outcomes.values[:, tune]
    extra = fit(signals[tune], values[DEEPER] - values[RERANK], names) if len(values) > DEEPER else None
    return LearnedRule(fit(signals[tune], values[RERANK] - values[SKIP], names), extra)


@dataclass(frozen=True, slots=True)
class WhenReport:
    """What a rule did on queries that it was not learned from.

    Attributes:
        queries: how many.
        quality: what deciding adds to the measure of reranking always; below 0 it costs.
        skill: what deciding adds to the same shares of actions at random; above 0 the signals tell something.
        saved: share of the scored pairs that reranking always takes; below 0 where more depth takes more.
        skipped, deeper: shares of the queries.
        harmed, spared: skipped queries that reranking would have made better, and worse.
        learned: whether the rule is worth having.
        reason: why not, in a sentence; empty where it is.

    """

    queries: int
    quality: Estimate
    skill: Estimate
    saved: float
    skipped: float
    deeper: float
    harmed: int
    spared: int
    learned: bool
    reason: str


def cross_report(
    signals: Floats,
    outcomes: Outcomes,
    parts: Sequence[Split],
    names: Sequence[str],
    least: float,
    seed: int = 0,
    samples: int = SAMPLES,
) -> WhenReport:
    """Learn on each split's tuning queries, decide for the others, and compare with always reranking and with chance.

    The rule is worth having where it saves a tenth of the pairs or takes another depth as often, is better than the
    same actions at random (the interval of `skill` is above 0), and loses less than `least` against reranking always
    (the interval of `quality` is above -least). With K folds intervals are sqrt(1 + K / (K - 1)) times as wide: see
    `selection`.
    """
    actions = np.zeros(signals.shape[0], np.int64)
    for part in parts:
        rule = learn(signals, outcomes, part.tune, names)
        actions[part.report] = rule.actions(signals[part.report], names, least)
    reported = np.any([part.report for part in parts], axis=0)
    values, pairs, actions = outcomes.values[:, reported], outcomes.pairs[:, reported], actions[reported]
    places = np.arange(len(actions))
    decided = values[actions, places]
    shares = np.bincount(actions, minlength=len(values)) / len(actions)
    columns = np.stack([decided - values[RERANK], decided - shares @ values], axis=1)
    factor = 1.0 if len(parts) == 1 else math.sqrt(1 + len(parts) / (len(parts) - 1))
    quality, skill = (stretched(e, factor) for e in estimates(columns, samples=samples, seed=seed))
    saved = 1 - float(pairs[actions, places].sum() / max(1.0, pairs[RERANK].sum()))
    deeper = float((actions == DEEPER).mean())
    gain = (values[RERANK] - values[SKIP])[actions == SKIP]
    reason = _reason(quality, skill, max(saved, deeper), least)
    return WhenReport(
        len(actions), quality, skill, saved, float(shares[SKIP]), deeper,
        int((gain > 1e-9).sum()), int((gain < -1e-9).sum()), not reason, reason,
    )  # fmt: skip


def _reason(quality: Estimate, skill: Estimate, used: float, least: float) -> str:
    if used < LEAST_SAVED:
        return f"it would spare or deepen {used:.0%} of the work, and less than {LEAST_SAVED:.0%} is not worth a rule"
    if skill.low <= 0:
        return "its decisions are not clearly better than as many at random: the signals don't tell which queries gain"
    if quality.low <= -least:
        return f"against reranking always it may lose more than {least:g}"
    return ""


def as_columns(rows: Sequence[Mapping[str, float]]) -> tuple[Floats, tuple[str, ...]]:
    """(Q, S) and the names of the signals that all queries have."""
    names = tuple(name for name in rows[0] if all(name in row for row in rows))
    return np.array([[row[name] for name in names] for row in rows], np.float64), names
