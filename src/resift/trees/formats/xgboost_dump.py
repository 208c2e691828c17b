"""XGBoost's JSON dump, which OpenSearch's plugin (and o19s's, for Elasticsearch) takes as `model/xgboost+json`.

The plugin compares `value < threshold` and adds in float32; a split names its feature. The dump has no base score, so
that it becomes a first tree of one leaf. A missing value follows "missing" in plugins that honour it; older ones read
it as 0 or go right.
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from resift.trees.ensemble import Ensemble, Floats, Matrix, Tree
from resift.trees.formats import opensearch_features
from resift.trees.formats.format import Format, Request, Written
from resift.trees.thresholds import first_right

_NOTES = (
    "create a feature set, and the model from it with type model/xgboost+json",
    "the plugin of OpenSearch honours the direction of missing values only in its latest releases; before OpenSearch 3 "
    "it reads them as 0, and in some releases since, they go right",
    opensearch_features.NOTE,
)


def write(request: Request) -> Written:
    """The dump, a list of trees."""
    ensemble = request.ensemble
    trees: list[dict[str, Any]] = [{"nodeid": 0, "leaf": ensemble.base_score}] if ensemble.base_score else []
    trees += [_nodes(ensemble, tree, 0, 0) for tree in ensemble.trees]
    return Written(json.dumps(trees, ensure_ascii=False, allow_nan=False).encode("utf-8"), _NOTES)


def _nodes(ensemble: Ensemble, tree: Tree, node: int, depth: int) -> dict[str, Any]:
    if tree.is_leaf(node):
        return {"nodeid": node, "leaf": float(np.float32(tree.value[node]))}
    left, right = int(tree.left[node]), int(tree.right[node])
    return {
        "nodeid": node,
        "depth": depth,
        "split": ensemble.features[tree.feature[node]],
        "split_condition": first_right(ensemble, tree, node, np.float32),
        "yes": left,
        "no": right,
        "missing": left if tree.default_left[node] else right,
        "children": [_nodes(ensemble, tree, child, depth + 1) for child in (left, right)],
    }


def scores(content: bytes, names: tuple[str, ...], rows: Matrix) -> Floats:
    """What the plugin computes from the dump."""
    trees = json.loads(content)
    results = []
    for row in rows.astype(np.float32):
        total = np.float32(0)
        for tree in trees:
            total = np.float32(total + np.float32(_output(tree, dict(zip(names, row, strict=True)))))
        results.append(float(total))
    return np.array(results)


def _output(node: dict[str, Any], row: dict[str, np.float32]) -> float:
    while "leaf" not in node:
        value, (yes, no) = row[node["split"]], node["children"]
        assert (yes["nodeid"], no["nodeid"]) == (node["yes"], node["no"])
        if math.isnan(value):
            node = yes if node["missing"] == node["yes"] else no
        else:
            node = yes if np.float32(node["split_condition"]) > value else no
    return float(node["leaf"])


XGBOOST_JSON = Format(
    "xgboost-json", "OpenSearch LTR, model/xgboost+json", np.float32, write, scores, features=opensearch_features.write
)
