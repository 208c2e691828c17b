"""The modules behind an encoder, pooling, projections, layer norms and normalisation, as nodes of a graph.

The formulas are those of sentence-transformers' modules Pooling, Dense, LayerNorm and Normalize.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from resift.engine.batching import FloatArray
from resift.engine.graphs.builder import Node
from resift.engine.openvino import openvino_model, openvino_ops
from resift.errors import BrokenModel

POOLINGS = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
ACTIVATIONS = ("Identity", "Tanh", "ReLU", "GELU", "Sigmoid", "SiLU")  # class names of torch.nn


@dataclass(frozen=True, slots=True)
class Pooling:
    """Token vectors (B, T, H) -> (B, H x len(modes))."""

    modes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Linear:
    """activation(x W' + b), plus x or x R' where there is a residual; `weight` is (out, in)."""

    weight: FloatArray
    bias: FloatArray | None = None
    activation: str = "Identity"
    residual: FloatArray | bool = False


@dataclass(frozen=True, slots=True)
class Normalize:
    """Bring vectors to length 1."""


@dataclass(frozen=True, slots=True)
class Norm:
    """(x - mean) / sqrt(variance + EPSILON) over the last axis, times `weight`, plus `bias`, both (H,)."""

    weight: FloatArray
    bias: FloatArray


EPSILON = 1e-5  # of torch.nn.LayerNorm, which has no entry for it in the module's config

HeadStep = Pooling | Linear | Norm | Normalize


def apply(x: Node, mask: Node, steps: Sequence[HeadStep]) -> Node:
    """The steps in order on hidden states (B, T, H); `mask` is (B, T) int64."""
    op = openvino_ops()
    for step in steps:
        if isinstance(step, Pooling):
            x = op.concat([_pooled(x, mask, mode) for mode in step.modes], 1)
        elif isinstance(step, Linear):
            x = _linear(x, step)
        elif isinstance(step, Norm):
            x = _norm(x, step)
        else:
            x = op.normalize_l2(x, op.constant(np.array([-1])), 1e-24, "max")
    return x


def append(model: Any, steps: Sequence[HeadStep]) -> Any:  # noqa: ANN401 - openvino ships no types
    """An exported graph whose output is the encoder's hidden states, with the steps added to it.

    Raises:
        BrokenModel: it has no such output, or takes no attention mask.

    """
    hidden = [p for p in model.outputs if len(p.get_partial_shape()) == 3]
    by_name = [p for p in hidden if p.get_names() & {"last_hidden_state", "token_embeddings"}]
    masks = [p for p in model.get_parameters() if p.get_friendly_name() == "attention_mask"]
    if not hidden or not masks:
        raise BrokenModel("the exported encoder has no hidden states or no attention_mask; export it again")
    result = (by_name or hidden)[0].get_node().input_value(0)
    return openvino_model([apply(result, masks[0].output(0), steps)], model.get_parameters())


def _pooled(x: Node, mask: Node, mode: str) -> Node:
    """(B, T, H) -> (B, H). Every pooling but the maximum is a sum of token vectors with weights (B, T).

    Positions and counts are whole numbers, because bf16 rounds numbers from 257 on.
    """
    op = openvino_ops()
    last = op.constant(np.array([1]))

    def real(whole: Node) -> Node:
        return op.convert(whole, "f32")

    if mode == "max":
        away = op.multiply(op.subtract(real(mask), op.constant(np.float32(1))), op.constant(np.float32(1e30)))
        return op.reduce_max(op.add(x, op.unsqueeze(away, op.constant(2))), last, False)
    count = op.reduce_sum(mask, last, True)
    place = op.multiply(op.cum_sum(mask, op.constant(1)), mask)  # 1, 2, ... for tokens, 0 for padding
    if mode == "cls":
        weights = real(op.equal(place, op.constant(np.int64(1))))
    elif mode == "lasttoken":
        weights = op.multiply(real(op.equal(place, count)), real(mask))
    elif mode == "weightedmean":
        weights = op.divide(real(place), real(op.reduce_sum(place, last, True)))
    else:
        weights = op.divide(real(mask), real(count) if mode == "mean" else op.sqrt(real(count)))
    return op.squeeze(op.matmul(op.unsqueeze(weights, op.constant(1)), x, False, False), last)


def _linear(x: Node, step: Linear) -> Node:
    op = openvino_ops()

    def times(weight: FloatArray) -> Node:
        return op.matmul(x, op.constant(weight), False, True)

    y = times(step.weight)
    y = y if step.bias is None else op.add(y, op.constant(step.bias))
    y = _activation(y, step.activation)
    if step.residual is False:
        return y
    return op.add(y, x if step.residual is True else times(step.residual))


def _norm(x: Node, step: Norm) -> Node:
    op = openvino_ops()
    unit = op.mvn(x, op.constant(np.array([-1])), True, EPSILON, "inside_sqrt")
    return op.add(op.multiply(unit, op.constant(step.weight)), op.constant(step.bias))


def _activation(x: Node, name: str) -> Node:
    op = openvino_ops()
    if name == "GELU":
        return op.gelu(x, "erf")
    if name == "SiLU":
        return op.multiply(x, op.sigmoid(x))
    return {"Identity": lambda y: y, "Tanh": op.tanh, "ReLU": op.relu, "Sigmoid": op.sigmoid}[name](x)
