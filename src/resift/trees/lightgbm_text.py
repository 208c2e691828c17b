"""Reads LightGBM's own model file, the text that `save_model` writes; LightGBM itself is not needed.

The format is LightGBM's `GBDT::SaveModelToString` and `Tree::ToString`, versions v3 and v4.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from resift.errors import BrokenModel, InputError
from resift.trees.ensemble import LEAF, Ensemble, Floats, Ints, Tree, checked

_VERSIONS = ("v3", "v4")
# Objectives whose prediction is the sum of the trees; a model of a function of one's own names none.
_SUMS = ("", "lambdarank", "rank_xendcg", "regression", "regression_l1", "huber", "fair", "quantile", "mape")

# `decision_type` holds bits: 0 a categorical split, 1 missing values go left, 2 and 3 what counts as missing.
_CATEGORICAL, _DEFAULT_LEFT = 1, 2
_MISSING_NONE, _MISSING_ZERO = 0, 1

Entries = dict[str, str]


def read(text: str, where: str) -> Ensemble:
    """Read a model.

    Args:
        text: of the whole file.
        where: names the file in errors.

    Raises:
        BrokenModel: a damaged file.
        InputError: a model that is not a plain sum of trees over numbers; the message says why.

    """
    head, *blocks = text.partition("\nend of trees")[0].split("\nTree=")
    header = _entries(head)
    if not head.startswith("tree\n") or "max_feature_idx" not in header:
        raise BrokenModel(f"{where} is no model file of LightGBM; write one with Booster.save_model")
    _check_header(header, where)
    if "\nend of trees" not in text or len(blocks) != len(header.get("tree_sizes", "").split()):
        raise BrokenModel(f"{where} is damaged: it ends before its last tree; save the model again")
    width = _number(header, "max_feature_idx", where) + 1
    names = tuple(header.get("feature_names", "").split())
    if len(names) != width:
        raise BrokenModel(f"{where} is damaged: it names {len(names)} of {width} features; save the model again")
    trees = tuple(_tree(_entries(block), width, f"tree {i} of {where}") for i, block in enumerate(blocks))
    if not trees:
        raise InputError(f"{where} has no trees; train the model with at least one round")
    return Ensemble(trees, names, width, "lightgbm")


def _entries(block: str) -> Entries:
    lines = (line.partition("=") for line in block.splitlines())
    return {key: value.strip() for key, _, value in lines}


def _check_header(header: Entries, where: str) -> None:
    if header.get("version") not in _VERSIONS:
        raise InputError(
            f"{where} has version {header.get('version')!r} of LightGBM's format, and {' and '.join(_VERSIONS)} are "
            "read; save the model with LightGBM 4"
        )
    if header.get("num_class") != "1" or header.get("num_tree_per_iteration") != "1":
        raise InputError(f"{where} predicts several classes, and a ranking needs one score; train it with lambdarank")
    if "average_output" in header:
        raise InputError(f"{where} is a random forest, whose trees are averaged; train it with boosting=gbdt")
    if header.get("objective", "") not in _SUMS:
        raise InputError(
            f"{where} was trained for {header['objective']!r}, which is more than a sum of trees; train it with one of "
            f"{', '.join(_SUMS[1:])}"
        )


def _number(entries: Entries, key: str, where: str) -> int:
    try:
        return int(entries[key])
    except (KeyError, ValueError) as error:
        raise BrokenModel(f"{where} is damaged: {key} is missing or no number; save the model again") from error


def _column(
    entries: Entries, key: str, size: int, where: str, kind: type[np.float64] | type[np.int32]
) -> npt.NDArray[Any]:
    try:
        # Through Python's own numbers: NumPy would take the whole part of 1.5 for a place.
        values = [(float if kind is np.float64 else int)(value) for value in entries.get(key, "").split()]
        column = np.array(values, kind)
    except (ValueError, OverflowError) as error:
        raise BrokenModel(f"{where} is damaged: {key} holds what is no number; save the model again") from error
    if len(column) != size:
        raise BrokenModel(f"{where} is damaged: {key} has {len(column)} of {size} values; save the model again")
    return column


def _tree(entries: Entries, width: int, where: str) -> Tree:
    if entries.get("is_linear", "0") != "0":
        raise InputError(f"{where} has linear leaves, which no engine reads; train the model with linear_tree=false")
    leaves = _number(entries, "num_leaves", where)
    inner = leaves - 1
    kinds = _column(entries, "decision_type", inner, where, np.int32)
    threshold = _column(entries, "threshold", inner, where, np.float64)
    default_left = _default_left(kinds, threshold, where)
    left, right = (
        _children(_column(entries, side, inner, where, np.int32), inner) for side in ("left_child", "right_child")
    )
    feature = _column(entries, "split_feature", inner, where, np.int32)
    value = _column(entries, "leaf_value", leaves, where, np.float64)
    none = np.full(leaves, LEAF, np.int32)
    return checked(
        Tree(
            np.concatenate([feature, none]),
            np.concatenate([threshold, np.zeros(leaves)]),
            np.concatenate([default_left, np.zeros(leaves, bool)]),
            np.concatenate([left, none]),
            np.concatenate([right, none]),
            np.concatenate([np.zeros(inner), value]),
        ),
        width,
        where,
    )


def _children(places: Ints, inner: int) -> Ints:
    """Places of children: a split by its number; leaf i is written as -i - 1, and stands behind all splits here."""
    return np.where(places < 0, inner - 1 - places, places).astype(np.int32)


def _default_left(kinds: Ints, threshold: Floats, where: str) -> npt.NDArray[np.bool_]:
    """Where NaN goes: by the bit, or to where 0 goes, as which LightGBM reads NaN if training had no missing values."""
    if (kinds & _CATEGORICAL).any():
        raise InputError(
            f"{where} splits by category, and engines compare numbers only; train without categorical features"
        )
    missing = kinds >> 2
    if (missing == _MISSING_ZERO).any():
        raise InputError(
            f"{where} treats 0 as missing, which no engine does; train the model with zero_as_missing=false"
        )
    return np.where(missing == _MISSING_NONE, threshold >= 0, (kinds & _DEFAULT_LEFT) != 0)
