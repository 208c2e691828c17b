"""ModernBERT (Warner et al., 2024): rotary positions, most layers see a neighbourhood only, gated feed-forward."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from resift.engine.graphs.builder import HIDDEN, Builder, GraphInputs, Node
from resift.engine.graphs.rope import frequencies

_BASES = {"full_attention": ("global_rope_theta", 160_000.0), "sliding_attention": ("local_rope_theta", 10_000.0)}


def hidden_states(b: Builder, inputs: GraphInputs) -> Node:
    """Last hidden states (B, T, H)."""
    op, length = b.op, b.length(inputs.ids)
    everywhere = b.mask_bias(inputs.mask)
    reach = op.constant(np.int64(int(b.config.get("local_attention", 128)) // 2))
    far = op.convert(op.greater(b.distances(length), reach), "f32")
    nearby = op.add(everywhere, op.multiply(far, op.constant(HIDDEN)))
    bias = {"full_attention": everywhere, "sliding_attention": nearby}
    kinds = _layer_kinds(b)
    rotary = {kind: _rotary(b, length, kind) for kind in sorted(set(kinds))}
    x = _norm(b, b.look_up("embeddings.tok_embeddings", inputs.ids), "embeddings.norm")
    for i, kind in enumerate(kinds):
        x = _layer(b, x, bias[kind], rotary[kind], f"layers.{i}", first=i == 0)
    return _norm(b, x, "final_norm")


def logits(b: Builder, hidden: Node, inputs: GraphInputs) -> Node:
    """Prediction head over the first token or the mean of all (`classifier_pooling`), classifier."""
    op, head = b.op, b.outside
    if b.config.get("classifier_pooling", "cls") == "mean":
        there = op.unsqueeze(op.convert(inputs.mask, "f32"), op.constant(2))
        summed = op.reduce_sum(op.multiply(hidden, there), op.constant(np.array([1])), False)
        pooled = op.divide(summed, op.reduce_sum(there, op.constant(np.array([1])), False))
    else:
        pooled = b.first_token(hidden)
    dense = head.linear(pooled, "head.dense", bias=bool(b.config.get("classifier_bias", False)))
    pooled = _norm(head, b.activation(dense, b.config.get("classifier_activation", "gelu")), "head.norm")
    return head.linear(pooled, "classifier")


def _norm(b: Builder, x: Node, name: str) -> Node:
    return b.norm(x, name, float(b.config.get("norm_eps", 1e-5)), bias=bool(b.config.get("norm_bias", False)))


def _layer_kinds(b: Builder) -> list[str]:
    """Newer configs list the layers; in older ones every n-th sees all."""
    if kinds := b.config.get("layer_types"):
        return list(kinds)
    every = int(b.config.get("global_attn_every_n_layers", 3))
    return ["sliding_attention" if i % every else "full_attention" for i in range(b.size("num_hidden_layers"))]


def _rotary(b: Builder, length: Node, kind: str) -> tuple[Node, Node]:
    parameters: Mapping[str, Any] = (b.config.get("rope_parameters") or {}).get(kind) or {}
    name, default = _BASES[kind]
    base = float(parameters.get("rope_theta") or b.config.get(name) or default)
    dims = b.size("hidden_size") // b.size("num_attention_heads")
    return b.rotary(length, frequencies(dims, base, parameters), b.size("max_position_embeddings"))


def _layer(b: Builder, x: Node, bias: Node, rotary: tuple[Node, Node], name: str, first: bool) -> Node:
    op, heads = b.op, b.size("num_attention_heads")
    with_bias = bool(b.config.get("attention_bias", False))
    inputs = x if first else _norm(b, x, f"{name}.attn_norm")
    packed = b.parts(b.linear(inputs, f"{name}.attn.Wqkv", bias=with_bias), 3)
    query, key, value = (b.split_heads(part, heads) for part in packed)
    a = b.attention(b.rotate(query, rotary), b.rotate(key, rotary), value, bias)
    x = op.add(x, b.linear(a, f"{name}.attn.Wo", bias=with_bias))
    with_bias = bool(b.config.get("mlp_bias", False))
    inner, gate = b.parts(b.linear(_norm(b, x, f"{name}.mlp_norm"), f"{name}.mlp.Wi", bias=with_bias), 2)
    gated = op.multiply(b.activation(inner, b.config.get("hidden_activation", "gelu")), gate)
    return op.add(x, b.linear(gated, f"{name}.mlp.Wo", bias=with_bias))
