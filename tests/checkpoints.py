"""Tiny checkpoints with seeded random weights, saved as their authors' library saves them."""

import json
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerFast
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from tests.tiny_tokenizers import TOKENIZERS, roberta

# Families whose tokenizers put two separators between a pair and know one segment.
DOUBLE = ("roberta", "xlm-roberta", "camembert", "gte", "jina_embeddings_v3")

# What a family's config has besides, or instead of, the sizes that all share.
OWN: dict[str, dict[str, Any]] = {
    "electra": {"embedding_size": 32},
    "distilbert": {"dim": 48, "n_layers": 2, "n_heads": 4, "hidden_dim": 96},
    "deberta-v2": {
        "relative_attention": True, "position_buckets": 16, "pos_att_type": ["p2c", "c2p"], "share_att_key": True,
        "norm_rel_ebd": "layer_norm", "position_biased_input": False, "type_vocab_size": 0,
    },
    "modernbert": {
        "num_hidden_layers": 4, "local_attention": 12, "bos_token_id": 2, "cls_token_id": 2, "eos_token_id": 3,
        "sep_token_id": 3,
    },
}  # fmt: skip


def save_tokenizer(folder: Path, double: bool, limit: int, kind: str = "wordpiece") -> int:
    """Save a tokenizer as Transformers does; gives the size of its vocabulary."""
    names = ("<s>", "</s>", "<pad>", "<unk>") if double else ("[CLS]", "[SEP]", "[PAD]", "[UNK]")
    tokenizer = {**TOKENIZERS, "roberta": roberta}[kind](*names, double=double)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=limit,
        cls_token=names[0], sep_token=names[1], pad_token=names[2], unk_token=names[3],
        model_input_names=["input_ids", "attention_mask"] + ([] if double else ["token_type_ids"]),
    )  # fmt: skip
    wrapped.save_pretrained(folder)
    return int(tokenizer.get_vocab_size())


def cross_encoder(
    folder: Path,
    model_type: str,
    *,
    limit: int = 64,
    dtype: torch.dtype = torch.float32,
    tokenizer: str = "wordpiece",
    noise: float = 0.1,
    **config: Any,
) -> Path:
    """Save a one-label classifier of two small layers and its tokenizer."""
    torch.manual_seed(7)
    double, offset = model_type in DOUBLE, model_type in ("roberta", "xlm-roberta", "camembert")
    sizes = {
        "vocab_size": save_tokenizer(folder, double, limit, tokenizer), "hidden_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 4, "intermediate_size": 96, "type_vocab_size": 1 if double else 2,
    }  # fmt: skip
    if model_type == "distilbert":
        sizes = {"vocab_size": sizes["vocab_size"]}
    elif model_type == "modernbert":
        del sizes["type_vocab_size"]
    settings = {
        **sizes, "max_position_embeddings": limit + offset, "pad_token_id": 0, "num_labels": 1,
        "initializer_range": 0.4, **OWN.get(model_type, {}), **config,
    }  # fmt: skip
    model = AutoModelForSequenceClassification.from_config(CONFIG_MAPPING[model_type](**settings)).to(dtype)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:  # biases and norms are made as 0 and 1: a swap of two would not be seen
                parameter.add_(torch.randn_like(parameter) * noise)
    model.eval().save_pretrained(folder)
    return folder


def edited(folder: Path, **config: object) -> Path:
    """Change entries of a folder's config.json."""
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | config))
    return folder
