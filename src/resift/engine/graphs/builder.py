"""The layers that encoders share, as nodes of an OpenVINO graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from resift.engine.graphs.names import NamedTensors
from resift.engine.openvino import openvino_ops
from resift.errors import BrokenModel

Node = Any  # openvino ships no types

# Added to an attention score, it makes exp() 0 at f32. -1e9 does too, but with it OpenVINO's fused attention was three
# times as inexact at bf16 for the other tokens (docs/log.md).
HIDDEN = np.float32(-1e4)
_STEP = 8  # batches are as wide as their longest row rounded up to a multiple of this
ACTIVATIONS = ("gelu", "relu", "tanh", "silu", "gelu_new", "gelu_pytorch_tanh")


@dataclass(frozen=True, slots=True)
class GraphInputs:
    """The three inputs of every encoder, each (B, T) int64; a family without segments ignores them."""

    ids: Node
    mask: Node
    segments: Node


class Builder:
    """Adds layers of one checkpoint to a graph.

    Args:
        config: the checkpoint's config.json.
        weights: its tensors by name.
        root: the prefix of the encoder's tensors, such as "bert.".
        first_only: the head uses only the last hidden state of the first token; the last layer may compute no other.

    """

    def __init__(self, config: Mapping[str, Any], weights: NamedTensors, root: str, first_only: bool = False) -> None:
        self.op = openvino_ops()
        self.config, self.weights, self.root, self.first_only = config, weights, root, first_only

    @property
    def outside(self) -> Builder:
        """The same checkpoint without the prefix, for the tensors of heads."""
        return Builder(self.config, self.weights, "")

    def size(self, name: str) -> int:
        """A whole number that the config must have.

        Raises:
            BrokenModel: it has none.

        """
        if self.config.get(name) is None:
            raise BrokenModel(f"config.json lacks {name}; fetch the model again")
        return int(self.config[name])

    def has(self, name: str) -> bool:
        """Whether the checkpoint holds this tensor."""
        return self.root + name in self.weights

    def tensor(self, name: str) -> Node:
        """A tensor of the checkpoint.

        Raises:
            BrokenModel: there is none of that name.

        """
        if not self.has(name):
            raise BrokenModel(f"the checkpoint has no tensor {self.root + name}; its files are incomplete")
        weight = self.weights[self.root + name]
        return self.op.constant(weight, shared_memory=weight.flags.writeable)  # OpenVINO shares no read-only array

    def linear(self, x: Node, name: str, bias: bool = True) -> Node:
        """A linear layer; `bias` says whether the architecture has one here."""
        product = self.op.matmul(x, self.tensor(f"{name}.weight"), False, True)
        return self.op.add(product, self.tensor(f"{name}.bias")) if bias else product

    def norm(self, x: Node, name: str, eps: float, bias: bool = True) -> Node:
        """Layer normalisation over the last axis."""
        y = self.op.mvn(x, self.op.constant(np.array([-1])), True, eps, "inside_sqrt")
        y = self.op.multiply(y, self.tensor(f"{name}.weight"))
        return self.op.add(y, self.tensor(f"{name}.bias")) if bias else y

    def activation(self, x: Node, name: str) -> Node:
        """An activation by the name that configs use.

        Raises:
            BrokenModel: an unknown one.

        """
        op = self.op
        if name == "silu":
            return op.multiply(x, op.sigmoid(x))
        if name in ("relu", "tanh"):
            return op.relu(x) if name == "relu" else op.tanh(x)
        if name not in ACTIVATIONS:
            raise BrokenModel(f"activation {name!r} is not one of {', '.join(ACTIVATIONS)}")
        return op.gelu(x, "erf" if name == "gelu" else "tanh")

    def look_up(self, name: str, index: Node) -> Node:
        """Rows of an embedding table."""
        return self.op.gather(self.tensor(f"{name}.weight"), index, self.op.constant(0))

    def length(self, ids: Node) -> Node:
        """T of a (B, T, ...) node, as a scalar."""
        return self.op.gather(self.op.shape_of(ids), self.op.constant(1), self.op.constant(0))

    def range(self, start: Node, stop: Node) -> Node:
        """Whole numbers from start to before stop."""
        return self.op.range(start, stop, self.op.constant(np.int64(1)), "i64")

    def mask_bias(self, mask: Node) -> Node:
        """(B, 1, 1, T), to be added to attention scores: 0 for tokens, HIDDEN for padding."""
        op = self.op
        wide = op.unsqueeze(op.convert(mask, "f32"), op.constant(np.array([1, 2])))
        return op.multiply(op.subtract(op.constant(np.float32(1)), wide), op.constant(HIDDEN))

    def split_heads(self, x: Node, heads: int) -> Node:
        """(B, T, W) -> (B, heads, T, W / heads)."""
        op = self.op
        split = op.reshape(x, op.constant(np.array([0, 0, heads, -1])), True)
        return op.transpose(split, op.constant(np.array([0, 2, 1, 3])))

    def merge_heads(self, x: Node) -> Node:
        """(B, heads, T, D) -> (B, T, heads * D)."""
        op = self.op
        swapped = op.transpose(x, op.constant(np.array([0, 2, 1, 3])))
        return op.reshape(swapped, op.constant(np.array([0, 0, -1])), True)

    def attention(self, query: Node, key: Node, value: Node, bias: Node) -> Node:
        """softmax(query key' / sqrt(D) + bias) value, with heads split; (B, T, W)."""
        return self.merge_heads(self.op.scaled_dot_product_attention(query, key, value, bias, causal=False))

    def rotary(self, length: Node, frequencies: npt.NDArray[np.float64], limit: int) -> tuple[Node, Node]:
        """Cosines and sines (1, 1, T, D) of rotary positions (Su et al., RoFormer, 2021), halves repeated.

        Args:
            length: T, at most `limit` rounded up to the batches' step.
            frequencies: (D / 2,) turns of a position, in radians.
            limit: the longest input. The tables are constants, because bf16 in the graph would make them useless.

        """
        angles = np.arange(limit + _STEP)[:, None] * np.concatenate([frequencies, frequencies])
        rows = self.range(self.op.constant(np.int64(0)), length)
        tables = (np.cos(angles), np.sin(angles))
        cos, sin = (self.op.gather(self.op.constant(t.astype(np.float32)), rows, self.op.constant(0)) for t in tables)
        return cos, sin

    def rotate(self, x: Node, rotary: tuple[Node, Node]) -> Node:
        """Turn queries or keys (B, heads, T, D) by their positions."""
        op, (cos, sin) = self.op, rotary
        low, high = op.split(x, op.constant(-1), 2).outputs()
        turned = op.concat([op.negative(high), low], -1)
        return op.add(op.multiply(x, cos), op.multiply(turned, sin))

    def distances(self, length: Node) -> Node:
        """|i - j| of all pairs of positions, (T, T), as whole numbers, because bf16 rounds 1,001 to 1,000."""
        op = self.op
        at = self.range(op.constant(np.int64(0)), length)
        return op.abs(op.subtract(op.unsqueeze(at, op.constant(1)), op.unsqueeze(at, op.constant(0))))

    def parts(self, x: Node, count: int) -> list[Node]:
        """Equal parts of the last axis."""
        return list(self.op.split(x, self.op.constant(-1), count).outputs())

    def first_token(self, hidden: Node) -> Node:
        """(B, T, W) -> (B, W)."""
        return self.op.gather(hidden, self.op.constant(0), self.op.constant(1))
