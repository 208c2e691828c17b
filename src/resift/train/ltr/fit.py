"""Grows ranking trees: LightGBM's lambdarank or XGBoost's rank:ndcg, with early stopping on other queries.

Burges, From RankNet to LambdaRank to LambdaMART: an overview (2010).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from resift.rerank.ranking_function import Floats, RankingFunction
from resift.rerank.tree_models import LightGBMTrees, XGBoostTrees, import_lightgbm, import_xgboost
from resift.train.ltr.gains import gain_table
from resift.train.ltr.rows import TrainingRows
from resift.train.ltr.settings import MOST_ROUNDS, PATIENCE, TreeSettings

_MANY = 50_000  # rows
_UNNAMEABLE = re.compile(r"[^\w.()/+-]+", re.ASCII)  # LightGBM takes no JSON in a name, and XGBoost no [, ] or <


@dataclass(frozen=True, eq=False)
class Course:
    """How nDCG on the validation queries went, round by round; growing ended when it had not risen for a while."""

    values: Floats

    @property
    def best_rounds(self) -> int:
        """The number of trees at which it was highest, the first of equals."""
        return int(np.argmax(self.values)) + 1


def fit(rows: TrainingRows, settings: TreeSettings) -> RankingFunction:
    """Trees of all rows, `settings.rounds` of them.

    The same rows and settings give the same trees, whatever the number of threads is.

    Raises:
        MissingExtra: the library is not installed.
        InputError: a monotone constraint on a feature that there is not.

    """
    if settings.library == "lightgbm":
        booster = import_lightgbm().train(_lightgbm(rows, settings), _lightgbm_rows(rows), settings.rounds)
        return LightGBMTrees.read(_model_text(booster))
    return XGBoostTrees(import_xgboost().train(_xgboost(rows, settings), _xgboost_rows(rows), settings.rounds))


def validated(rows: TrainingRows, validation: TrainingRows, settings: TreeSettings) -> Course:
    """Grow trees on some queries and watch nDCG on others, until it no longer rises.

    `settings.rounds` plays no part: at most 300 trees are grown, and growing ends 30 rounds after the best one.
    """
    watched: dict[str, dict[str, list[float]]] = {}
    if settings.library == "lightgbm":
        library, training = import_lightgbm(), _lightgbm_rows(rows)
        stopping = library.early_stopping(PATIENCE, verbose=False)
        library.train(
            _lightgbm(rows, settings, validation), training, MOST_ROUNDS,
            valid_sets=[_lightgbm_rows(validation, training)], valid_names=["validation"],
            callbacks=[stopping, library.record_evaluation(watched)],
        )  # fmt: skip
    else:
        library = import_xgboost()
        library.train(
            _xgboost(rows, settings), _xgboost_rows(rows), MOST_ROUNDS,
            evals=[(_xgboost_rows(validation), "validation")], evals_result=watched, verbose_eval=False,
            early_stopping_rounds=PATIENCE,
        )  # fmt: skip
    return Course(np.array(next(iter(watched["validation"].values())), np.float64))


def _lightgbm(rows: TrainingRows, settings: TreeSettings, validation: TrainingRows | None = None) -> dict[str, Any]:
    highest = max(int(part.labels.max()) for part in (rows, validation) if part is not None)
    return {
        "objective": "lambdarank",
        "metric": "ndcg",
        "eval_at": [settings.cutoff],
        "label_gain": gain_table(settings.gain, max(highest, 1)).tolist(),
        "lambdarank_truncation_level": settings.truncation,
        "lambdarank_norm": rows.weights is None,  # it would take from weights what they give to clicks far below
        "num_leaves": settings.leaves,
        "learning_rate": settings.learning_rate,
        "min_data_in_leaf": settings.least_rows,
        "bagging_fraction": settings.row_share,
        "bagging_freq": 1,
        "feature_fraction": settings.feature_share,
        "monotone_constraints": settings.signs(rows.features),
        "feature_pre_filter": False,
        "seed": settings.seed,
        "num_threads": _threads(rows, settings),
        "deterministic": True,
        "force_row_wise": True,  # so that sums are added in one order, on one thread as on many
        "verbosity": -1,
    }


def _threads(rows: TrainingRows, settings: TreeSettings) -> int:
    """Few rows are quicker on one thread than on many that wait for each other."""
    return settings.threads if len(rows.labels) > _MANY else 1


def _lightgbm_rows(rows: TrainingRows, reference: object = None) -> Any:  # noqa: ANN401 - lightgbm.Dataset
    weights = None if rows.weights is None else np.repeat(rows.weights, rows.sizes)
    return import_lightgbm().Dataset(
        rows.matrix, rows.labels, reference=reference, group=rows.sizes, weight=weights,
        feature_name=column_names(rows.features), free_raw_data=False, params={"verbosity": -1},
    )  # fmt: skip


def _model_text(booster: Any) -> bytes:  # noqa: ANN401 - lightgbm.Booster
    """LightGBM's model file without what says nothing of the trees: how many threads grew them."""
    text = re.sub(r"^\[num_threads: \d+\]$", "[num_threads: 0]", booster.model_to_string(), flags=re.MULTILINE)
    return text.encode("utf-8")


def _xgboost(rows: TrainingRows, settings: TreeSettings) -> dict[str, Any]:
    return {
        "objective": "rank:ndcg",
        "eval_metric": f"ndcg@{settings.cutoff}",
        "ndcg_exp_gain": settings.gain == "exponential",
        "lambdarank_pair_method": "topk",
        "lambdarank_num_pair_per_sample": settings.truncation,
        "lambdarank_normalization": rows.weights is None,
        "tree_method": "hist",
        "grow_policy": "lossguide",
        "max_depth": 0,
        "max_leaves": settings.leaves,
        "learning_rate": settings.learning_rate,
        "min_child_weight": 0.1,
        "subsample": settings.row_share,
        "colsample_bytree": settings.feature_share,
        "monotone_constraints": f"({','.join(map(str, settings.signs(rows.features)))})",
        "seed": settings.seed,
        "nthread": _threads(rows, settings),
        "verbosity": 0,
    }


def _xgboost_rows(rows: TrainingRows) -> Any:  # noqa: ANN401 - xgboost.DMatrix
    matrix = import_xgboost().DMatrix(rows.matrix, rows.labels, feature_names=column_names(rows.features), nthread=1)
    matrix.set_group(rows.sizes)
    if rows.weights is not None:
        matrix.set_weight(rows.weights)
    return matrix


def column_names(features: tuple[str, ...]) -> list[str]:
    """The features' names as both libraries take them, each once."""
    names: dict[str, None] = {}
    for i, feature in enumerate(features):
        name = _UNNAMEABLE.sub("_", feature)
        names[name if name not in names else f"{name}_{i}"] = None
    return list(names)
