"""Reads XGBoost's own model file, the JSON that `save_model` writes; XGBoost itself is not needed.

The format is XGBoost's documented JSON schema ("Introduction to Model IO"), versions 1 to 3.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from resift.errors import BrokenModel, InputError
from resift.trees.ensemble import LEAF, Ensemble, Tree, checked

_VERSIONS = (1, 2, 3)
# Objectives whose prediction is the base score and the sum of the trees.
_SUMS = (
    "rank:ndcg", "rank:map", "rank:pairwise", "reg:squarederror", "reg:linear", "reg:absoluteerror",
    "reg:pseudohubererror", "reg:quantileerror", "binary:logitraw",
)  # fmt: skip


def read(text: str, where: str) -> Ensemble:
    """Read a model.

    Args:
        text: of the whole file.
        where: names the file in errors.

    Raises:
        BrokenModel: a damaged file.
        InputError: a model that is not a plain sum of trees over numbers; the message says why.

    """
    try:
        model = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BrokenModel(f"{where} is damaged: it is no JSON ({error}); save the model again") from error
    if isinstance(model, list):
        raise InputError(
            f"{where} is a dump of XGBoost, which lacks the base score; write the model with Booster.save_model"
        )
    try:
        return _ensemble(model, where)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        raise BrokenModel(
            f"{where} is no model file of XGBoost, or it is damaged ({type(error).__name__}: {error}); write it with "
            "Booster.save_model"
        ) from error


def _ensemble(model: Mapping[str, Any], where: str) -> Ensemble:
    learner, version = model["learner"], model["version"]
    if version[0] not in _VERSIONS:
        raise InputError(
            f"{where} was written by XGBoost {version[0]}, and versions 1 to 3 are read; save it with XGBoost 3"
        )
    booster, parameters = learner["gradient_booster"], learner["learner_model_param"]
    _check(booster.get("name"), learner["objective"]["name"], parameters, where)
    width = int(parameters["num_feature"])
    names = tuple(str(name) for name in learner.get("feature_names", ()))
    if len(names) not in (0, width):
        raise ValueError(f"it names {len(names)} of {width} features")
    trees = tuple(_tree(tree, width, f"tree {i} of {where}") for i, tree in enumerate(booster["model"]["trees"]))
    if not trees:
        raise InputError(f"{where} has no trees; train the model with at least one round")
    return Ensemble(trees, names, width, "xgboost", _base_score(parameters["base_score"], where))


def _check(booster: str | None, objective: str, parameters: Mapping[str, str], where: str) -> None:
    if booster == "dart":
        raise InputError(
            f"{where} was trained with booster=dart, whose trees have weights; train it with booster=gbtree"
        )
    if booster != "gbtree":
        raise InputError(f"{where} was trained with booster={booster}, which has no trees; train it with gbtree")
    if int(parameters.get("num_class", 0)) > 1 or int(parameters.get("num_target", 1)) > 1:
        raise InputError(f"{where} predicts several values, and a ranking needs one score; train it with rank:ndcg")
    if objective not in _SUMS:
        raise InputError(
            f"{where} was trained for {objective!r}, which is more than a sum of trees; train it with one of "
            f"{', '.join(_SUMS)}"
        )


def _base_score(text: str, where: str) -> float:
    """The base score as the float32 that XGBoost begins with: "5E-1", or "[5E-1]" since version 3.1."""
    base_score = json.loads(text)
    if isinstance(base_score, list):
        if len(base_score) != 1:
            raise InputError(f"{where} has {len(base_score)} base scores, and a ranking needs one; train it anew")
        base_score = base_score[0]
    number = float(np.float32(base_score))
    if not np.isfinite(number):
        raise ValueError(f"its base score is {number}")
    return number


def _tree(entries: Mapping[str, Any], width: int, where: str) -> Tree:
    if any(entries.get("split_type", ())) or entries.get("categories_nodes"):
        raise InputError(
            f"{where} splits by category, and engines compare numbers only; train without categorical features"
        )
    if int(entries["tree_param"].get("size_leaf_vector", 0)) > 1:
        raise InputError(f"{where} has leaves of several values, and a ranking needs one score")
    left, right = (np.array(entries[side], np.int32) for side in ("left_children", "right_children"))
    # A leaf's output stands where the others have their threshold.
    numbers = np.array(entries["split_conditions"], np.float32).astype(np.float64)
    feature = np.array(entries["split_indices"], np.int32)
    default_left = np.array(entries["default_left"], bool)
    if not len(left) == len(right) == len(numbers) == len(feature) == len(default_left) > 0:
        raise BrokenModel(f"{where} is damaged: its columns have different lengths; save the model again")
    leaf = left == LEAF
    return checked(
        Tree(
            np.where(leaf, LEAF, feature).astype(np.int32),
            np.where(leaf, 0.0, numbers),
            default_left & ~leaf,
            left,
            np.where(leaf, LEAF, right).astype(np.int32),
            np.where(leaf, numbers, 0.0),
        ),
        width,
        where,
    )
