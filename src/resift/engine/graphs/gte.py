"""mGTE (Zhang et al., 2024; model type "new", "gte" in Transformers): rotary positions and a gated feed-forward."""

from __future__ import annotations

import numpy as np

from resift.engine.graphs.builder import Builder, GraphInputs, Node
from resift.engine.graphs.rope import frequencies


def hidden_states(b: Builder, inputs: GraphInputs) -> Node:
    """Last hidden states (B, T, H)."""
    op = b.op
    x = b.look_up("embeddings.word_embeddings", inputs.ids)
    if int(b.config.get("type_vocab_size") or 0) > 0:
        x = op.add(x, b.look_up("embeddings.token_type_embeddings", inputs.segments))
    rotary = None
    if b.config.get("position_embedding_type", "rope") == "absolute":
        positions = b.range(op.constant(np.int64(0)), b.length(inputs.ids))
        x = op.add(x, b.look_up("embeddings.position_embeddings", positions))
    else:
        rotary = _rotary(b, b.length(inputs.ids))
    x = b.norm(x, "embeddings.LayerNorm", _eps(b))
    bias = b.mask_bias(inputs.mask)
    for i in range(b.size("num_hidden_layers")):
        x = _layer(b, x, bias, rotary, f"encoder.layer.{i}")
    return x


def _eps(b: Builder) -> float:
    return float(b.config.get("layer_norm_eps", 1e-12))


def _rotary(b: Builder, length: Node) -> tuple[Node, Node]:
    parameters = b.config.get("rope_parameters") or b.config.get("rope_scaling") or {}
    base = float(
        parameters.get("rope_theta")
        or b.config.get("rope_theta")
        or (160_000.0 if b.config["model_type"] == "gte" else 10_000.0)
    )
    dims = b.size("hidden_size") // b.size("num_attention_heads")
    return b.rotary(length, frequencies(dims, base, parameters), b.size("max_position_embeddings"))


def _layer(b: Builder, x: Node, bias: Node, rotary: tuple[Node, Node] | None, name: str) -> Node:
    op, heads = b.op, b.size("num_attention_heads")
    if b.has(f"{name}.attention.qkv_proj.weight"):
        packed = b.parts(b.linear(x, f"{name}.attention.qkv_proj"), 3)
    else:
        packed = [b.linear(x, f"{name}.attention.{part}_proj") for part in "qkv"]
    query, key, value = (b.split_heads(part, heads) for part in packed)
    if rotary is not None:
        query, key = b.rotate(query, rotary), b.rotate(key, rotary)
    a = b.linear(b.attention(query, key, value, bias), f"{name}.attention.o_proj")
    x = b.norm(op.add(x, a), f"{name}.attn_ln", _eps(b))
    up, gate = b.parts(b.linear(x, f"{name}.mlp.up_gate_proj", bias=False), 2)
    h = op.multiply(b.activation(gate, b.config.get("hidden_act", "gelu")), up)
    return b.norm(op.add(x, b.linear(h, f"{name}.mlp.down_proj")), f"{name}.mlp_ln", _eps(b))
