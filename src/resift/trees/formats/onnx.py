"""ONNX: one TreeEnsembleRegressor of the domain ai.onnx.ml, version 3.

Trees of LightGBM take float64 rows and keep float64 thresholds; trees of XGBoost take float32. The output is float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from resift.errors import MissingExtra
from resift.trees.ensemble import Floats, Matrix
from resift.trees.formats.format import Format, Request, Written

_DOMAIN = "ai.onnx.ml"
_VERSIONS = {"": 17, _DOMAIN: 3}  # of the operators; onnxruntime 1.12 and newer have them
_IR = 8


def write(request: Request) -> Written:
    """The model's bytes.

    Raises:
        MissingExtra: the package onnx is not installed.

    """
    onnx = _import("onnx", "writing ONNX files")
    ensemble, helper = request.ensemble, onnx.helper
    double = ensemble.library == "lightgbm"
    kind = onnx.TensorProto.DOUBLE if double else onnx.TensorProto.FLOAT

    def numbers(name: str, values: list[float]) -> dict[str, Any]:
        """An attribute of float32 numbers, or of float64 ones, which are a tensor under another name."""
        if not double:
            return {name: values}
        return {f"{name}_as_tensor": helper.make_tensor(name, kind, [len(values)], values)}

    columns = _columns(request)
    node = helper.make_node(
        "TreeEnsembleRegressor",
        ["features"],
        ["score"],
        domain=_DOMAIN,
        n_targets=1,
        aggregate_function="SUM",
        post_transform="NONE",
        **{name: columns[name] for name in _WHOLE},
        **numbers("nodes_values", columns["nodes_values"]),
        **numbers("target_weights", columns["target_weights"]),
        **numbers("base_values", [ensemble.base_score]),
    )
    graph = helper.make_graph(
        [node],
        request.name,
        [helper.make_tensor_value_info("features", kind, [None, ensemble.width])],
        [helper.make_tensor_value_info("score", onnx.TensorProto.FLOAT, [None, 1])],
    )
    opsets = [helper.make_opsetid(domain, version) for domain, version in _VERSIONS.items()]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR, producer_name="resift")
    helper.set_model_props(model, {"features": "\n".join(ensemble.features)})
    onnx.checker.check_model(model)
    note = f"rows are {'float64' if double else 'float32'}, with NaN for missing values; the score is float32"
    return Written(model.SerializeToString(), (note,))


_WHOLE = (
    "nodes_treeids", "nodes_nodeids", "nodes_featureids", "nodes_modes", "nodes_truenodeids", "nodes_falsenodeids",
    "nodes_missing_value_tracks_true", "target_treeids", "target_nodeids", "target_ids",
)  # fmt: skip
_REAL = ("nodes_values", "target_weights")


def _columns(request: Request) -> dict[str, list[Any]]:
    """The operator's attributes: a row per node, and a row per leaf."""
    columns: dict[str, list[Any]] = {name: [] for name in (*_WHOLE, *_REAL)}
    branch = "BRANCH_LEQ" if request.ensemble.library == "lightgbm" else "BRANCH_LT"

    def add(**values: float | str) -> None:
        for name, value in values.items():
            columns[name].append(value)

    for number, tree in enumerate(request.ensemble.trees):
        for node, _ in tree.nodes():
            leaf = tree.is_leaf(node)
            add(nodes_treeids=number, nodes_nodeids=node, nodes_modes="LEAF" if leaf else branch)
            add(nodes_featureids=0 if leaf else int(tree.feature[node]), nodes_values=float(tree.threshold[node]))
            add(nodes_truenodeids=0 if leaf else int(tree.left[node]))
            add(nodes_falsenodeids=0 if leaf else int(tree.right[node]))
            add(nodes_missing_value_tracks_true=int(tree.default_left[node]))
            if leaf:
                add(target_treeids=number, target_nodeids=node, target_ids=0, target_weights=float(tree.value[node]))
    return columns


def scores(content: bytes, names: tuple[str, ...], rows: Matrix) -> Floats:
    """What ONNX Runtime computes.

    Raises:
        MissingExtra: onnxruntime is not installed.

    """
    runtime = _import("onnxruntime", "checking ONNX files")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    (port,) = session.get_inputs()
    (result,) = session.run(None, {port.name: rows.astype(np.float64 if "double" in port.type else np.float32)})
    return np.asarray(result[:, 0], np.float64)


def _import(module: str, what: str) -> Any:  # noqa: ANN401 - these libraries ship no types
    from importlib import import_module

    try:
        return import_module(module)
    except ImportError as error:
        raise MissingExtra(what, "onnx") from error


ONNX = Format("onnx", "ONNX, TreeEnsembleRegressor", np.float64, write, scores, nested=False)
