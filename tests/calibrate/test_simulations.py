"""Simulated scores with known probabilities: what is claimed of a calibration is so on queries that it never saw."""

import numpy as np
import pytest

from resift.calibrate.bootstrap import QueryBootstrap, auc
from resift.calibrate.fit import FitOptions, fit
from resift.calibrate.fitting import applied
from resift.calibrate.reliability import bins_of, measured
from resift.calibrate.splits import folds_of, groups_of
from resift.calibrate.thresholds import Aim, Intent, outcome_of, wilson
from resift.types import Level
from tests.calibrate.simulated import BINDING, simulated, true_probability

RUNS = 40  # 20 would let one unlucky run decide


@pytest.fixture(scope="module", autouse=True)
def few_draws() -> None:
    """The intervals of many simulations need no thousand draws each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("resift.calibrate.bootstrap.DRAWS", 300)
        yield


def test_probabilities_are_the_true_ones() -> None:
    report = fit(simulated(1, queries=1500), BINDING)
    scores = np.linspace(-4, 4, 50)
    assert applied(report.calibration.curve, scores) == pytest.approx(true_probability(scores), abs=0.04)
    assert report.measures.ece.value < 0.02 and report.measures.ece.value < 2 * report.measures.ece_by_chance
    assert report.measures.ece.low <= report.measures.ece.value <= report.measures.ece.high
    assert report.separates and not report.reasons
    assert report.calibration.levels[Level.SOME] < report.calibration.levels[Level.HIGH]


def test_thresholds_keep_what_they_promise_on_other_queries() -> None:
    """In 95 % of the simulations or more, the interval of the report allows for the limit, for each aim."""
    intents = (Intent(Aim.MIN_PRECISION, 0.8), Intent(Aim.MAX_FALSE_KEEP, 0.1), Intent(Aim.MIN_RECALL, 0.8))
    contradicted, missed, runs = dict.fromkeys(intents, 0), dict.fromkeys(intents, 0), 0
    for seed in range(RUNS):
        report = fit(simulated(seed), BINDING, FitOptions(intents=intents))
        runs += 1
        truth = simulated(seed + 10_000, queries=300)
        probabilities = applied(report.calibration.curve, truth.scores)
        for threshold in report.thresholds[: len(intents)]:
            assert threshold.least is not None and threshold.outcome is not None
            contradicted[threshold.intent] += threshold.contradicted
            keep, aim = probabilities >= threshold.least, threshold.intent.aim
            real = {
                Aim.MIN_PRECISION: truth.relevant[keep].mean(),
                Aim.MAX_FALSE_KEEP: keep[~truth.relevant].mean(),
                Aim.MIN_RECALL: keep[truth.relevant].mean(),
            }[aim]
            limit = threshold.intent.limit
            missed[threshold.intent] += real > limit if aim is Aim.MAX_FALSE_KEEP else real < limit
    assert max(contradicted.values()) <= 0.05 * runs, contradicted
    assert max(missed.values()) <= 0.15 * runs, missed  # the true value itself, of which nothing is promised


def test_intervals_cover_the_truth() -> None:
    """The base rate's interval holds the true rate in about 95 % of simulations, although pairs of a query depend."""
    truth = float(simulated(99, queries=5000).relevant.mean())
    covered = 0
    for seed in range(RUNS):
        sample = simulated(seed + 500)
        base = QueryBootstrap(sample.groups, seed).mean(sample.relevant.astype(float))
        covered += base.low <= truth <= base.high
    assert covered >= 0.85 * RUNS


def test_no_query_is_on_both_sides() -> None:
    sample = simulated(3, queries=57)
    halves = folds_of(sample.groups, sample.relevant, 2, 0)
    assert not set(sample.groups[halves == 0]) & set(sample.groups[halves == 1])
    assert abs(len(set(sample.groups[halves == 0])) - len(set(sample.groups[halves == 1]))) <= 1
    folds = folds_of(sample.groups, sample.relevant, 5, 0)
    assert all(len(set(folds[sample.groups == group])) == 1 for group in set(sample.groups.tolist()))
    assert groups_of(["Who lit it?", " who  LIT it?", "other"]).tolist() == [0, 0, 1]


