"""Tiny cross-encoders with heads at inner layers, of random weights, and what Transformers makes of them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from resift.models.folder import ModelFolder
from resift.models.inner_heads import HEADS_FILE
from resift.models.inputs import CLASSIFIER, EncoderInput, Head
from resift.models.recognition import contract_of
from tests.checkpoints import cross_encoder

LAYERS = 3


def layered(folder: Path, model_type: str = "bert", layers: Sequence[int] = (1, 2), **config: Any) -> Path:
    """Save a classifier of three layers with heads at some too; the first reads mean and maximum, others a token."""
    count = {"n_layers" if model_type == "distilbert" else "num_hidden_layers": LAYERS}
    cross_encoder(folder, model_type, **{**count, **config})
    contract = contract_of(ModelFolder(folder))
    width, labels = int(config.get("hidden_size", 48)), contract.input_as(EncoderInput).labels
    draw = torch.Generator().manual_seed(3)
    reads = {layer: "cls" if i else "mean+max" for i, layer in enumerate(layers)}
    shapes = {"dense.weight": (width, width), "dense.bias": (width,), "score.weight": (labels, width),
              "score.bias": (labels,)}  # fmt: skip
    tensors = {f"{n}.{name}": torch.randn(s, generator=draw) * 0.4 for n in layers for name, s in shapes.items()}
    tensors |= {f"{n}.dense.weight": torch.randn(width, 2 * width, generator=draw) * 0.3 for n in layers[:1]}
    (folder / HEADS_FILE).parent.mkdir()
    save_file(tensors, folder / HEADS_FILE)
    heads = (*(Head(layer, reads[layer]) for layer in layers), Head(LAYERS, CLASSIFIER))
    replace(contract, input=replace(contract.input_as(EncoderInput), heads=heads)).write(folder)
    return folder


def reference(folder: Path, pairs: Sequence[tuple[str, str]], layer: int, reads: str = "mean+max") -> np.ndarray:
    """Logits of a head, from the hidden states of Transformers; those behind the last layer's norm where it has one."""
    from transformers import AutoModel, AutoTokenizer

    encoder = AutoModel.from_pretrained(folder).eval()
    tensors = load_file(folder / HEADS_FILE)
    dense, dense_bias, score, score_bias = (
        tensors[f"{layer}.{name}"] for name in ("dense.weight", "dense.bias", "score.weight", "score.bias")
    )
    tokenizer, logits = AutoTokenizer.from_pretrained(folder), []
    for pair in pairs:
        with torch.inference_mode():
            hidden = encoder(**tokenizer(*pair, return_tensors="pt"), output_hidden_states=True).hidden_states[layer][0]
            hidden = encoder.final_norm(hidden) if hasattr(encoder, "final_norm") else hidden
            x = hidden[0] if reads == "cls" else torch.cat([hidden.mean(dim=0), hidden.amax(dim=0)])
            scores = score @ torch.nn.functional.gelu(dense @ x + dense_bias) + score_bias
        logits.append(scores[0].item() if len(scores) == 1 else (scores[1] - scores[0]).item())
    return np.array(logits)
