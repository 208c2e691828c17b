"""Tiny static models in the layout of Model2Vec."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

WORDS = "the of and to in is lamp bread city capital norway oslo north south ferry water a".split()
TEXTS = [
    "the lamp in the city",
    "Oslo",
    "zebra oslo zebra",
    "water " * 30 + "lamp",
    "the capital of norway is oslo",
    "zebra",
]
STATIC = ("plain", "half", "quantized", "short")


def static(folder: Path, name: str) -> Path:
    """Save one of STATIC: f32, f16, with a quantised vocabulary, or with texts cut at 3 tokens."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {w: i for i, w in enumerate(["[PAD]", "[UNK]", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    random = np.random.default_rng(3)
    rows = 6 if name == "quantized" else len(vocabulary)
    tensors = {"embeddings": random.standard_normal((rows, 8)).astype(np.float16 if name == "half" else np.float32)}
    if name == "quantized":
        tensors["weights"] = random.random(len(vocabulary))
        tensors["mapping"] = random.integers(0, rows, len(vocabulary))
    save_file(tensors, folder / "model.safetensors")
    config = {"model_type": "model2vec", "normalize": True, "hidden_dim": 8}
    (folder / "config.json").write_text(json.dumps(config | ({"max_length": 3} if name == "short" else {})))
    return folder
