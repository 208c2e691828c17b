"""Tiny checkpoints with seeded random weights, saved as their authors' library saves them."""

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerFast
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789.,?!'-"
WORDS = "the of and to in is it how what where water lamp bread city capital norway oslo north south 1871 ferry".split()


def wordpiece(bos: str, eos: str, pad: str, unk: str, double: bool, extra: str = "") -> Tokenizer:
    """A WordPiece tokenizer; `double` puts two separators between a pair, as RoBERTa does, and segment ids to 0."""
    pieces = [
        pad,
        unk,
        bos,
        eos,
        *WORDS,
        *ALPHABET,
        *(f"##{c}" for c in ALPHABET),
        *(c for c in extra if c not in ALPHABET),
    ]
    tokenizer = Tokenizer(models.WordPiece({p: i for i, p in enumerate(pieces)}, unk_token=unk))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    second = 0 if double else 1
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A {eos}",
        pair=f"{bos} $A {eos} {eos} $B {eos}" if double else f"{bos}:0 $A:0 {eos}:0 $B:{second} {eos}:{second}",
        special_tokens=[(bos, 2), (eos, 3)],
    )
    return tokenizer


def cross_encoder(
    folder: Path, model_type: str, *, limit: int = 64, dtype: torch.dtype = torch.float32, **config: object
) -> Path:
    """Save a one-label classifier of two small layers and its tokenizer."""
    torch.manual_seed(7)
    double = model_type in ("roberta", "xlm-roberta")
    names = ("<s>", "</s>", "<pad>", "<unk>") if double else ("[CLS]", "[SEP]", "[PAD]", "[UNK]")
    tokenizer = wordpiece(*names, double=double)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=limit,
        cls_token=names[0], sep_token=names[1], pad_token=names[2], unk_token=names[3],
        model_input_names=["input_ids", "attention_mask"] + ([] if double else ["token_type_ids"]),
    )  # fmt: skip
    settings = {
        "vocab_size": tokenizer.get_vocab_size(), "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
        "intermediate_size": 96, "max_position_embeddings": limit + double, "pad_token_id": 0, "num_labels": 1,
        "type_vocab_size": 1 if double else 2, "initializer_range": 0.4, "embedding_size": 32, **config,
    }  # fmt: skip
    if model_type != "electra":
        settings.pop("embedding_size")
    model = AutoModelForSequenceClassification.from_config(CONFIG_MAPPING[model_type](**settings)).to(dtype)
    model.eval().save_pretrained(folder)
    wrapped.save_pretrained(folder)
    return folder


def edited(folder: Path, **config: object) -> Path:
    """Change entries of a folder's config.json."""
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | config))
    return folder
