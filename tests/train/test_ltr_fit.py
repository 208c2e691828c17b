"""Trees of both libraries: they learn, they are the same on any number of threads, and they keep what is asked."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from resift.errors import BrokenModel, InputError, MissingExtra
from resift.rerank.ranking_function import MODEL_FILES
from resift.rerank.tree_models import Library, read_trees
from resift.train.ltr import fit as fit_module
from resift.train.ltr.fit import fit, validated
from resift.train.ltr.gains import ndcg_of_lists
from resift.train.ltr.search import choose, folds, out_of_fold
from resift.train.ltr.settings import TreeSettings
from tests.train.synthetic_rows import FEATURES, synthetic_rows

LIBRARIES: list[Library] = ["lightgbm", "xgboost"]
ROWS = synthetic_rows()
OTHERS = synthetic_rows(seed=1)
QUICK = TreeSettings(rounds=30, learning_rate=0.1, least_rows=5)

library = pytest.mark.parametrize("library", LIBRARIES)


@library
def test_trees_learn_an_order_that_holds_for_other_queries(library: Library) -> None:
    trees = fit(ROWS, replace(QUICK, library=library))
    learned = ndcg_of_lists(OTHERS, trees.predict(OTHERS.matrix), 5).mean()
    useful = ndcg_of_lists(OTHERS, OTHERS.matrix[:, 0].astype(np.float64), 5).mean()
    assert learned > useful + 0.05


@library
def test_trees_do_not_depend_on_threads_or_runs(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit_module, "_MANY", 0)  # otherwise so few rows get one thread
    rows = synthetic_rows(300, 20)
    contents = {fit(rows, replace(QUICK, library=library, threads=threads)).content() for threads in (1, 2, 1)}
    assert len(contents) == 1
    assert fit(rows, replace(QUICK, library=library, seed=1)).content() not in contents


@library
def test_monotone_constraints_hold(library: Library) -> None:
    """A constraint against what the data say makes a feature useless; one with it changes no direction."""
    trees = fit(ROWS, replace(QUICK, library=library, monotone={"useful": 1, "harmful": 1}))
    row = np.zeros((50, len(FEATURES)), np.float32)
    for column in (0, 1):
        rising = row.copy()
        rising[:, column] = np.linspace(-3, 3, 50)
        steps = np.diff(trees.predict(rising))
        assert (steps >= 0).all()
    assert np.ptp(trees.predict(np.array([[-3, 0, 0, 0], [3, 0, 0, 0]], np.float32))) > 0


def test_a_constraint_on_no_feature_is_refused() -> None:
    with pytest.raises(InputError, match="names 'age', which is no feature here"):
        fit(ROWS, replace(QUICK, monotone={"age": 1}))
    with pytest.raises(InputError, match="1, 0 or -1; not 2"):
        TreeSettings(monotone={"useful": 2})


@library
def test_missing_is_not_zero(library: Library) -> None:
    trees = fit(ROWS, replace(QUICK, library=library))
    pair = np.array([[0, 0, 0, 0], [0, 0, 0, np.nan]], np.float32)
    zero, missing = trees.predict(pair)
    assert missing < zero  # "sparse" counts as -0.5 where it is missing


@library
def test_contributions_add_up_to_the_score(library: Library) -> None:
    trees = fit(ROWS, replace(QUICK, library=library))
    parts = trees.contributions(OTHERS.matrix)
    assert parts.shape == (len(OTHERS.labels), len(FEATURES) + 1)
    np.testing.assert_allclose(parts.sum(axis=1), trees.predict(OTHERS.matrix), atol=1e-4)
    assert trees.gains()[0] == max(trees.gains())


@library
def test_a_model_file_gives_the_same_scores(library: Library, tmp_path) -> None:  # noqa: ANN001
    trees = fit(ROWS, replace(QUICK, library=library))
    path = tmp_path / MODEL_FILES[library]
    path.write_bytes(trees.content())
    read = read_trees(path, library)
    np.testing.assert_array_equal(read.predict(OTHERS.matrix), trees.predict(OTHERS.matrix))
    assert (read.width, read.content()) == (len(FEATURES), trees.content())
    path.write_bytes(trees.content()[:300])
    with pytest.raises(BrokenModel, match="can't be read by"):
        read_trees(path, library)
    with pytest.raises(BrokenModel, match="can't be read by"):
        read_trees(tmp_path / "none", library)


@library
def test_growing_ends_when_other_queries_no_longer_gain(library: Library) -> None:
    training, validation = next(folds(ROWS.queries, 3))
    course = validated(ROWS.lists(training), ROWS.lists(validation), replace(QUICK, library=library))
    assert course.best_rounds + 30 == len(course.values) < 300
    assert course.values[course.best_rounds - 1] == course.values.max()


@library
def test_the_watched_measure_is_the_stated_one(library: Library) -> None:
    """The first value of the course is nDCG of one tree, as `ndcg_of_lists` computes it."""
    training, validation = next(folds(ROWS.queries, 3))
    settings = replace(QUICK, library=library, rounds=1, cutoff=5)
    part, others = ROWS.lists(training), ROWS.lists(validation)
    course = validated(part, others, settings)
    scores = fit(part, settings).predict(others.matrix)
    jittered = [ndcg_of_lists(others, scores + np.arange(len(scores)) * e, 5).mean() for e in (1e-9, -1e-9)]
    assert min(jittered) - 1e-6 <= course.values[0] <= max(jittered) + 1e-6  # libraries break ties in their own ways


def test_the_search_takes_what_is_best_on_queries_left_out() -> None:
    steps: list[tuple[str, int, float]] = []
    trials = choose(ROWS, QUICK, on_progress=lambda *step: steps.append(step))
    assert len(trials) == 6
    assert [t.value for t in trials] == sorted((t.value for t in trials), reverse=True)
    assert steps[-1] == ("trees tried", 18, 1.0)
    alone = choose(ROWS, QUICK, search=False)
    assert len(alone) == 1
    assert alone[0].settings.leaves == QUICK.leaves


def test_scores_out_of_fold_come_from_trees_that_saw_no_list_of_the_query() -> None:
    seen: list[set[str]] = []

    def choice(rows) -> TreeSettings:  # noqa: ANN001
        seen.append(set(rows.queries))
        return QUICK

    scores = out_of_fold(ROWS, choice, 4)
    assert len(seen) == 4
    assert all(len(queries) == 45 for queries in seen)
    assert set.intersection(*seen) == set()
    assert ndcg_of_lists(ROWS, scores, 5).mean() < ndcg_of_lists(ROWS, fit(ROWS, QUICK).predict(ROWS.matrix), 5).mean()


def test_weights_count() -> None:
    """Where two halves of the queries contradict each other, the heavier half decides."""
    contrary = replace(ROWS, matrix=-ROWS.matrix, queries=tuple(f"x{q}" for q in ROWS.queries))
    for library, heavy in ((lib, heavy) for lib in LIBRARIES for heavy in (0, 1)):
        rows = replace(
            ROWS,
            matrix=np.concatenate([ROWS.matrix, contrary.matrix]),
            labels=np.concatenate([ROWS.labels, contrary.labels]),
            sizes=np.concatenate([ROWS.sizes, contrary.sizes]),
            queries=(*ROWS.queries, *contrary.queries),
            weights=np.repeat([5.0, 1.0] if heavy == 0 else [1.0, 5.0], len(ROWS.sizes)),
        )
        scores = fit(rows, replace(QUICK, library=library)).predict(np.array([[-2, 0, 0, 0], [2, 0, 0, 0]], np.float32))
        assert (scores[1] > scores[0]) == (heavy == 0)


def test_odd_names_of_features_are_no_obstacle() -> None:
    rows = replace(ROWS, features=('score [a] <b>, "c"', "score {a}: b", "score (a) b", "größe"))
    for library in LIBRARIES:
        assert fit(rows, replace(QUICK, library=library)).width == 4


@library
def test_a_missing_library_is_reported_with_its_install_line(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtra, match="needs what is not installed: pip install"):
        fit(ROWS, replace(QUICK, library=library))
