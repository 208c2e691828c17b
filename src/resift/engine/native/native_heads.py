"""What stands behind an encoder whose hidden states are not padded, in NumPy: heads, pooling, projections.

The same formulas as in `heads` and `encoders.bert`, which build them into graphs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from resift.engine.batching import FloatArray
from resift.engine.graphs.heads import Linear, Pool, Step
from resift.engine.graphs.names import Weights
from resift.engine.native.encoder_library import Ragged, Tail, fits_tail
from resift.errors import BrokenModel


@dataclass(frozen=True, slots=True)
class OfTokens:
    """An output with a row per token (T, ...); others have one per sequence."""

    values: FloatArray


Outputs = tuple[FloatArray | OfTokens, ...]


@dataclass(frozen=True, slots=True)
class Ending:
    """The outputs of a model, from hidden states (T, H), or of first tokens (n, H), and the sequences that they are of.

    A product with hidden states that the encoder's kernel does is `tail`, and `finish` gets what it gives, (T or n, D).
    NumPy's products keep other cores busy for a while after they are done, which costs the next call.
    """

    finish: Callable[[FloatArray, FloatArray, Ragged], Outputs]
    tail: Tail | None = None


def classifier(config: Mapping[str, Any], weights: Weights, root: str) -> Ending:
    """The head of a sequence classifier over first tokens' hidden states; logits (n, labels)."""
    kind = config["model_type"]
    pooler = {"bert": root + "pooler.dense", "distilbert": "pre_classifier"}.get(kind, "classifier.dense")
    inner = {"electra": _gelu, "distilbert": _relu}.get(kind, np.tanh)
    last = "classifier" if kind in ("bert", "distilbert") else "classifier.out_proj"
    tail, (weight, bias) = (_linear(weights, name) for name in (pooler, last))
    return Ending(lambda _, x, __: (_alone(inner(x), weight) + bias,), tail)


def token_vectors(_: Mapping[str, Any], weights: Weights, root: str) -> Ending:
    """Token vectors (T, D) and the mean of hidden states (n, H), of length 1, and the weight of each token (T,)."""
    beside = root.removesuffix("bert.")
    projection, shares = weights.get(f"{beside}projection.weight"), weights["query_weights"][:, 0]
    tail = None if projection is None else (projection, np.zeros(len(projection), np.float32))

    def finish(hidden: FloatArray, x: FloatArray, sequences: Ragged) -> Outputs:
        vectors = normalised(x if tail else hidden)
        return OfTokens(vectors), normalised(mean(hidden, sequences)), OfTokens(shares[sequences.ids])

    return Ending(finish, tail)


def steps(given: Sequence[Step]) -> Ending:
    """Pooling, projections and normalisation in their order."""
    first = given[0] if given else None
    if isinstance(first, Linear) and first.residual is False and fits_tail(first.weight):
        bias = np.zeros(len(first.weight), np.float32) if first.bias is None else first.bias
        more, act = given[1:], _ACTIVATIONS[first.activation]
        return Ending(lambda _, x, sequences: _after(act(x), sequences, more), (first.weight, bias))
    return Ending(lambda hidden, _, sequences: _after(hidden, sequences, given))


def _after(x: FloatArray, sequences: Ragged, given: Sequence[Step]) -> Outputs:
    pooled = False
    for step in given:
        if isinstance(step, Pool):
            x, pooled = np.concatenate([_pooled(x, sequences, mode) for mode in step.modes], axis=1), True
        else:
            x = _projected(x, step) if isinstance(step, Linear) else normalised(x)
    return (x if pooled else OfTokens(x),)


def normalised(x: FloatArray) -> FloatArray:
    """Rows brought to length 1; a row of zeros stays."""
    length = np.sqrt(np.einsum("ij,ij->i", x, x))
    unit: FloatArray = x / np.maximum(length, np.float32(1e-12))[:, None]
    return unit


def mean(hidden: FloatArray, sequences: Ragged) -> FloatArray:
    """The mean of the attended tokens (n, H)."""
    return _pooled(hidden, sequences, "mean")


def _pooled(x: FloatArray, sequences: Ragged, mode: str) -> FloatArray:
    """(T, H) -> (n, H); tokens that are not attended to, the last of a sequence, take no part."""
    count = sequences.attended
    rows = [x[a : a + n] for a, n in zip(sequences.starts[:-1].tolist(), count.tolist(), strict=True)]
    if mode in ("cls", "lasttoken"):
        return np.stack([r[0 if mode == "cls" else -1] for r in rows])
    if mode == "max":
        return np.stack([r.max(axis=0) for r in rows])
    if mode == "weightedmean":
        shares = [np.arange(1, len(r) + 1, dtype=np.float32) for r in rows]
        return np.stack([np.asarray(s @ r / s.sum(), np.float32) for s, r in zip(shares, rows, strict=True)])
    by = np.asarray(np.sqrt(count) if mode == "mean_sqrt_len_tokens" else count, np.float32)
    return np.asarray(np.stack([r.sum(axis=0) for r in rows]) / by[:, None], np.float32)


def _alone(x: FloatArray, weight: FloatArray) -> FloatArray:
    """X W' on one core."""
    product: FloatArray = np.einsum("ij,kj->ik", x, weight)
    return product


def _projected(x: FloatArray, step: Linear) -> FloatArray:
    y = x @ step.weight.T
    y = _ACTIVATIONS[step.activation](y if step.bias is None else y + step.bias)
    if step.residual is False:
        return y
    return y + (x if step.residual is True else x @ step.residual.T)


def _linear(weights: Weights, name: str) -> Tail:
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
    """Abramowitz and Stegun 7.1.26; off by 1.5e-7 at most."""
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
