"""Solr's MultipleAdditiveTreesModel as JSON, for its model store.

Solr compares `value <= threshold` in float32, after it has added 0.000001 to every threshold, and adds in float32. By
default a missing value is 0; from Solr 9.2 on a model may say `isNullSameAsZero: false`, and a node "missing".
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from resift.errors import InputError
from resift.trees.ensemble import Ensemble, Floats, Matrix, Tree
from resift.trees.feature_queries import FeatureQuery
from resift.trees.formats.format import Format, Gap, Request, Written
from resift.trees.thresholds import last_left, neighbour

_CLASS = "org.apache.solr.ltr.model.MultipleAdditiveTreesModel"
_FEATURE_CLASS = "org.apache.solr.ltr.feature."
_SLACK = np.float32(1e-6)  # NODE_SPLIT_SLACK, which Solr adds when it reads a threshold
_NEAREST = 4  # steps to either side among which the threshold to write is looked for
_WIDEST = 1e-9  # of a gap; a wider one is refused


def write(request: Request) -> Written:
    """The model.

    Raises:
        InputError: a threshold to which no number that Solr can hold is near.

    """
    ensemble = request.ensemble
    follows_zero = request.never_missing or ensemble.missing_is_zero
    gaps: list[Gap] = []
    trees = [{"weight": "1", "root": {"value": str(ensemble.base_score)}}] if ensemble.base_score else []
    trees += [{"weight": "1", "root": _node(ensemble, tree, 0, follows_zero, gaps)} for tree in ensemble.trees]
    model = {
        "class": _CLASS,
        "name": request.name,
        "features": [{"name": name} for name in ensemble.features],
        "params": {**({} if follows_zero else {"isNullSameAsZero": "false"}), "trees": trees},
    }
    notes = [
        "put the features into the feature store first, then the file into the model store; a search passes its text "
        "as efi.query"
    ]
    if not follows_zero:
        notes.append(
            'missing values take their own path, which needs Solr 9.2 and "defaultValue": "NaN" at each feature that '
            "may be missing"
        )
    if gaps:
        widest = max(gap.high - gap.low for gap in gaps)
        notes.append(
            f"Solr adds 0.000001 to thresholds and can't hold {len(gaps)} of them exactly; values closer to those than "
            f"{widest:.0e} go the other way"
        )
    return Written(json.dumps(model, ensure_ascii=False).encode("utf-8"), tuple(notes), tuple(gaps))


def _node(ensemble: Ensemble, tree: Tree, node: int, follows_zero: bool, gaps: list[Gap]) -> dict[str, Any]:
    if tree.is_leaf(node):
        return {"value": repr(float(np.float32(tree.value[node])))}
    feature = int(tree.feature[node])
    threshold = np.float32(last_left(ensemble, tree, node, np.float32))
    written = _written(threshold)
    if (read := np.float32(written + _SLACK)) != threshold:
        low, high = sorted((float(threshold), float(read)))
        if high - low > _WIDEST:
            raise InputError(
                f"Solr adds 0.000001 to every threshold, and no number gives {threshold} for the feature "
                f"{ensemble.features[feature]!r}; scale the feature, or take another engine"
            )
        gaps.append(Gap(feature, low, high))
    missing = {} if follows_zero else {"missing": "left" if tree.default_left[node] else "right"}
    return {
        "feature": ensemble.features[feature],
        "threshold": repr(float(written)),
        **missing,
        "left": _node(ensemble, tree, int(tree.left[node]), follows_zero, gaps),
        "right": _node(ensemble, tree, int(tree.right[node]), follows_zero, gaps),
    }


def _written(threshold: np.float32) -> np.float32:
    """The float32 that becomes the threshold, or the nearest to it that leaves 0 on its side, once Solr has read it."""
    candidates = [np.float32(threshold - _SLACK)]
    for direction in (-np.inf, np.inf):
        number = candidates[0]
        for _ in range(_NEAREST):
            number = neighbour(number, direction)
            candidates.append(number)

    def cost(candidate: np.float32) -> tuple[bool, float]:
        read = np.float32(candidate + _SLACK)
        return (read >= 0) != (threshold >= 0), abs(float(read) - float(threshold))

    return min(filter(np.isfinite, candidates), key=cost)


def scores(content: bytes, names: tuple[str, ...], rows: Matrix) -> Floats:
    """What Solr computes from the model."""
    model = json.loads(content)
    assert model["class"] == _CLASS
    order = [names.index(feature["name"]) for feature in model["features"]]
    places = {feature["name"]: i for i, feature in enumerate(model["features"])}
    null_is_zero = model["params"].get("isNullSameAsZero", "true") == "true"
    results = []
    for row in rows.astype(np.float32)[:, order]:
        vector = [np.float32(0) if null_is_zero and math.isnan(value) else value for value in row]
        total = np.float32(0)
        for tree in model["params"]["trees"]:
            total = np.float32(total + np.float32(tree["weight"]) * _output(tree["root"], vector, places))
        results.append(float(total))
    return np.array(results)


def _output(node: dict[str, Any], vector: list[np.float32], places: dict[str, int]) -> np.float32:
    while "feature" in node:
        value = vector[places[node["feature"]]]
        if math.isnan(value):
            side = node["missing"]
        else:
            side = "left" if value <= np.float32(np.float32(node["threshold"]) + _SLACK) else "right"
        node = node[side]
    return np.float32(node["value"])


def write_features(request: Request) -> bytes:
    """The body of `PUT schema/feature-store`."""
    features = [_feature(query) for query in request.queries]
    return (json.dumps(features, ensure_ascii=False, indent=2) + "\n").encode("utf-8")


def _feature(query: FeatureQuery) -> dict[str, Any]:
    if query.kind == "match":
        parameters = {"q": "{!dismax qf='" + " ".join(query.fields) + "'}${query}"}
        return {"name": query.name, "class": _FEATURE_CLASS + "SolrFeature", "params": parameters}
    if query.kind == "parameter":
        passed = {"value": f"${{{query.name}}}", "required": True}
        return {"name": query.name, "class": _FEATURE_CLASS + "ValueFeature", "params": passed}
    parameters = {"field": query.fields[0], "defaultValue": "NaN"}
    return {"name": query.name, "class": _FEATURE_CLASS + "FieldValueFeature", "params": parameters}


SOLR = Format("solr", "Solr, MultipleAdditiveTreesModel", np.float32, write, scores, features=write_features)
