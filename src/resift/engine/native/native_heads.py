"""Heads in NumPy on hidden states without padding: classifiers, pooling, projections, token vectors.

The formulas are those of `graphs.heads` and `graphs.bert`, which put them into a graph.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from resift.engine.batching import FloatArray
from resift.engine.graphs.heads import EPSILON, HeadStep, Linear, Norm, Normalize, Pooling
from resift.engine.graphs.names import NamedTensors
from resift.engine.native.encoder_library import JoinedSequences, Tail, fits_tail
from resift.errors import BrokenModel


@dataclass(frozen=True, slots=True)
class PerToken:
    """An output with one row per token (T, ...); other outputs have one per sequence."""

    values: FloatArray


HeadOutputs = tuple[FloatArray | PerToken, ...]


@dataclass(frozen=True, slots=True)
class NativeHead:
    """The head of a model.

    Attributes:
        finish: the outputs from hidden states (T, H), or of first tokens (n, H), the products (T or n, D) with `tail`,
            and the sequences.
        tail: weight (D, H) and bias (D,) of a product with the hidden states that the encoder's kernel computes, or
            None. In NumPy its threads would stay busy for a while after the product and slow down the next call.

    """

    finish: Callable[[FloatArray, FloatArray, JoinedSequences], HeadOutputs]
    tail: Tail | None = None


def classifier(config: Mapping[str, Any], weights: NamedTensors, root: str) -> NativeHead:
    """The head of a sequence classifier over first tokens' hidden states; logits (n, labels)."""
    kind = config["model_type"]
    pooler = {"bert": root + "pooler.dense", "distilbert": "pre_classifier"}.get(kind, "classifier.dense")
    inner = {"electra": _gelu, "distilbert": _relu}.get(kind, np.tanh)
    last = "classifier" if kind in ("bert", "distilbert") else "classifier.out_proj"
    tail, (weight, bias) = (_linear(weights, name) for name in (pooler, last))
    return NativeHead(lambda _, x, __: (_product_on_one_core(inner(x), weight) + bias,), tail)


def token_vectors(_: Mapping[str, Any], weights: NamedTensors, root: str) -> NativeHead:
    """Token vectors (T, D) and the mean of hidden states (n, H), of length 1, and the weight of each token (T,)."""
    outer = root.removesuffix("bert.")
    projection, shares = weights.get(f"{outer}projection.weight"), weights["query_weights"][:, 0]
    tail = None if projection is None else (projection, np.zeros(len(projection), np.float32))

    def finish(hidden: FloatArray, x: FloatArray, sequences: JoinedSequences) -> HeadOutputs:
        vectors = unit_rows(x if tail else hidden)
        return PerToken(vectors), unit_rows(_pooled(hidden, sequences, "mean")), PerToken(shares[sequences.ids])

    return NativeHead(finish, tail)


def head_of_steps(steps: Sequence[HeadStep], second: Sequence[HeadStep] = ()) -> NativeHead:
    """Pooling, projections and normalisation in their order; behind them the output of `second`, if there are any."""
    head = _head_of_steps(steps)
    if not second:
        return head
    return replace(head, finish=lambda x, tail, rows: (*head.finish(x, tail, rows), *_apply(second, x, rows)))


def _head_of_steps(steps: Sequence[HeadStep]) -> NativeHead:
    first = steps[0] if steps else None
    if isinstance(first, Linear) and first.residual is False and fits_tail(first.weight):
        bias = np.zeros(len(first.weight), np.float32) if first.bias is None else first.bias
        others, act = steps[1:], _ACTIVATIONS[first.activation]
        return NativeHead(lambda _, x, sequences: _apply(others, act(x), sequences), (first.weight, bias))
    return NativeHead(lambda hidden, _, sequences: _apply(steps, hidden, sequences))


def _apply(steps: Sequence[HeadStep], x: FloatArray, sequences: JoinedSequences) -> HeadOutputs:
    pooled = False
    for step in steps:
        if isinstance(step, Pooling):
            x, pooled = np.concatenate([_pooled(x, sequences, mode) for mode in step.modes], axis=1), True
        elif isinstance(step, Normalize):
            x = unit_rows(x)
        else:
            x = _projected(x, step) if isinstance(step, Linear) else _centred(x, step)
    return (x if pooled else PerToken(x),)


def unit_rows(x: FloatArray) -> FloatArray:
    """Rows brought to length 1; a row of zeros stays."""
    length = np.sqrt(np.einsum("ij,ij->i", x, x))
    unit: FloatArray = x / np.maximum(length, np.float32(1e-12))[:, None]
    return unit


def _pooled(x: FloatArray, sequences: JoinedSequences, mode: str) -> FloatArray:
    """(T, H) -> (n, H) from the tokens that attention sees."""
    count = sequences.attended
    rows = [x[a : a + n] for a, n in zip(sequences.starts[:-1].tolist(), count.tolist(), strict=True)]
    if mode in ("cls", "lasttoken"):
        return np.stack([r[0 if mode == "cls" else -1] for r in rows])
    if mode == "max":
        return np.stack([r.max(axis=0) for r in rows])
    if mode == "weightedmean":
        shares = [np.arange(1, len(r) + 1, dtype=np.float32) for r in rows]
        return np.stack([np.asarray(s @ r / s.sum(), np.float32) for s, r in zip(shares, rows, strict=True)])
    divisor = np.asarray(np.sqrt(count) if mode == "mean_sqrt_len_tokens" else count, np.float32)
    return np.asarray(np.stack([r.sum(axis=0) for r in rows]) / divisor[:, None], np.float32)


def _product_on_one_core(x: FloatArray, weight: FloatArray) -> FloatArray:
    """X W'."""
    product: FloatArray = np.einsum("ij,kj->ik", x, weight)
    return product


def _projected(x: FloatArray, step: Linear) -> FloatArray:
    y = x @ step.weight.T
    y = _ACTIVATIONS[step.activation](y if step.bias is None else y + step.bias)
    if step.residual is False:
        return y
    return y + (x if step.residual is True else x @ step.residual.T)


def _centred(x: FloatArray, step: Norm) -> FloatArray:
    away = x - x.mean(axis=-1, keepdims=True)
    spread = np.sqrt((away * away).mean(axis=-1, keepdims=True) + np.float32(EPSILON))
    return np.asarray(away / spread * step.weight + step.bias, np.float32)


def _linear(weights: NamedTensors, name: str) -> Tail:
    for end in ("weight", "bias"):
        if f"{name}.{end}" not in weights:
            raise BrokenModel(f"the checkpoint has no tensor {name}.{end}; its files are incomplete")
    return weights[f"{name}.weight"], weights[f"{name}.bias"]


def _relu(x: FloatArray) -> FloatArray:
    return np.maximum(x, np.float32(0))


def _sigmoid(x: FloatArray) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(-x)), np.float32)


def _gelu(x: FloatArray) -> FloatArray:
    return np.asarray(x * 0.5 * (1 + _erf(x / np.sqrt(2))), np.float32)


def _erf(x: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.floating[Any]]:
    """Abramowitz and Stegun 7.1.26; the error is at most 1.5e-7."""
    t = 1 / (1 + 0.3275911 * np.abs(x))
    series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    return np.asarray(np.sign(x) * (1 - series * np.exp(-x * x)))


_ACTIVATIONS: Mapping[str, Callable[[FloatArray], FloatArray]] = {
    "Identity": lambda x: x,
    "Tanh": np.tanh,
    "ReLU": _relu,
    "GELU": _gelu,
    "Sigmoid": _sigmoid,
    "SiLU": lambda x: x * _sigmoid(x),
}
