"""Entries of a model's config files, refused by name where they are of a wrong kind."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from resift.errors import BrokenModel

_NUMBERS = (
    "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "type_vocab_size",
    "max_position_embeddings", "embedding_size", "dim", "hidden_dim", "n_heads", "n_layers", "num_labels",
    "pad_token_id", "local_attention", "position_buckets", "model_max_length", "max_seq_length",
)  # fmt: skip
_SHARES = ("layer_norm_eps", "norm_eps", "rotary_emb_base")
_WORDS = ("model_type", "hidden_act", "hidden_activation", "activation", "position_embedding_type")
_OBJECTS = ("id2label", "rope_parameters", "rope_scaling")


def check_config(config: Mapping[str, Any], path: Path) -> None:
    """Refuse a config.json with an entry of another kind than Transformers writes.

    Raises:
        BrokenModel: there is one; the message names it.

    """
    for name in _NUMBERS:
        whole(config, name, path)
    for name in _SHARES:
        if name in config and (isinstance(config[name], bool) or not isinstance(config[name], (int, float))):
            raise wrong(path, name, config[name], "a number")
    for name in _WORDS:
        if config.get(name) is not None and not isinstance(config[name], str):
            raise wrong(path, name, config[name], "a word")
    for name in _OBJECTS:
        if config.get(name) is not None and not isinstance(config[name], dict):
            raise wrong(path, name, config[name], "an object")
    architectures = config.get("architectures") or []
    if not isinstance(architectures, list) or not all(isinstance(a, str) for a in architectures):
        raise wrong(path, "architectures", architectures, "a list of names")


def whole(config: Mapping[str, Any], name: str, path: Path) -> int:
    """A whole number of a file; 0 where it has none, or null.

    Raises:
        BrokenModel: it is no whole number.

    """
    value = config.get(name)
    if value is None:
        return 0
    if value == math.inf:
        return sys.maxsize
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value // 1:
        raise wrong(path, name, value, "a whole number")
    return int(value)


def first_position(config: Mapping[str, Any], path: Path) -> int:
    """The row of RoBERTa's table of positions that the first token takes, which follows the row of the padding id.

    Raises:
        BrokenModel: the padding id is null, so that nobody knows where the positions begin.

    """
    if "pad_token_id" in config and config["pad_token_id"] is None:
        raise BrokenModel(
            f"{path} has pad_token_id null, and the positions of {config.get('model_type')} are counted from it; "
            "write there which id the tokenizer pads with (1 in RoBERTa and XLM-R)"
        )
    return (whole(config, "pad_token_id", path) if "pad_token_id" in config else 1) + 1


def wrong(path: Path, name: str, value: object, kind: str) -> BrokenModel:
    """The refusal of an entry."""
    return BrokenModel(
        f"{path} has {name} {json.dumps(value)}, which must be {kind}; correct it or fetch the model again"
    )
