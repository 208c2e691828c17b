"""The linear correction: its minimum, what a value counts, its file, and the same weights on any number of threads."""

import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from resift.errors import BrokenModel
from resift.rerank.linear import LinearFunction, Standardisation, read_linear
from resift.train.ltr.linear import LinearExamples, fit_linear, out_of_fold
from resift.train.ltr.rows import TrainingRows, checked_rows

Floats = npt.NDArray[np.float64]


def drawn(lists: int = 20, size: int = 6, width: int = 4, seed: int = 0) -> LinearExamples:
    """Lists whose first feature says much, and whose score so far says something."""
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(lists * size, width)).astype(np.float32)
    matrix[rng.random(matrix.shape) < 0.1] = np.nan
    labels = (np.nan_to_num(matrix[:, 0]) + rng.normal(size=len(matrix)) > 0.8).astype(int)
    labels[::size], labels[1::size] = 2, 0  # so that every list teaches an order
    so_far = (labels + rng.normal(size=len(labels))).reshape(lists, size)
    so_far = (so_far - so_far.mean(axis=1, keepdims=True)) / so_far.std(axis=1, keepdims=True)
    return LinearExamples(checked_rows(matrix, labels, [str(i // size) for i in range(len(labels))]), so_far.ravel())


def loss(examples: LinearExamples, strength: float, weights: Floats, ridge: float) -> float:
    """The same sum, list by list."""
    values = strength * examples.so_far + Standardisation.of(examples.rows.matrix)(examples.rows.matrix) @ weights
    total, starts = ridge / 2 * float(weights @ weights), examples.rows.starts
    for start, end in zip(starts[:-1], starts[1:], strict=True):
        wanted = examples.rows.labels[start:end] / examples.rows.labels[start:end].sum()
        total += math.log(np.exp(values[start:end]).sum()) - float(wanted @ values[start:end])
    return total


@pytest.mark.parametrize("ridge", [0.5, 10.0, 300.0])
def test_the_minimum_is_that_of_scipy(ridge: float) -> None:
    examples = drawn()
    (function,) = fit_linear(examples, [ridge])
    nothing = np.zeros(function.width)
    (strength,) = minimize(
        lambda a: loss(examples, a[0], nothing, 0.0) + (a[0] - 1) ** 2 / 2, np.ones(1), tol=1e-12
    ).x  # the strength is fitted first, and held by a ridge of 1 around 1
    found = minimize(lambda w: loss(examples, strength, w, ridge), nothing, tol=1e-12).x
    assert function.weights * strength == pytest.approx(found, abs=2e-5)
    assert np.abs(found).max() > (0.02 if ridge < 100 else 0.001)


def test_two_candidates_by_hand() -> None:
    """One feature of +1 and -1, the relevant one first: the slope of L lists is 0 at ridge x w = 2 L / (1 + e^2w)."""
    lists, ridge = 5, 3.0
    queries = [str(i) for i in range(lists) for _ in range(2)]
    rows = checked_rows([[1.0], [-1.0]] * lists, [1, 0] * lists, queries)
    (function,) = fit_linear(LinearExamples(rows, np.zeros(2 * lists)), [ridge])
    weight = float(function.weights[0])
    assert ridge * weight == pytest.approx(2 * lists / (1 + math.exp(2 * weight)), abs=1e-6)
    assert function.predict(rows.matrix[:2]) == pytest.approx([weight, -weight])


def test_list_weights_count_like_lists_that_are_repeated() -> None:
    one = drawn(lists=4)
    rows = one.rows
    twice = LinearExamples(
        TrainingRows(
            rows.features, np.concatenate([rows.matrix] * 2), np.concatenate([rows.labels] * 2),
            np.concatenate([rows.sizes] * 2), rows.queries * 2,
        ),
        np.concatenate([one.so_far] * 2),
    )  # fmt: skip
    weighted = replace(one, rows=replace(rows, weights=np.full(4, 2.0)))
    a, b = (fit_linear(examples, [5.0])[0].weights for examples in (twice, weighted))
    assert a == pytest.approx(b, abs=1e-7)


def test_what_a_value_counts() -> None:
    """Mean 2 and deviation 1 of what is there; a gap counts as the mean, and far values as 4 deviations."""
    scale = Standardisation.of(np.array([[1, 7, 0], [3, 7, 1], [np.nan, 7, 2]], np.float32), [2])
    assert scale.means[:2].tolist() == [2, 7] and scale.deviations.tolist() == [1, 0, 0]
    shown = scale(np.array([[3.5, 9, 1], [np.nan, np.nan, 0], [99, 7, 0], [-99, 7, 0]], np.float32))
    assert shown.tolist() == [[1.5, 0, 0], [0, 0, 0], [4, 0, 0], [-4, 0, 0]]
    function = LinearFunction(scale, np.array([0.5, 3.0, 3.0]))
    assert function.predict(np.array([[3.0, 1.0, 9.0]], np.float32)).tolist() == [0.5]
    assert function.gains().tolist() == [0.5, 3, 3]


def test_categories_say_nothing() -> None:
    examples = drawn()
    (function,) = fit_linear(replace(examples, unused=(0,)), [1.0])
    assert function.weights[0] == 0 and np.abs(function.weights[1:]).max() > 0


@given(st.integers(0, 99), st.integers(1, 5))
@settings(max_examples=20, deadline=None)
def test_a_score_depends_on_its_row_alone(seed: int, count: int) -> None:
    examples = drawn(seed=seed)
    (function,) = fit_linear(examples, [3.0])
    rows = examples.rows.matrix
    assert function.predict(rows)[:count].tolist() == function.predict(rows[:count]).tolist()
    parts = function.contributions(rows)
    assert parts.shape == (len(rows), function.width + 1) and not parts[:, -1].any()
    assert parts.sum(axis=1) == pytest.approx(function.predict(rows))


def test_scores_out_of_fold_have_not_seen_their_labels() -> None:
    """Another order of one list's labels changes the scores of other lists, never its own."""
    examples = drawn()
    labels = examples.rows.labels.copy()
    labels[:6] = labels[:6][::-1]
    other = replace(examples, rows=replace(examples.rows, labels=labels))
    (once,), (again,) = (out_of_fold(part, [10.0], 5, 0) for part in (examples, other))
    assert once[:6].tolist() == again[:6].tolist() and once[6:].tolist() != again[6:].tolist()


def test_the_file_gives_the_function_again(tmp_path: Path) -> None:
    examples = drawn()
    (function,) = fit_linear(examples, [3.0])
    path = tmp_path / "linear.json"
    path.write_bytes(function.content())
    again = read_linear(path)
    assert again.content() == function.content()
    assert again.predict(examples.rows.matrix).tolist() == function.predict(examples.rows.matrix).tolist()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 2}, "another version"),
        ({"weights": [1.0]}, "is damaged"),
        ({"means": [math.inf, 0, 0, 0]}, "is damaged"),
        ({"deviations": [-1, 1, 1, 1]}, "is damaged"),
        ({"weights": "many"}, "can't be read"),
        ({"weights": None}, "is damaged"),
    ],
)
def test_a_file_that_is_damaged(tmp_path: Path, change: dict[str, object], message: str) -> None:
    path = tmp_path / "linear.json"
    path.write_text(json.dumps(json.loads(fit_linear(drawn(), [3.0])[0].content()) | change))
    with pytest.raises(BrokenModel, match=message):
        read_linear(path)
    path.unlink()
    with pytest.raises(BrokenModel, match="can't be read"):
        read_linear(path)


def test_the_number_of_threads_changes_nothing() -> None:
    script = (
        "from tests.train.test_ltr_linear import drawn, fit_linear\n"
        "print([f.content() for f in fit_linear(drawn(200, 40, 30), [100.0, 3.0])])"
    )
    outputs = [
        subprocess.run(
            [sys.executable, "-c", script], env=os.environ | {"OPENBLAS_NUM_THREADS": n, "OMP_NUM_THREADS": n},
            capture_output=True, check=True,
        ).stdout
        for n in ("1", "2")
    ]  # fmt: skip
    assert outputs[0] == outputs[1] != b""
