"""LightGBM's `dump_model` JSON with features named as Vespa's rank features, for `lightgbm("FILE")` in a rank profile.

Vespa turns every tree into an expression: `if (feature < t, …)`, and `if (!(feature >= t), …)` where a missing value
goes left, in float64. It thus goes left on `<`, so that thresholds of `<=` are written as the next float64. XGBoost's
trees are written in the same format, since Vespa's reading of XGBoost's own has changed between releases.
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from resift.errors import InputError
from resift.trees.ensemble import Ensemble, Floats, Matrix, Tree
from resift.trees.feature_queries import FeatureQuery
from resift.trees.formats.format import Format, Request, Written
from resift.trees.thresholds import first_right

_NOTES = (
    'put the file into the application\'s folder models/, and say lightgbm("FILE") in a rank profile',
    "bm25 is 0 where nothing matches, and not missing; only a rank feature of NaN takes the path of missing values",
)


def write(request: Request) -> Written:
    """The dump."""
    ensemble = request.ensemble
    trees = [{"leaf_value": ensemble.base_score}] if ensemble.base_score else []
    trees += [_node(ensemble, tree, 0) for tree in ensemble.trees]
    features = list(rank_features(request.queries))
    dump = {
        "name": "tree",
        "version": "v4",
        "num_class": 1,
        "num_tree_per_iteration": 1,
        "label_index": 0,
        "max_feature_idx": ensemble.width - 1,
        "objective": "regression",
        "feature_names": features,
        "feature_infos": {},
        "tree_info": [{"tree_index": i, "tree_structure": tree} for i, tree in enumerate(trees)],
        "pandas_categorical": [],
    }
    return Written(json.dumps(dump, ensure_ascii=False, allow_nan=False).encode("utf-8"), _NOTES)


def rank_features(queries: tuple[FeatureQuery, ...]) -> tuple[str, ...]:
    """The rank feature of each feature: bm25 of a field, an attribute, or a function of the profile over several.

    Raises:
        InputError: two features become the same rank feature.

    """
    names = tuple(_rank_feature(query) for query in queries)
    if repeated := [name for i, name in enumerate(names) if name in names[:i]]:
        raise InputError(f"two features become Vespa's rank feature {repeated[0]!r}; rename one with --features")
    return names


def _rank_feature(query: FeatureQuery) -> str:
    if query.kind != "match":
        return f"{'query' if query.kind == 'parameter' else 'attribute'}({query.fields[0]})"
    return f"bm25({query.fields[0]})" if len(query.fields) == 1 else _function(query)


def _function(query: FeatureQuery) -> str:
    return "bm25_of_" + "_".join(query.fields)


def _node(ensemble: Ensemble, tree: Tree, node: int) -> dict[str, Any]:
    if tree.is_leaf(node):
        return {"leaf_value": float(tree.value[node])}
    default_left = bool(tree.default_left[node])
    return {
        "split_feature": int(tree.feature[node]),
        "threshold": first_right(ensemble, tree, node, np.float64),
        "decision_type": "<=",  # the only one that Vespa reads, as <
        "default_left": default_left,
        "missing_type": "NaN",
        "left_child": _node(ensemble, tree, int(tree.left[node])),
        "right_child": _node(ensemble, tree, int(tree.right[node])),
    }


def scores(content: bytes, names: tuple[str, ...], rows: Matrix) -> Floats:
    """What Vespa's expressions of the dump give; the columns stand in the order of its `feature_names`."""
    dump = json.loads(content)
    assert len(dump["feature_names"]) == len(names)
    assert dump["objective"] == "regression" and dump["pandas_categorical"] == []
    results = []
    for row in rows.astype(np.float64):
        total = 0.0
        for tree in dump["tree_info"]:
            total += _output(tree["tree_structure"], row)
        results.append(total)
    return np.array(results)


def _output(node: dict[str, Any], row: Matrix) -> float:
    while "left_child" in node:
        value, threshold = float(row[node["split_feature"]]), float(node["threshold"])
        # A comparison with NaN is false.
        above, below = (False, False) if math.isnan(value) else (value >= threshold, value < threshold)
        node = node["left_child"] if (not above if node["default_left"] else below) else node["right_child"]
    return float(node["leaf_value"])


def write_features(request: Request) -> bytes:
    """A rank profile that uses the model, with a function for what is no rank feature of its own."""
    functions = []
    for query in request.queries:
        if query.kind == "match" and len(query.fields) > 1:
            functions.append(f"    function {_function(query)}() {{")
            functions.append(f"        expression: {' + '.join(f'bm25({field})' for field in query.fields)}")
            functions.append("    }")
    lines = [
        f"rank-profile {request.name} inherits default {{",
        *functions,
        "    second-phase {",
        f'        expression: lightgbm("{request.file_name}")',
        "    }",
        "}",
    ]
    return ("\n".join(lines) + "\n").encode("utf-8")


VESPA = Format("vespa", "Vespa, LightGBM JSON", np.float64, write, scores, features=write_features, sums=np.float64)
