"""Checkpoints of Transformers' own models in the layouts that their first authors saved."""

import json
from pathlib import Path

import safetensors.torch
import torch
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from tests.checkpoints import cross_encoder

BASE, FACTOR = 100.0, 8.0


def mgte_ntk(folder: Path, mixed: float | None = None) -> tuple[Path, PreTrainedModel]:
    """mGTE's first layout, with NTK-scaled positions: the checkpoint, and Transformers' model made equal to it."""
    cross_encoder(folder, "gte")
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    dims = model.config.hidden_size // model.config.num_attention_heads
    i = torch.arange(dims // 2, dtype=torch.float64)
    if mixed is None:  # https://kexue.fm/archives/9706, eq. 6
        turns = (BASE * FACTOR) ** (-2 * i / dims) / FACTOR ** (2 / dims)
    else:  # eq. 10-13
        a = torch.log(torch.tensor(FACTOR, dtype=torch.float64)) / (dims / 2) ** mixed
        turns = BASE ** (-2 * i / dims) / torch.exp(a * (i + 1) ** mixed)
    model.gte.rotary_emb.inv_freq = turns.float()
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    renamed = {n.replace("gte.", "new.", 1) if n.startswith("gte.") else n: t for n, t in tensors.items()}
    safetensors.torch.save_file(renamed, folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text())
    del config["rope_parameters"]
    scaling = {"type": "ntk", "factor": FACTOR} | ({} if mixed is None else {"mixed_b": mixed})
    config |= {
        "model_type": "new", "architectures": ["NewForSequenceClassification"], "position_embedding_type": "rope",
        "rope_theta": BASE, "rope_scaling": scaling, "layer_norm_type": "layer_norm", "logn_attention_scale": False,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    return folder, model


def flash_xlmr(folder: Path) -> tuple[Path, PreTrainedModel]:
    """XLM-R as jina-reranker-v2 stores it: query, key and value in one tensor, other names, the same numbers."""
    cross_encoder(folder, "xlm-roberta")
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    own = model.state_dict()
    flash = {n: t for n, t in own.items() if ".layer." not in n and "embeddings.LayerNorm" not in n and "ids" not in n}
    for end in ("weight", "bias"):
        flash[f"roberta.emb_ln.{end}"] = own[f"roberta.embeddings.LayerNorm.{end}"]
        for i in range(model.config.num_hidden_layers):
            old, new = f"roberta.encoder.layer.{i}", f"roberta.encoder.layers.{i}"
            fused = [own[f"{old}.attention.self.{part}.{end}"] for part in ("query", "key", "value")]
            flash[f"{new}.mixer.Wqkv.{end}"] = torch.cat(fused)
            flash[f"{new}.mixer.out_proj.{end}"] = own[f"{old}.attention.output.dense.{end}"]
            flash[f"{new}.norm1.{end}"] = own[f"{old}.attention.output.LayerNorm.{end}"]
            flash[f"{new}.mlp.fc1.{end}"] = own[f"{old}.intermediate.dense.{end}"]
            flash[f"{new}.mlp.fc2.{end}"] = own[f"{old}.output.dense.{end}"]
            flash[f"{new}.norm2.{end}"] = own[f"{old}.output.LayerNorm.{end}"]
    safetensors.torch.save_file({n: t.clone() for n, t in flash.items()}, folder / "model.safetensors")
    return folder, model
