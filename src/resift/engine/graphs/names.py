"""Checkpoints that are BERT under other names: their config entries and tensors get the names of BERT."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from resift.errors import BrokenModel

NamedTensors = Mapping[str, npt.NDArray[np.float32]]


# XLM-R with fused projections, as jina-reranker-v2 and jina-embeddings-v3 store it.
_FLASH = [
    (r"\bemb_ln\.", "embeddings.LayerNorm."),
    (r"\bencoder\.layers\.", "encoder.layer."),
    (r"\.mixer\.out_proj\.", ".attention.output.dense."),
    (r"\.norm1\.", ".attention.output.LayerNorm."),
    (r"\.mlp\.fc1\.", ".intermediate.dense."),
    (r"\.mlp\.fc2\.", ".output.dense."),
    (r"\.norm2\.", ".output.LayerNorm."),
]
_DISTILBERT = [
    (r"\btransformer\.layer\.", "encoder.layer."),
    (r"\.attention\.q_lin\.", ".attention.self.query."),
    (r"\.attention\.k_lin\.", ".attention.self.key."),
    (r"\.attention\.v_lin\.", ".attention.self.value."),
    (r"\.attention\.out_lin\.", ".attention.output.dense."),
    (r"\.sa_layer_norm\.", ".attention.output.LayerNorm."),
    (r"\.ffn\.lin1\.", ".intermediate.dense."),
    (r"\.ffn\.lin2\.", ".output.dense."),
    (r"\.output_layer_norm\.", ".output.LayerNorm."),
]
_DISTILBERT_ENTRIES = {
    "dim": "hidden_size", "hidden_dim": "intermediate_size", "n_heads": "num_attention_heads",
    "n_layers": "num_hidden_layers", "activation": "hidden_act",
}  # fmt: skip


def as_bert(config: Mapping[str, Any], weights: NamedTensors) -> tuple[Mapping[str, Any], NamedTensors]:
    """A checkpoint's config and tensors under the names that the builder of its architecture uses."""
    if config["model_type"] == "distilbert":
        return distilbert_as_bert(config, weights)
    return config, flash_as_bert(weights) if is_flash(weights) else weights


def root_of(weights: NamedTensors, first: str = "embeddings.word_embeddings.weight") -> str:
    """The prefix of the encoder's tensors: "" in an encoder that was saved alone, "bert." in a classifier.

    Raises:
        BrokenModel: there is no tensor `first`, which every encoder has.

    """
    roots = [name.removesuffix(first) for name in weights if name.endswith(first)]
    if not roots:
        raise BrokenModel(f"the checkpoint has no tensor {first}; its files are incomplete")
    return min(roots, key=len)


def is_flash(weights: NamedTensors) -> bool:
    """Whether query, key and value are one tensor each layer."""
    return any(name.endswith(".mixer.Wqkv.weight") for name in weights)


def flash_as_bert(weights: NamedTensors) -> NamedTensors:
    """Fused projections split into three, and BERT's names."""
    split = {}
    for name, value in weights.items():
        if ".mixer.Wqkv." not in name:
            split[name] = value
            continue
        rows = len(value) // 3
        for i, part in enumerate(("query", "key", "value")):
            split[name.replace(".mixer.Wqkv.", f".attention.self.{part}.")] = value[i * rows : (i + 1) * rows]
    return _renamed(split, _FLASH)


def distilbert_as_bert(config: Mapping[str, Any], weights: NamedTensors) -> tuple[Mapping[str, Any], NamedTensors]:
    """BERT's names, and BERT's entries beside DistilBERT's."""
    entries = {new: config[old] for old, new in _DISTILBERT_ENTRIES.items() if old in config}
    return {**config, **entries}, _renamed(weights, _DISTILBERT)


def _renamed(weights: NamedTensors, rules: list[tuple[str, str]]) -> NamedTensors:
    tensors = {}
    for name, value in weights.items():
        for old, new in rules:
            name = re.sub(old, new, name)
        tensors[name] = value
    return tensors