def test_a_leak_would_be_seen() -> None:
    """Labels that are each query's own coin: a report on other queries finds nothing, one on the same would."""
    random = np.random.default_rng(0)
    sample = simulated(0, queries=80)
    coins, scores = random.random(80) < 0.5, np.repeat(random.normal(0, 1, 80), 10)
    from dataclasses import replace

    leaky = replace(sample, scores=scores, relevant=np.repeat(coins, 10))
    report = fit(leaky, BINDING, FitOptions(curve="isotonic"))
    assert report.measures.auc.value < 0.7 and not report.separates
    same = applied(report.calibration.curve, leaky.scores)
    halves = folds_of(leaky.groups, leaky.relevant, 2, 0)
    fitted, other = ((same[halves == i] - leaky.relevant[halves == i]) ** 2 for i in (0, 1))
    assert fitted.mean() < other.mean()


def test_a_threshold_that_the_report_contradicts_is_no_level() -> None:
    """The report's half has other scores than the half that was fitted."""
    from dataclasses import replace

    sample = simulated(4, queries=200)
    other = folds_of(sample.groups, sample.relevant, 2, 0) == 1
    drifted = replace(sample, scores=np.where(other, sample.scores - 2, sample.scores))
    report = fit(drifted, BINDING)
    assert [t.contradicted for t in report.thresholds] == [False, True]
    assert Level.SOME not in report.calibration.levels and Level.HIGH in report.calibration.levels


def test_few_queries_are_cross_fitted() -> None:
    report = fit(simulated(5, queries=20), BINDING)
    assert report.data.cross_fitted and report.data.reported_pairs == report.data.fitted_pairs == 200
    assert report.measures.auc.value > 0.8
    halves = fit(simulated(5, queries=60), BINDING)
    assert not halves.data.cross_fitted and halves.data.reported_pairs == halves.data.fitted_pairs == 300


def test_noise_is_no_clean_separation() -> None:
    from dataclasses import replace

    sample = simulated(7)
    noise = replace(sample, scores=np.random.default_rng(1).normal(0, 1, len(sample.scores)))
    report = fit(noise, BINDING)
    assert not report.separates and len(report.reasons) == 2
    assert "AUC" in report.reasons[0] and "0.9 is not reached" in report.reasons[1]
    assert Level.HIGH not in report.calibration.levels


def test_auc_is_that_of_all_pairs() -> None:
    random = np.random.default_rng(0)
    scores, relevant = np.round(random.normal(0, 1, 80), 1), random.random(80) < 0.4
    groups = np.arange(80) // 4
    pairs = [(a > b) + (a == b) / 2 for a in scores[relevant] for b in scores[~relevant]]
    assert auc(QueryBootstrap(groups), scores, relevant).value == pytest.approx(np.mean(pairs))


def test_measures_by_hand() -> None:
    probabilities, relevant = np.array([0.2, 0.2, 0.8, 0.8]), np.array([False, True, True, True])
    measures, rows = measured(probabilities, probabilities, relevant, QueryBootstrap(np.arange(4)))
    assert [(row.pairs, row.predicted, row.relevant.value) for row in rows] == [(2, 0.2, 0.5), (2, 0.8, 1.0)]
    assert measures.ece.value == pytest.approx(0.5 * 0.3 + 0.5 * 0.2)
    assert measures.brier.value == pytest.approx((0.04 + 0.64 + 0.04 + 0.04) / 4)
    assert measures.base_rate.value == 0.75


def test_bins_have_equally_many_pairs_and_part_no_ties() -> None:
    assert np.bincount(bins_of(np.arange(100) / 100)).tolist() == [10] * 10
    assert bins_of(np.array([0.1] * 50 + [0.2] * 50)).tolist() == [0] * 50 + [1] * 50


def test_what_a_threshold_does_is_counted_by_hand() -> None:
    keep = np.array([True, True, False, False, False, True])
    relevant = np.array([True, False, True, False, False, False])
    groups = np.array([0, 0, 1, 2, 2, 3])
    outcome = outcome_of(keep, relevant, QueryBootstrap(groups))
    assert outcome.precision is not None
    shares = (outcome.precision.value, outcome.recall.value, outcome.false_keep.value)
    assert shares == pytest.approx((1 / 3, 1 / 2, 2 / 4))
    assert (outcome.silent, outcome.silent_rightly, outcome.irrelevant_queries, outcome.kept_pairs) == (2, 1, 2, 3)


def test_wilson_asks_for_enough_pairs() -> None:
    """Without an error among n, the bound is n / (n + z²); source: Wilson, 1927."""
    bounds = wilson(np.array([5.0, 24.0, 25.0, 0.0]), np.array([5.0, 24.0, 25.0, 0.0]), upper=False)
    assert bounds == pytest.approx([5 / (5 + 1.645**2), 24 / (24 + 1.645**2), 25 / (25 + 1.645**2), 0], abs=1e-3)
    assert bounds[1] < 0.9 < bounds[2]
