"""Model files are read without their libraries, predict what the libraries predict, and are refused in one sentence."""

import json
import re
from random import Random
from typing import Any

import lightgbm
import numpy as np
import pytest
import xgboost

from resift.errors import BrokenModel, InputError, ModelError, ResiftError
from resift.trees import FORMATS, export
from resift.trees.ensemble import Ensemble
from resift.trees.feature_queries import feature_queries
from resift.trees.formats.format import Request
from resift.trees.lightgbm_text import read as read_lightgbm
from resift.trees.xgboost_json import read as read_xgboost
from tests.trees.models import (
    ABSENT,
    COMPLETE,
    NAMES,
    boosters,
    deciding_rows,
    ensemble_of,
    library_scores,
    train_lightgbm,
    train_xgboost,
    training_rows,
    xgboost_text,
)  # fmt: skip

MODELS = ["lightgbm complete", "lightgbm absent", "xgboost complete", "xgboost absent"]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_predictions_are_the_librarys_bit_for_bit(name: str, precision: type) -> None:
    booster = boosters()[name]
    ensemble = ensemble_of(booster)
    assert ensemble.features == NAMES and ensemble.width == 4
    rows = deciding_rows(ensemble, precision)
    assert np.isnan(rows).any() and len(rows) > 300
    for matrix in (rows, training_rows(ABSENT)[0].astype(precision)):
        np.testing.assert_array_equal(ensemble.predict(matrix), library_scores(booster, matrix))


@pytest.mark.parametrize(
    "parameters",
    [
        {"objective": "regression", "boost_from_average": True},
        {"objective": "regression_l1", "boosting": "dart", "drop_rate": 0.5},
        {"objective": "rank_xendcg", "monotone_constraints": [1, 0, 0, 0]},
        {"objective": "huber", "num_leaves": 40},
        {"min_data_in_leaf": 400},  # trees of one leaf
    ],
)
def test_kinds_of_lightgbm_models(parameters: dict[str, Any]) -> None:
    """What was fitted before the first tree, and the weights of dart, are part of the leaves."""
    booster = train_lightgbm(ABSENT, 6, **parameters)
    rows = training_rows(ABSENT)[0]
    np.testing.assert_array_equal(ensemble_of(booster).predict(rows), library_scores(booster, rows))


@pytest.mark.parametrize("library", ["lightgbm", "xgboost"])
def test_nodes_that_only_separate_missing_values(library: str) -> None:
    """The threshold is beyond all values."""
    rows, _ = training_rows(ABSENT)
    grades = np.isnan(rows[:, 0]) * 2.0 + np.isnan(rows[:, 1])
    booster: lightgbm.Booster | xgboost.Booster
    if library == "lightgbm":
        settings = {"objective": "regression", "num_threads": 1, "verbose": -1}
        booster = lightgbm.train(settings, lightgbm.Dataset(rows, grades, feature_name=list(NAMES)), 3)
    else:
        booster = xgboost.train({"nthread": 1}, xgboost.DMatrix(rows, grades, feature_names=list(NAMES)), 3)
    ensemble = ensemble_of(booster)
    beyond = any(abs(tree.threshold[node]) > 1e30 for tree, node in ensemble.splits())
    assert beyond == (library == "lightgbm")  # XGBoost takes a number below all values
    np.testing.assert_array_equal(ensemble.predict(rows), library_scores(booster, rows))
    for format_name, form in FORMATS.items():
        if format_name != "ranklib":
            export(ensemble, format_name, "m")
            content = form.write(Request(ensemble, feature_queries(NAMES), "m", "m")).content
            np.testing.assert_allclose(form.scores(content, NAMES, rows[:50]), library_scores(booster, rows[:50]), 1e-6)


