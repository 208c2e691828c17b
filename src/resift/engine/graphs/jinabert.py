"""JinaBERT (Günther et al., 2023): BERT with ALiBi instead of positions and a gated feed-forward.

There are two layouts. Checkpoints of the first have the tensor `mlp.gated_layers`; those of the later one have
`mlp.up_gated_layer`, norms on queries and keys, and one more norm behind the attention.
"""

from __future__ import annotations

import math

import numpy as np

from resift.engine.graphs.builder import Builder, GraphInputs, Node


def hidden_states(b: Builder, inputs: GraphInputs) -> Node:
    """Last hidden states (B, T, H)."""
    op = b.op
    x = b.look_up("embeddings.word_embeddings", inputs.ids)
    x = op.add(x, b.look_up("embeddings.token_type_embeddings", inputs.segments))
    x = b.norm(x, "embeddings.LayerNorm", _eps(b))
    slopes = np.array(alibi_slopes(b.size("num_attention_heads")), np.float32)[None, :, None, None]
    bias = op.multiply(op.constant(-slopes), op.convert(b.distances(b.length(inputs.ids)), "f32"))
    bias = op.add(b.mask_bias(inputs.mask), bias)
    for i in range(b.size("num_hidden_layers")):
        x = _layer(b, x, bias, f"encoder.layer.{i}")
    return x


def alibi_slopes(heads: int) -> list[float]:
    """The slope by which each head's attention falls with distance (Press et al., 2022).

    A number of heads that is no power of 2 has the slopes of the power below, then every second one of the power above.
    """
    if heads & (heads - 1) == 0:
        return [2.0 ** (-8.0 * (i + 1) / heads) for i in range(heads)]
    below = 2 ** math.floor(math.log2(heads))
    return alibi_slopes(below) + alibi_slopes(2 * below)[0::2][: heads - below]


def _eps(b: Builder) -> float:
    return float(b.config.get("layer_norm_eps", 1e-12))


def _layer(b: Builder, x: Node, bias: Node, name: str) -> Node:
    op, heads, later = b.op, b.size("num_attention_heads"), b.has(f"{name}.layer_norm_1.weight")
    query, key, value = (b.linear(x, f"{name}.attention.self.{part}") for part in ("query", "key", "value"))
    if later:
        query = b.norm(query, f"{name}.attention.self.layer_norm_q", _eps(b))
        key = b.norm(key, f"{name}.attention.self.layer_norm_k", _eps(b))
    query, key, value = (b.split_heads(part, heads) for part in (query, key, value))
    a = b.attention(query, key, value, bias)
    a = b.linear(a, f"{name}.attention.output.dense")
    a = b.norm(op.add(x, a), f"{name}.attention.output.LayerNorm", _eps(b))
    if not later:
        return b.norm(
            op.add(a, _gated(b, a, f"{name}.mlp.gated_layers", f"{name}.mlp.wo")), f"{name}.mlp.layernorm", _eps(b)
        )
    a = b.norm(op.add(x, a), f"{name}.layer_norm_1", _eps(b))
    h = _gated(b, a, f"{name}.mlp.up_gated_layer", f"{name}.mlp.down_layer", last=True)
    return b.norm(op.add(a, h), f"{name}.layer_norm_2", _eps(b))


def _gated(b: Builder, x: Node, wide: str, narrow: str, last: bool = False) -> Node:
    """A gated linear unit without bias; the gate is the first half, or the last."""
    first, second = b.parts(b.linear(x, wide, bias=False), 2)
    gate, value = (second, first) if last else (first, second)
    kind = {"geglu": "gelu", "reglu": "relu"}[b.config.get("feed_forward_type", "geglu")]
    return b.linear(b.op.multiply(b.activation(gate, kind), value), narrow)
