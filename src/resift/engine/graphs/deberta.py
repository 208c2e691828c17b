"""DeBERTa-v2 and v3 (He et al., 2021): attention scores content and relative position separately."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from resift.engine.graphs.builder import Builder, GraphInputs, Node

_STEP = 8


def hidden_states(b: Builder, inputs: GraphInputs) -> Node:
    """Last hidden states (B, T, H)."""
    op = b.op
    there = op.unsqueeze(op.convert(inputs.mask, "f32"), op.constant(2))
    x = embedded = op.multiply(_embeddings(b, inputs), there)
    bias, relative = b.mask_bias(inputs.mask), _Relative(b, b.length(inputs.ids))
    for i in range(b.size("num_hidden_layers")):
        x = _layer(b, x, bias, relative, f"encoder.layer.{i}")
        if i == 0 and int(b.config.get("conv_kernel_size") or 0) > 0:
            x = _convolved(b, embedded, x, there)
    return x


def logits(b: Builder, hidden: Node, inputs: GraphInputs) -> Node:
    """ContextPooler of the first token, classifier."""
    pooled = b.outside.linear(b.first_token(hidden), "pooler.dense")
    return b.outside.linear(b.activation(pooled, b.config.get("pooler_hidden_act", "gelu")), "classifier")


def _eps(b: Builder) -> float:
    return float(b.config.get("layer_norm_eps", 1e-7))


def _embeddings(b: Builder, inputs: GraphInputs) -> Node:
    op = b.op
    x = b.look_up("embeddings.word_embeddings", inputs.ids)
    if b.config.get("position_biased_input", True):
        positions = b.range(op.constant(np.int64(0)), b.length(inputs.ids))
        x = op.add(x, b.look_up("embeddings.position_embeddings", positions))
    if int(b.config.get("type_vocab_size") or 0) > 0:
        x = op.add(x, b.look_up("embeddings.token_type_embeddings", inputs.segments))
    if b.has("embeddings.embed_proj.weight"):
        x = b.linear(x, "embeddings.embed_proj", bias=False)
    return b.norm(x, "embeddings.LayerNorm", _eps(b))


def buckets(distance: npt.NDArray[np.int64], count: int, limit: int) -> npt.NDArray[np.int64]:
    """Relative positions i - j as buckets: exact up to half of `count`, logarithmic beyond, odd around 0.

    Everything is f32, as in the reference: at the edge of a bucket another precision gives another bucket.
    """
    if count <= 0:
        return distance
    middle, one = count // 2, np.float32(1)
    size = np.maximum(np.abs(distance), middle - 1).astype(np.float32)
    scale = np.log(np.float32((limit - one) / np.float32(middle)))
    far = np.ceil(np.log(size / np.float32(middle)) / scale * np.float32(middle - 1)) + middle
    return np.where(np.abs(distance) <= middle, distance, far * np.sign(distance)).astype(np.int64)


class _Relative:
    """Attention scores from relative positions; they depend on i - j alone, so 2 T - 1 columns hold all of them."""

    def __init__(self, b: Builder, length: Node) -> None:
        config = b.config
        self.b, self.length = b, length
        self.used = bool(config.get("relative_attention", False))
        kinds = config.get("pos_att_type") or []
        kinds = kinds.lower().split("|") if isinstance(kinds, str) else kinds
        self.kinds = tuple(kind for kind in ("c2p", "p2c") if kind in [k.strip() for k in kinds])
        if not self.used:
            return
        limit = int(config.get("max_relative_positions", -1))
        limit = limit if limit >= 1 else b.size("max_position_embeddings")
        count = int(config.get("position_buckets", -1))
        span = count if count > 0 else limit
        widest = b.size("max_position_embeddings") + _STEP
        bucket = buckets(np.arange(-widest + 1, widest), count, limit)  # of i - j, ascending
        self._columns = {
            "c2p": self._middle(np.clip(bucket[::-1] + span, 0, 2 * span - 1), widest),  # column k is j - i
            "p2c": self._middle(np.clip(span - bucket[::-1], 0, 2 * span - 1), widest),  # the same seen from the key
        }
        table = b.tensor("encoder.rel_embeddings.weight")
        if "layer_norm" in str(config.get("norm_rel_ebd", "none")).lower():
            table = b.norm(table, "encoder.LayerNorm", _eps(b))
        self._table = table

    def _middle(self, index: npt.NDArray[np.int64], widest: int) -> Node:
        """The 2 T - 1 middle entries, for distances -(T - 1) to T - 1."""
        op, one = self.b.op, self.b.op.constant(np.int64(1))
        middle = op.constant(np.int64(widest))
        rows = self.b.range(op.subtract(middle, self.length), op.subtract(op.add(middle, self.length), one))
        return op.gather(op.constant(index), rows, op.constant(0))

    def scores(self, query: Node, key: Node, name: str, heads: int) -> Node | None:
        """Sum of content-to-position and position-to-content scores (B, heads, T, T), not yet scaled."""
        if not self.used:
            return None
        op, shared = self.b.op, bool(self.b.config.get("share_att_key", False))
        total = None
        for kind in self.kinds:
            part = {"c2p": "key_proj", "p2c": "query_proj"}[kind]
            rows = op.gather(self._table, self._columns[kind], op.constant(0))
            projected = self.b.linear(rows, f"{name}.{part if shared else 'pos_' + part}")
            split = op.reshape(projected, op.constant(np.array([0, heads, -1])), True)
            positions = op.transpose(split, op.constant(np.array([1, 0, 2])))
            part_scores = self._skewed(op.matmul(query if kind == "c2p" else key, positions, False, True))
            if kind == "p2c":
                part_scores = op.transpose(part_scores, op.constant(np.array([0, 1, 3, 2])))
            total = part_scores if total is None else op.add(total, part_scores)
        return total

    def _skewed(self, x: Node) -> Node:
        """(B, heads, T, 2 T - 1) -> (B, heads, T, T): entry (i, j) comes from column j - i + T - 1 of row i.

        In the flat array that entry has the position i (2 T - 2) + j + T - 1, so a slice and a reshape do.
        """
        op, one = self.b.op, self.b.op.constant(np.array([1]))
        t = op.unsqueeze(self.length, op.constant(0))
        width = op.multiply(op.subtract(t, one), op.constant(np.array([2])))
        flat = op.reshape(x, op.constant(np.array([0, 0, -1])), True)
        start = op.subtract(t, one)
        flat = op.slice(flat, start, op.add(start, op.multiply(t, width)), one, op.constant(np.array([2])))
        shape = op.concat([op.constant(np.array([0, 0])), t, width], 0)
        return op.slice(op.reshape(flat, shape, True), op.constant(np.array([0])), t, one, op.constant(np.array([3])))


def _layer(b: Builder, x: Node, bias: Node, relative: _Relative, name: str) -> Node:
    op, heads, attention = b.op, b.size("num_attention_heads"), f"{name}.attention.self"
    query, key, value = (b.split_heads(b.linear(x, f"{attention}.{p}_proj"), heads) for p in ("query", "key", "value"))
    scores = op.matmul(query, key, False, True)
    if (extra := relative.scores(query, key, attention, heads)) is not None:
        scores = op.add(scores, extra)
    width = b.weights[f"{b.root}{attention}.query_proj.weight"].shape[0] // heads
    scale = op.constant(np.float32(1 / math.sqrt(width * (1 + len(relative.kinds)))))
    shares = op.softmax(op.add(op.multiply(scores, scale), bias), -1)
    a = b.linear(b.merge_heads(op.matmul(shares, value, False, False)), f"{name}.attention.output.dense")
    x = b.norm(op.add(x, a), f"{name}.attention.output.LayerNorm", _eps(b))
    h = b.activation(b.linear(x, f"{name}.intermediate.dense"), b.config.get("hidden_act", "gelu"))
    return b.norm(op.add(x, b.linear(h, f"{name}.output.dense")), f"{name}.output.LayerNorm", _eps(b))


def _convolved(b: Builder, embedded: Node, x: Node, there: Node) -> Node:
    """The convolution over the embeddings that DeBERTa-v2 adds behind its first layer; padding stays 0."""
    op, swap = b.op, b.op.constant(np.array([0, 2, 1]))
    kernel, groups = int(b.config["conv_kernel_size"]), int(b.config.get("conv_groups") or 1)
    weights = b.weights[f"{b.root}encoder.conv.conv.weight"]
    around = [(kernel - 1) // 2]
    series = op.transpose(embedded, swap)
    if groups == 1:
        y = op.convolution(series, op.constant(weights), [1], around, around, [1])
    else:
        grouped = weights.reshape(groups, weights.shape[0] // groups, *weights.shape[1:])
        y = op.group_convolution(series, op.constant(grouped), [1], around, around, [1])
    y = op.add(op.transpose(y, swap), b.tensor("encoder.conv.conv.bias"))
    y = b.activation(op.multiply(y, there), b.config.get("conv_act", "tanh"))
    return op.multiply(b.norm(op.add(x, y), "encoder.conv.LayerNorm", _eps(b)), there)