@pytest.mark.parametrize(
    "parameters",
    [
        {"objective": "reg:squarederror"},  # the base score is the mean
        {"objective": "reg:squarederror", "base_score": 0.7},
        {"objective": "reg:absoluteerror"},
        {"objective": "rank:pairwise", "gamma": 0.5},  # pruned nodes stay in the file
        {"objective": "rank:ndcg", "tree_method": "exact", "max_depth": 2},
        {"objective": "reg:pseudohubererror", "num_parallel_tree": 3},
    ],
)
def test_kinds_of_xgboost_models(parameters: dict[str, Any]) -> None:
    booster = train_xgboost(ABSENT, 6, **parameters)
    rows = training_rows(ABSENT)[0]
    np.testing.assert_array_equal(ensemble_of(booster).predict(rows), library_scores(booster, rows))


def test_base_scores_of_older_xgboost() -> None:
    """Before version 3.1 the base score is a number, not a list of one."""
    booster = train_xgboost(ABSENT, 3, objective="reg:squarederror", base_score=0.25)
    model = json.loads(xgboost_text(booster))
    model["learner"]["learner_model_param"]["base_score"] = "2.5E-1"
    model["version"] = [1, 7, 6]
    rows = training_rows(ABSENT)[0]
    ensemble = read_xgboost(json.dumps(model), "model.json")
    np.testing.assert_array_equal(ensemble.predict(rows), library_scores(booster, rows))


def test_missing_is_zero_where_training_had_no_missing_values() -> None:
    """LightGBM reads NaN as 0 then; XGBoost has a direction at every node."""
    assert ensemble_of(boosters()["lightgbm complete"]).missing_is_zero
    assert not ensemble_of(boosters()["lightgbm absent"]).missing_is_zero
    assert not ensemble_of(boosters()["xgboost absent"]).missing_is_zero


def test_rows_of_another_width_are_refused() -> None:
    with pytest.raises(InputError, match=r"rows of 4 features; not an array of shape \(2, 3\)"):
        ensemble_of(boosters()["lightgbm complete"]).predict(np.zeros((2, 3)))


def refused(read: Any, text: str, kind: type[ResiftError], words: str) -> None:
    with pytest.raises(kind) as caught:
        read(text, "m")
    message = str(caught.value)
    assert type(caught.value) is kind and re.search(words, message), message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"objective": "multiclass", "num_class": 5}, "several classes.*train it with lambdarank"),
        ({"objective": "binary"}, "'binary sigmoid:1', which is more than a sum of trees; train it with one of lambda"),
        ({"objective": "regression", "reg_sqrt": True}, "'regression sqrt'"),
        ({"objective": "regression", "linear_tree": True}, "tree 0 of m has linear leaves.*linear_tree=false"),
        ({"zero_as_missing": True}, "treats 0 as missing.*zero_as_missing=false"),
        ({"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5, "objective": "regression"}, "random forest"),
    ],
)
def test_lightgbm_models_that_no_engine_takes(parameters: dict[str, Any], words: str) -> None:
    text = train_lightgbm(COMPLETE, 3, **parameters).model_to_string()
    refused(read_lightgbm, text, InputError, words)


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        (("version=v4", "version=v2"), InputError, "version 'v2' of LightGBM's format, and v3 and v4 are read"),
        (("tree\nversion", "forest\nversion"), BrokenModel, "no model file of LightGBM"),
        (("end of trees", "end"), BrokenModel, "ends before its last tree"),
        (("\nTree=3\n", "\n"), BrokenModel, "ends before its last tree"),
        (("feature_names=bm25(title)", "feature_names="), BrokenModel, "names 3 of 4 features"),
        (("num_leaves=", "num_leaves=x"), BrokenModel, "num_leaves is missing or no number"),
        (("threshold=", "threshold=0.5 "), BrokenModel, "threshold has 8 of 7 values"),
        (("threshold=", "threshold=nonsense"), BrokenModel, "threshold holds what is no number"),
        (("leaf_value=", "leaf_value=nan "), BrokenModel, "leaf_value has 9 of 8 values"),
        ((r"left_child=-?\d+", "left_child=99999999999"), BrokenModel, "left_child holds what is no number"),
        ((r"left_child=-?\d+", "left_child=1.5"), BrokenModel, "left_child holds what is no number"),
        ((r"leaf_value=\S+", "leaf_value=inf"), BrokenModel, "no finite number"),
        ((r"split_feature=\d+", "split_feature=9"), BrokenModel, "asks feature 9 of 4"),
        ((r"left_child=-?\d+", "left_child=0"), BrokenModel, "do not make a tree"),
        ((r"left_child=-?\d+", "left_child=99"), BrokenModel, "do not make a tree"),
    ],
)
def test_damaged_lightgbm_files(change: tuple[str, str], kind: type[ResiftError], words: str) -> None:
    text = boosters()["lightgbm complete"].model_to_string()  # type: ignore[union-attr]
    pattern, replacement = change
    changed = re.sub(pattern if "\\" in pattern else re.escape(pattern), replacement, text, count=1)
    assert changed != text
    refused(read_lightgbm, changed, kind, words)


