"""Elasticsearch's own learning to rank: the body of `PUT _ml/trained_models/ID`, as eland sends it.

The model is an ensemble of trees of target type regression whose outputs a weighted sum adds; the features are queries.
Elasticsearch compares and adds in float64 and honours the direction of missing values (`TreeInferenceModel`).
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from resift.trees.ensemble import Ensemble, Floats, Matrix, Tree
from resift.trees.feature_queries import FeatureQuery
from resift.trees.formats.format import Format, Request, Written
from resift.trees.formats.opensearch_features import parameter_query
from resift.trees.thresholds import first_right, last_left

_NOTES = (
    "send the file as the body of PUT _ml/trained_models/ID; before Elasticsearch 8.15 it also needs "
    '"input": {"field_names": [...]} with the features\' names',
    "a document that a feature's query does not match has no value there, and takes the trees' path for missing values",
    "Elasticsearch refuses scores below 0, so that a feature that it reads from a field must never be negative",
)


def write(request: Request) -> Written:
    """The request's body: extractors of the features, and the trees."""
    ensemble = request.ensemble
    names = list(ensemble.features)
    trees = [_tree(ensemble, tree, names) for tree in ensemble.trees]
    if ensemble.base_score:
        trees.append(_wrapped(names, [{"node_index": 0, "leaf_value": ensemble.base_score}]))
    model = {
        "target_type": "regression",
        "feature_names": names,
        "trained_models": trees,
        "aggregate_output": {"weighted_sum": {}},
    }
    body = {
        "description": f"{request.name}, exported by Resift",
        "inference_config": {"learning_to_rank": {"feature_extractors": [_extractor(q) for q in request.queries]}},
        "definition": {"trained_model": {"ensemble": model}},
    }
    return Written(json.dumps(body, ensure_ascii=False, allow_nan=False).encode("utf-8"), _NOTES)


def _wrapped(names: list[str], nodes: list[dict[str, Any]]) -> dict[str, Any]:
    return {"tree": {"target_type": "regression", "feature_names": names, "tree_structure": nodes}}


def _tree(ensemble: Ensemble, tree: Tree, names: list[str]) -> dict[str, Any]:
    place = {node: i for i, (node, _) in enumerate(tree.nodes())}
    decision, rule = ("lte", last_left) if ensemble.library == "lightgbm" else ("lt", first_right)
    nodes: list[dict[str, Any]] = []
    for node, i in place.items():
        if tree.is_leaf(node):
            nodes.append({"node_index": i, "leaf_value": float(tree.value[node])})
            continue
        nodes.append(
            {
                "node_index": i,
                "split_feature": int(tree.feature[node]),
                "threshold": rule(ensemble, tree, node, np.float64),
                "decision_type": decision,
                "default_left": bool(tree.default_left[node]),
                "left_child": place[int(tree.left[node])],
                "right_child": place[int(tree.right[node])],
            }
        )
    return _wrapped(names, nodes)


def _extractor(query: FeatureQuery) -> dict[str, Any]:
    """A query whose score is the feature; Elasticsearch refuses scores below 0."""
    if query.kind == "match":
        asked: dict[str, Any] = (
            {"match": {query.fields[0]: "{{query}}"}}
            if len(query.fields) == 1
            else {"multi_match": {"query": "{{query}}", "fields": list(query.fields), "type": "most_fields"}}
        )
    elif query.kind == "parameter":
        asked = parameter_query(query.name)
    else:
        (field,) = query.fields
        asked = {"script_score": {"query": {"exists": {"field": field}}, "script": {"source": f"doc['{field}'].value"}}}
    return {"query_extractor": {"feature_name": query.name, "query": asked}}


def scores(content: bytes, names: tuple[str, ...], rows: Matrix) -> Floats:
    """What Elasticsearch computes: NaN and infinity are missing, outputs are added in float64."""
    body = json.loads(content)
    ensemble = body["definition"]["trained_model"]["ensemble"]
    extractors = body["inference_config"]["learning_to_rank"]["feature_extractors"]
    extracted = [extractor["query_extractor"]["feature_name"] for extractor in extractors]
    assert ensemble["aggregate_output"] == {"weighted_sum": {}}
    results = []
    for row in rows.astype(np.float64):
        values = {name: float(row[names.index(name)]) for name in extracted}
        vector = [values.get(name, math.nan) for name in ensemble["feature_names"]]
        results.append(
            math.fsum(_output(model["tree"]["tree_structure"], vector) for model in ensemble["trained_models"])
        )
    return np.array(results)


def _output(nodes: list[dict[str, Any]], vector: list[float]) -> float:
    node = nodes[0]
    while "left_child" in node:
        value = vector[node["split_feature"]]
        if not math.isfinite(value):
            left = node["default_left"]
        else:
            threshold = node["threshold"]
            left = value <= threshold if node["decision_type"] == "lte" else value < threshold
        node = nodes[node["left_child"] if left else node["right_child"]]
    return float(node["leaf_value"])


ELASTICSEARCH = Format(
    "elasticsearch", "Elasticsearch, learning to rank", np.float64, write, scores, nested=False, sums=np.float64
)
