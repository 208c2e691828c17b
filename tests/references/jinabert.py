"""JinaBERT: BERT with ALiBi and a gated feed-forward; both layouts of its tensors."""

import json
import math
from pathlib import Path

import safetensors.torch
import torch
from torch.nn.functional import gelu, layer_norm, linear, relu

from tests.checkpoints import save_tokenizer

Tensors = dict[str, torch.Tensor]
WIDTH, INNER, LAYERS = 48, 80, 2


def save(folder: Path, *, heads: int, later: bool, limit: int = 64, feed_forward_type: str = "geglu") -> Path:
    """A checkpoint of random weights; `later` has norms on queries and keys, and the other names."""
    generator = torch.Generator().manual_seed(11)
    vocabulary = save_tokenizer(folder, double=False, limit=limit)
    tensors: Tensors = {}

    def add(name: str, *shape: int, bias: bool = False, norm: bool = False) -> None:
        tensors[f"{name}.weight"] = torch.randn(*shape, generator=generator) * (0.1 if norm else 0.3) + norm
        if bias or norm:
            tensors[f"{name}.bias"] = torch.randn(shape[0], generator=generator) * 0.1

    for table, rows in (("word_embeddings", vocabulary), ("token_type_embeddings", 2)):
        add(f"bert.embeddings.{table}", rows, WIDTH)
    add("bert.embeddings.LayerNorm", WIDTH, norm=True)
    for i in range(LAYERS):
        layer = f"bert.encoder.layer.{i}"
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            add(f"{layer}.attention.{part}", WIDTH, WIDTH, bias=True)
        add(f"{layer}.attention.output.LayerNorm", WIDTH, norm=True)
        wide, narrow = ("up_gated_layer", "down_layer") if later else ("gated_layers", "wo")
        add(f"{layer}.mlp.{wide}", 2 * INNER, WIDTH)
        add(f"{layer}.mlp.{narrow}", WIDTH, INNER, bias=True)
        norms = ["attention.self.layer_norm_q", "attention.self.layer_norm_k", "layer_norm_1", "layer_norm_2"]
        for norm in norms if later else ["mlp.layernorm"]:
            add(f"{layer}.{norm}", WIDTH, norm=True)
    add("bert.pooler.dense", WIDTH, WIDTH, bias=True)
    add("classifier", 1, WIDTH, bias=True)
    safetensors.torch.save_file(tensors, folder / "model.safetensors")
    config = {
        "model_type": "bert", "architectures": ["JinaBertForSequenceClassification"],
        "position_embedding_type": "alibi", "feed_forward_type": feed_forward_type, "hidden_size": WIDTH,
        "num_attention_heads": heads,
        "num_hidden_layers": LAYERS, "intermediate_size": INNER, "max_position_embeddings": limit, "pad_token_id": 0,
        "layer_norm_eps": 1e-12, "id2label": {"0": "LABEL_0"}, "hidden_act": "gelu",
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def logit(folder: Path, ids: list[int], segments: list[int]) -> float:
    """The score of one unpadded input."""
    config = json.loads((folder / "config.json").read_text())
    t = safetensors.torch.load_file(folder / "model.safetensors")
    x = t["bert.embeddings.word_embeddings.weight"][ids] + t["bert.embeddings.token_type_embeddings.weight"][segments]
    x = _norm(t, x, "bert.embeddings.LayerNorm")
    gate = gelu if config["feed_forward_type"] == "geglu" else relu
    for i in range(LAYERS):
        x = _layer(t, x, f"bert.encoder.layer.{i}", config["num_attention_heads"], gate)
    pooled = torch.tanh(_linear(t, x[0], "bert.pooler.dense"))
    return float(_linear(t, pooled, "classifier"))


def slopes(heads: int) -> list[float]:
    """ALiBi's slopes: 2^(-8/n), its square, ...; between powers of 2 every second slope of the next power is added."""
    power = math.log2(heads)
    if power.is_integer():
        start = 2 ** (-(2 ** -(power - 3)))
        return [start * start**i for i in range(heads)]
    below = 2 ** math.floor(power)
    return slopes(below) + slopes(2 * below)[::2][: heads - below]


def _layer(t: Tensors, x: torch.Tensor, name: str, heads: int, gate: object) -> torch.Tensor:
    later = f"{name}.layer_norm_1.weight" in t
    query, key, value = (_linear(t, x, f"{name}.attention.self.{part}") for part in ("query", "key", "value"))
    if later:
        query, key = (_norm(t, v, f"{name}.attention.self.layer_norm_{k}") for v, k in ((query, "q"), (key, "k")))
    at = torch.arange(len(x))
    out = []
    for head, slope in enumerate(slopes(heads)):
        own = slice(head * WIDTH // heads, (head + 1) * WIDTH // heads)
        scores = query[:, own] @ key[:, own].T / math.sqrt(WIDTH // heads) - slope * (at[:, None] - at[None, :]).abs()
        out.append(scores.softmax(-1) @ value[:, own])
    a = _norm(
        t, _linear(t, torch.cat(out, 1), f"{name}.attention.output.dense") + x, f"{name}.attention.output.LayerNorm"
    )
    if not later:
        gated, plain = linear(a, t[f"{name}.mlp.gated_layers.weight"]).chunk(2, -1)
        return _norm(t, _linear(t, gate(gated) * plain, f"{name}.mlp.wo") + a, f"{name}.mlp.layernorm")  # type: ignore[operator]
    a = _norm(t, x + a, f"{name}.layer_norm_1")
    plain, gated = linear(a, t[f"{name}.mlp.up_gated_layer.weight"]).chunk(2, -1)
    return _norm(t, _linear(t, plain * gate(gated), f"{name}.mlp.down_layer") + a, f"{name}.layer_norm_2")  # type: ignore[operator]


def _linear(t: Tensors, x: torch.Tensor, name: str) -> torch.Tensor:
    return linear(x, t[f"{name}.weight"], t[f"{name}.bias"])


def _norm(t: Tensors, x: torch.Tensor, name: str) -> torch.Tensor:
    return layer_norm(x, x.shape[-1:], t[f"{name}.weight"], t[f"{name}.bias"], 1e-12)