def test_lightgbm_files_that_end_early() -> None:
    text = train_lightgbm(ABSENT, 2).model_to_string()
    end = text.index("end of trees")
    for length in range(0, end, 41):
        with pytest.raises(ModelError):
            read_lightgbm(text[:length], "m")


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"booster": "dart", "rate_drop": 0.5}, "booster=dart, whose trees have weights; train it with booster=gbtree"),
        ({"objective": "multi:softprob", "num_class": 5}, "several values.*train it with rank:ndcg"),
        ({"objective": "count:poisson"}, "'count:poisson', which is more than a sum of trees"),
    ],
)
def test_xgboost_models_that_no_engine_takes(parameters: dict[str, Any], words: str) -> None:
    refused(read_xgboost, xgboost_text(train_xgboost(COMPLETE, 3, **parameters)), InputError, words)


def test_lightgbm_models_of_categories() -> None:
    categories = np.arange(400)[:, None] % 7
    grades = np.isin(categories[:, 0], (1, 3, 6)).astype(float)
    settings = {
        "objective": "regression",
        "verbose": -1,
        "num_threads": 1,
        "min_data_per_group": 1,
        "max_cat_to_onehot": 1,
    }
    data = lightgbm.Dataset(categories, grades, categorical_feature=[0])
    text = lightgbm.train(settings, data, 3).model_to_string()
    refused(read_lightgbm, text, InputError, "tree 0 of m splits by category.*train without categorical features")


def test_xgboost_models_of_categories() -> None:
    rows, grades = training_rows(COMPLETE)
    data = xgboost.DMatrix(
        np.abs(rows * 3).astype(np.int32), grades, feature_types=["c", "q", "q", "q"], enable_categorical=True
    )
    booster = xgboost.train({"nthread": 1, "max_cat_to_onehot": 1}, data, 3)
    refused(read_xgboost, xgboost_text(booster), InputError, "splits by category")


def changed_xgboost(path: list[str | int], value: object) -> str:
    model = json.loads(xgboost_text(boosters()["xgboost complete"]))  # type: ignore[arg-type]
    place = model
    for key in path[:-1]:
        place = place[key]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return json.dumps(model)


TREE: list[str | int] = ["learner", "gradient_booster", "model", "trees", 0]


