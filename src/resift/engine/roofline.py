"""The speed at which this machine multiplies matrices of a model's shapes, the upper bound for the model's speed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from resift.engine.batching import Engine, Sequences, pack
from resift.engine.graphs.names import as_bert
from resift.engine.native.native_engine import Checkpoint, NativeEngine
from resift.engine.openvino import OpenVINOEngine, openvino_model, openvino_ops


@dataclass(frozen=True, slots=True)
class Shapes:
    """The products of one forward pass: each token is multiplied by every (K, N) of `weights`.

    `layers` layers of attention of width `width` compare each token with each token of its row.
    """

    weights: tuple[tuple[int, int], ...]
    layers: int
    width: int

    def flops(self, lengths: Sequence[int]) -> float:
        """Multiplications and additions over rows of these lengths, padding left out."""
        per_token = 2.0 * sum(k * n for k, n in self.weights)
        return sum(per_token * t + 4.0 * self.layers * self.width * t * t for t in lengths)


def shapes_of(engine: Engine) -> Shapes | None:
    """The shapes of an engine's products per token, without those that come once per row, such as those of a head.

    A last layer for the first token alone is such a product too, with its attention. None: the engine tells no shapes.
    """
    if isinstance(engine, NativeEngine):
        return _shapes_of_bert(engine.checkpoint)
    if not isinstance(engine, OpenVINOEngine):
        return None
    weights, layers = [], 0
    for node in engine._read().get_ordered_ops():
        kind = node.get_type_name()
        shape = node.get_input_partial_shape(0) if node.get_input_size() else None
        if kind in ("Softmax", "ScaledDotProductAttention"):
            layers += not _is_one(shape, -2)  # (B, heads, asking, asked or width)
        if kind != "MatMul" or shape is None or shape.rank.get_length() < 3 or _is_one(shape, 1):
            continue
        right = node.input_value(1).get_node()
        if right.get_type_name() == "Constant":
            k, n = right.get_output_shape(0)[-2:]
            weights.append((n, k) if node.get_attributes()["transpose_b"] else (k, n))
    return Shapes(tuple(weights), layers, weights[0][0] if weights else 0)


def _shapes_of_bert(checkpoint: Checkpoint) -> Shapes:
    config, _ = as_bert(checkpoint.config, {})
    hidden, wide, layers = (int(config[n]) for n in ("hidden_size", "intermediate_size", "num_hidden_layers"))
    square = (hidden, hidden)
    layer = (square, square, square, square, (hidden, wide), (wide, hidden))
    if checkpoint.first_only:
        return Shapes(layer * (layers - 1) + (square, square), layers - 1, hidden)
    return Shapes(layer * layers, layers, hidden)


def _is_one(shape: Any, axis: int) -> bool:  # noqa: ANN401 - openvino ships no types
    return bool(shape[axis].is_static and shape[axis].get_length() == 1)


def product_rate(shapes: Shapes, precision: str, rounds: int = 3) -> float:
    """FLOP/s of the same products and nothing else, in the engine's batches; the best of some rounds."""
    chain: list[tuple[int, int]] = []
    for k, n in shapes.weights:
        if not chain or k == chain[-1][1]:
            chain.append((k, n))
    engine = OpenVINOEngine(lambda: _chain(chain), precision)
    lengths = [96] * 512
    batches = pack(Sequences([[1] * t for t in lengths]), pad=0)
    flops = 2.0 * sum(k * n for k, n in chain) * sum(lengths)
    best = 0.0
    for _ in range(rounds + 1):  # the first compiles
        began = time.perf_counter()
        for _ in engine.run(batches):
            pass
        best = max(best, flops / (time.perf_counter() - began))
    return best


def _chain(weights: Sequence[tuple[int, int]]) -> Any:  # noqa: ANN401
    """Token ids (B, T) -> the result of the last product."""
    op, rng = openvino_ops(), np.random.default_rng(0)
    ids = op.parameter([-1, -1], np.int64, name="input_ids")
    x = op.unsqueeze(op.convert(ids, "f32"), op.constant(np.array([2])))
    x = op.multiply(x, op.constant(np.full((1, 1, weights[0][0]), 0.1, np.float32)))
    for k, n in weights:
        x = op.matmul(x, op.constant((rng.normal(size=(k, n)) / np.sqrt(k)).astype(np.float32)), False, False)
    return openvino_model([x], [ids])
