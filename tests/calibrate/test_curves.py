"""Both curves equal scikit-learn's where it is installed, and golden values where it is not."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resift.calibrate.curves import IsotonicCurve, PlattCurve, curve_of
from resift.calibrate.fitting import applied, choose, fit_isotonic, fit_platt, log_loss
from resift.calibrate.splits import folds_of
from resift.errors import InputError

LABELLED = st.lists(
    st.tuples(st.integers(-20, 20).map(lambda i: i / 4), st.booleans()), min_size=4, max_size=60
).filter(lambda rows: len({label for _, label in rows}) == 2 and len({score for score, _ in rows}) > 1)


def arrays(rows: list[tuple[float, bool]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([score for score, _ in rows]), np.array([label for _, label in rows])


def targets(relevant: np.ndarray) -> tuple[float, float]:
    positives, n = int(relevant.sum()), len(relevant)
    return 1 / (n - positives + 2), (positives + 1) / (positives + 2)


@settings(max_examples=60, deadline=None)
@given(LABELLED, st.floats(-30, 30))
def test_isotonic_is_that_of_scikit_learn(rows: list[tuple[float, bool]], x: float) -> None:
    sklearn = pytest.importorskip("sklearn.isotonic")
    scores, relevant = arrays(rows)
    low, high = targets(relevant)
    reference = sklearn.IsotonicRegression(y_min=low, y_max=high, out_of_bounds="clip")
    reference.fit(scores, relevant.astype(float))
    asked = np.array([*scores, x, *(scores + 0.1)])
    assert applied(fit_isotonic(scores, relevant), asked) == pytest.approx(reference.predict(asked), abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(LABELLED)
def test_platt_is_that_of_scikit_learn(rows: list[tuple[float, bool]]) -> None:
    calibration = pytest.importorskip("sklearn.calibration")
    scores, relevant = arrays(rows)
    curve = fit_platt(scores, relevant)
    a, b = calibration._sigmoid_calibration(scores, relevant.astype(int))
    if curve.slope == 0:
        assert a >= -1e-3
    else:
        assert applied(curve, scores) == pytest.approx(1 / (1 + np.exp(a * scores + b)), abs=2e-3)


def test_platt_by_hand() -> None:
    """Two scores: the curve goes through the mean smoothed target of each."""
    scores, relevant = np.array([0.0] * 4 + [1.0] * 4), np.array([1, 0, 0, 0, 1, 1, 1, 0], bool)
    low, high = 1 / 6, 5 / 6
    curve = fit_platt(scores, relevant)
    assert curve(0.0) == pytest.approx((high + 3 * low) / 4, abs=1e-9)
    assert curve(1.0) == pytest.approx((3 * high + low) / 4, abs=1e-9)


def test_isotonic_by_hand() -> None:
    scores, relevant = np.array([1.0, 2.0, 2.0, 3.0, 4.0, 5.0]), np.array([0, 1, 0, 0, 1, 1], bool)
    curve = fit_isotonic(scores, relevant)
    assert curve.scores == (1.0, 2.0, 3.0, 4.0, 5.0)
    assert curve.probabilities == pytest.approx((0.2, 1 / 3, 1 / 3, 0.8, 0.8))
    assert (curve(-9), curve(1.5), curve(3.5), curve(99)) == pytest.approx((0.2, 0.8 / 3, 1.7 / 3, 0.8))


@settings(max_examples=60, deadline=None)
@given(LABELLED, st.floats(0.1, 50), st.floats(-40, 40))
def test_a_curve_never_falls_and_no_scale_changes_it(
    rows: list[tuple[float, bool]], scale: float, shift: float
) -> None:
    scores, relevant = arrays(rows)
    asked = np.sort(scores)
    for fit in (fit_platt, fit_isotonic):
        probabilities = applied(fit(scores, relevant), asked)
        assert (np.diff(probabilities) >= 0).all() and (probabilities > 0).all() and (probabilities < 1).all()
        other = applied(fit(scores * scale + shift, relevant), asked * scale + shift)
        assert other == pytest.approx(probabilities, abs=1e-4)


def test_scores_against_the_labels_give_the_base_rate() -> None:
    curve = fit_platt(np.array([1.0, 2.0, 3.0, 4.0]), np.array([True, True, False, False]))
    assert curve.slope == 0 and curve(99) == pytest.approx(0.5)


def test_the_curve_with_the_least_cross_fitted_loss_is_taken() -> None:
    random = np.random.default_rng(0)
    groups, scores = np.arange(2000) // 5, random.normal(0, 2, 2000)
    logistic = random.random(2000) < 1 / (1 + np.exp(-scores))
    steps = random.random(2000) < np.where(scores > 1, 0.5, 0.05)
    for relevant, best in ((logistic, "platt"), (steps, "isotonic")):
        choice = choose(scores, relevant, folds_of(groups, relevant, 5, 0), ("platt", "isotonic"))
        assert choice.curve.name == best == min(choice.losses, key=lambda name: choice.losses[name])


def test_log_loss_by_hand() -> None:
    assert log_loss(np.array([0.5, 0.25]), np.array([True, False])) == pytest.approx(-math.log(0.5 * 0.75) / 2)


@pytest.mark.parametrize("curve", [PlattCurve(1.5, -2.0), IsotonicCurve((0.0, 1.0), (0.1, 0.9))])
def test_a_curve_is_read_as_it_was_written(curve: PlattCurve | IsotonicCurve) -> None:
    assert curve_of(json.loads(json.dumps(curve.entries()))) == curve


@pytest.mark.parametrize(
    "entries",
    [
        {"name": "spline"},
        {"name": "platt", "slope": -1, "intercept": 0},
        {"name": "isotonic", "scores": [1, 0], "probabilities": [0.1, 0.2]},
        {"name": "isotonic", "scores": [0, 1], "probabilities": [0.3, 0.2]},
        {"name": "isotonic", "scores": [], "probabilities": []},
    ],
)
def test_what_is_no_curve_is_refused(entries: dict[str, object]) -> None:
    with pytest.raises(InputError):
        curve_of(entries)