@pytest.mark.parametrize(
    ("path", "value", "kind", "words"),
    [
        (["version"], [4, 0, 0], InputError, "written by XGBoost 4, and versions 1 to 3 are read"),
        (["learner", "gradient_booster", "name"], "gblinear", InputError, "booster=gblinear, which has no trees"),
        (["version"], None, BrokenModel, "no model file of XGBoost, or it is damaged"),
        (["learner"], [1], BrokenModel, "no model file of XGBoost, or it is damaged"),
        (["learner", "learner_model_param", "num_target"], "2", InputError, "several values"),
        (["learner", "learner_model_param", "base_score"], "[1E0,2E0]", InputError, "2 base scores"),
        (["learner", "learner_model_param", "base_score"], "x", BrokenModel, "damaged"),
        (["learner", "feature_names"], ["a"], BrokenModel, "names 1 of 4 features"),
        (["learner", "gradient_booster", "model", "trees"], [], InputError, "no trees"),
        ([*TREE, "split_conditions"], [0.5], BrokenModel, "different lengths"),
        ([*TREE, "split_indices"], None, BrokenModel, "damaged"),
        ([*TREE, "left_children", 0], 0, BrokenModel, "do not make a tree"),
        ([*TREE, "right_children", 0], 5000, BrokenModel, "do not make a tree"),
        ([*TREE, "right_children", 0], 99999999999, BrokenModel, "damaged"),
        (["learner", "learner_model_param", "num_class"], float("inf"), BrokenModel, "damaged"),
        ([*TREE, "split_indices", 0], 4, BrokenModel, "asks feature 4 of 4"),
        ([*TREE, "split_conditions", 0], float("nan"), BrokenModel, "no finite number"),
        ([*TREE, "tree_param", "size_leaf_vector"], "3", InputError, "leaves of several values"),
    ],
)
def test_damaged_xgboost_files(path: list[str | int], value: object, kind: type[ResiftError], words: str) -> None:
    refused(read_xgboost, changed_xgboost(path, value), kind, words)


def test_what_is_no_file_of_xgboost() -> None:
    booster = boosters()["xgboost complete"]
    text = xgboost_text(booster)  # type: ignore[arg-type]
    refused(read_xgboost, text[:-40], BrokenModel, "it is no JSON")
    refused(read_xgboost, "[" * 5000, BrokenModel, "it is no JSON")
    dump = "[" + ",".join(booster.get_dump(dump_format="json")) + "]"  # type: ignore[union-attr]
    refused(read_xgboost, dump, InputError, "a dump of XGBoost, which lacks the base score.*save_model")
    refused(read_xgboost, "{}", BrokenModel, "no model file of XGBoost")


@pytest.mark.parametrize("library", ["lightgbm", "xgboost"])
def test_any_damage_is_refused_or_gives_numbers(library: str) -> None:
    """Characters altered, lost and added, 400 times: no other exception, no warning, no endless walk."""
    random = Random(3)
    read, text = read_lightgbm, train_lightgbm(ABSENT, 2).model_to_string()
    if library == "xgboost":
        read, text = read_xgboost, xgboost_text(train_xgboost(ABSENT, 2))
    text = text.partition("\nfeature_importances")[0]
    rows = training_rows(ABSENT)[0][:20]
    refusals = 0
    for _ in range(400):
        place, end = (random.randrange(len(text)) for _ in range(2))
        added = random.choice(["", "-1", "1e999", "NaN", "99999999999999999999", "null", "[]", "7", "=", "\n"])
        damaged = text[:place] + added + text[place + end % 30 :]
        try:
            ensemble = read(damaged, "m")
        except ResiftError as error:
            assert "\n" not in str(error)
            refusals += 1
        else:
            if ensemble.width == rows.shape[1]:
                assert np.isfinite(ensemble.predict(rows)).all()
    assert refusals > 150


def test_a_sum_begins_with_the_base_score() -> None:
    """By hand: one split at 0.5, outputs 1 and 2, base score 10."""
    tree = ensemble_of(boosters()["xgboost complete"]).trees[0]
    by_hand = type(tree)(
        np.array([0, -1, -1], np.int32), np.array([0.5, 0, 0]), np.array([True, False, False]),
        np.array([1, -1, -1], np.int32), np.array([2, -1, -1], np.int32), np.array([0.0, 1.0, 2.0]),
    )  # fmt: skip
    rows = np.array([[0.4], [0.5], [0.6], [np.nan]])
    assert Ensemble((by_hand,), ("x",), 1, "xgboost", 10).predict(rows).tolist() == [11, 12, 12, 11]
    assert Ensemble((by_hand,), ("x",), 1, "lightgbm").predict(rows).tolist() == [1, 1, 2, 1]
