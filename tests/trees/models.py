"""Tiny models of both libraries, trained once, and rows at which they decide."""

from functools import cache
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt
import xgboost

from resift.trees.ensemble import Ensemble
from resift.trees.lightgbm_text import read as read_lightgbm
from resift.trees.xgboost_json import read as read_xgboost

Matrix = npt.NDArray[np.float32] | npt.NDArray[np.float64]
NAMES = ("bm25(title)", "score(bm25)", "number(price)", "z(colbert)")
GROUPS = [20] * 15

# What the models differ in: whether training rows lack values, and LightGBM's and XGBoost's parameters.
ABSENT, COMPLETE = True, False


@cache
def training_rows(absent: bool) -> tuple[Matrix, npt.NDArray[np.int64]]:
    """(300, 4) float32 with zeros, negative and absent values; grades 0 to 4."""
    random = np.random.default_rng(5)
    rows = random.normal(size=(300, len(NAMES))).astype(np.float32)
    rows[:, 2] = np.maximum(rows[:, 2], 0)
    known = rows.copy()
    if absent:
        rows[random.random(rows.shape) < 0.15] = np.nan
        known = np.nan_to_num(rows, nan=2.0)  # that a value is absent says something
    grades = np.clip(known[:, 0] + known[:, 1] ** 2 - known[:, 2] + 0.5 * known[:, 3], 0, 4).astype(np.int64)
    return rows, grades


def train_lightgbm(absent: bool, rounds: int = 20, **parameters: Any) -> lightgbm.Booster:
    rows, grades = training_rows(absent)
    settings = {"objective": "lambdarank", "num_leaves": 8, "min_data_in_leaf": 3, "num_threads": 1, "verbose": -1}
    data = lightgbm.Dataset(rows, grades, group=GROUPS, feature_name=list(NAMES))
    return lightgbm.train({**settings, **parameters}, data, rounds)


def train_xgboost(absent: bool, rounds: int = 20, **parameters: Any) -> xgboost.Booster:
    rows, grades = training_rows(absent)
    data = xgboost.DMatrix(rows, grades, feature_names=list(NAMES))
    if str(parameters.get("objective", "rank")).startswith("rank"):
        data.set_group(GROUPS)
    return xgboost.train({"objective": "rank:ndcg", "max_depth": 3, "nthread": 1, **parameters}, data, rounds)


def xgboost_text(booster: xgboost.Booster) -> str:
    return bytes(booster.save_raw("json")).decode("utf-8")


def library_scores(booster: lightgbm.Booster | xgboost.Booster, rows: Matrix) -> npt.NDArray[np.float64]:
    """The library's own raw scores."""
    if isinstance(booster, lightgbm.Booster):
        return np.asarray(booster.predict(rows, raw_score=True, num_threads=1), np.float64)
    data = xgboost.DMatrix(rows, feature_names=list(NAMES))
    return np.asarray(booster.predict(data, output_margin=True), np.float64)


@cache
def boosters() -> dict[str, lightgbm.Booster | xgboost.Booster]:
    return {
        "lightgbm complete": train_lightgbm(COMPLETE),
        "lightgbm absent": train_lightgbm(ABSENT),
        "xgboost complete": train_xgboost(COMPLETE),
        "xgboost absent": train_xgboost(ABSENT),
    }


def ensemble_of(booster: lightgbm.Booster | xgboost.Booster) -> Ensemble:
    if isinstance(booster, lightgbm.Booster):
        return read_lightgbm(booster.model_to_string(), "model.txt")
    return read_xgboost(xgboost_text(booster), "model.json")


def save(booster: lightgbm.Booster | xgboost.Booster, folder: Path) -> Path:
    """The library's own model file in a folder."""
    path = folder / ("model.txt" if isinstance(booster, lightgbm.Booster) else "model.json")
    booster.save_model(str(path))
    return path


def deciding_rows(ensemble: Ensemble, precision: type[np.float32] | type[np.float64], absent: bool = True) -> Matrix:
    """Every threshold, and the numbers next to it; each also in a row in which another value is absent; one of none."""
    random = np.random.default_rng(1)
    rows = []
    for tree, node in ensemble.splits():
        at = precision(tree.threshold[node])
        values = [at, np.nextafter(at, precision(-np.inf)), np.nextafter(at, precision(np.inf))]
        for value in [value for value in values if abs(value) < np.finfo(precision).max]:
            row = random.normal(size=ensemble.width).astype(precision)
            row[tree.feature[node]] = value
            rows.append(row)
            if absent:
                lacking = row.copy()
                lacking[random.integers(ensemble.width)] = np.nan
                rows.append(lacking)
    if absent:
        rows.append(np.full(ensemble.width, np.nan, precision))
    return np.array(rows)
