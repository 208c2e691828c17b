"""BERT (Devlin et al., 2019) and what has its layers: RoBERTa, XLM-R (rotary too), ELECTRA, DistilBERT."""

from __future__ import annotations

import numpy as np

from resift.engine.graphs.builder import Builder, GraphInputs, Node
from resift.engine.graphs.rope import frequencies

OFFSET_TYPES = ("roberta", "xlm-roberta", "camembert")  # the first rows of their position tables are never used


def hidden_states(b: Builder, inputs: GraphInputs) -> Node:
    """Last hidden states (B, T, H); (B, 1, H) where nothing but the first token's is read."""
    x = _embeddings(b, inputs)
    if b.has("embeddings_project.weight"):  # ELECTRA's small generators and discriminators
        x = b.linear(x, "embeddings_project")
    bias, rotary = b.mask_bias(inputs.mask), _rotary(b, inputs) if _turns(b) else None
    count = b.size("num_hidden_layers")
    for i in range(count):
        asking = b.op.unsqueeze(b.first_token(x), b.op.constant(1)) if b.first_only and i == count - 1 else x
        x = _layer(b, x, asking, bias, rotary, f"encoder.layer.{i}")
    return x


def logits_bert(b: Builder, hidden: Node, inputs: GraphInputs) -> Node:
    """Pooler of the first token, tanh, classifier."""
    pooled = b.op.tanh(b.linear(b.first_token(hidden), "pooler.dense"))
    return b.outside.linear(pooled, "classifier")


def logits_roberta(b: Builder, hidden: Node, inputs: GraphInputs) -> Node:
    """Two layers over the first token; tanh between them."""
    inner = b.op.tanh(b.outside.linear(b.first_token(hidden), "classifier.dense"))
    return b.outside.linear(inner, "classifier.out_proj")


def logits_electra(b: Builder, hidden: Node, inputs: GraphInputs) -> Node:
    """Two layers over the first token; gelu between them."""
    inner = b.op.gelu(b.outside.linear(b.first_token(hidden), "classifier.dense"), "erf")
    return b.outside.linear(inner, "classifier.out_proj")


def logits_distilbert(b: Builder, hidden: Node, inputs: GraphInputs) -> Node:
    """Two layers over the first token; relu between them."""
    inner = b.op.relu(b.outside.linear(b.first_token(hidden), "pre_classifier"))
    return b.outside.linear(inner, "classifier")


def _eps(b: Builder) -> float:
    return float(b.config.get("layer_norm_eps", 1e-12))


def _turns(b: Builder) -> bool:
    """Whether positions are rotary (jina's XLM-R) instead of a table."""
    is_rotary = b.config.get("position_embedding_type", "absolute") == "rotary"
    return bool(is_rotary or b.config["model_type"] == "jina_embeddings_v3")


def _rotary(b: Builder, inputs: GraphInputs) -> tuple[Node, Node]:
    parameters = b.config.get("rope_parameters") or {}
    base = float(parameters.get("rope_theta") or b.config.get("rotary_emb_base") or 10_000.0)
    dims = b.size("hidden_size") // b.size("num_attention_heads")
    return b.rotary(b.length(inputs.ids), frequencies(dims, base), b.size("max_position_embeddings"))


def _embeddings(b: Builder, inputs: GraphInputs) -> Node:
    op = b.op
    x = b.look_up("embeddings.word_embeddings", inputs.ids)
    if b.config["model_type"] != "distilbert":
        x = op.add(x, b.look_up("embeddings.token_type_embeddings", inputs.segments))
    if not _turns(b):
        # RoBERTa's positions start behind the padding id; padding stands at the end here, so a range is exact.
        first = b.size("pad_token_id") + 1 if b.config["model_type"] in OFFSET_TYPES else 0
        start = op.constant(np.int64(first))
        positions = b.range(start, op.add(start, b.length(inputs.ids)))
        x = op.add(x, b.look_up("embeddings.position_embeddings", positions))
    return b.norm(x, "embeddings.LayerNorm", _eps(b))


def _layer(b: Builder, x: Node, queries: Node, bias: Node, rotary: tuple[Node, Node] | None, name: str) -> Node:
    """One layer for the tokens `asking`, which attend to all tokens `x`."""
    heads, eps = b.size("num_attention_heads"), _eps(b)
    query, key, value = (
        b.split_heads(b.linear(tokens, f"{name}.attention.self.{part}"), heads)
        for part, tokens in (("query", queries), ("key", x), ("value", x))
    )
    if rotary is not None:
        query = b.rotate(query, rotary) if queries is x else query  # position 0 is not turned
        key = b.rotate(key, rotary)
    a = b.linear(b.attention(query, key, value, bias), f"{name}.attention.output.dense")
    x = b.norm(b.op.add(queries, a), f"{name}.attention.output.LayerNorm", eps)
    h = b.activation(b.linear(x, f"{name}.intermediate.dense"), b.config.get("hidden_act", "gelu"))
    return b.norm(b.op.add(x, b.linear(h, f"{name}.output.dense")), f"{name}.output.LayerNorm", eps)
