"""Static token vectors (Model2Vec): a text is the mean of its tokens' vectors; no network is run.

Resift's folder: vectors.npy (V, D) int8, scales.npy (V,) f32, tokenizer.json, contract.json with family "static".
Model2Vec's folder: model.safetensors with `embeddings`, and where the vocabulary was quantised `weights` and `mapping`
of tokens to rows; tokenizer.json, config.json with model_type "model2vec". Formulas of model2vec 0.10.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from resift.errors import BrokenModel
from resift.models.contract import Contract
from resift.models.folder import ModelFolder
from resift.models.tokenizer import tokenizer_json
from resift.protocols import Role
from resift.score.options import LoadOptions
from resift.text.clean import clean

_SLICE = 4096  # texts tokenised at once: bounds memory


class StaticEmbedder:
    """Embeds texts by table look-up; queries and documents alike."""

    def __init__(self, contract: Contract, folder: ModelFolder) -> None:
        self.name, self.contract = contract.name, contract
        self.info = contract.info(folder.fingerprint, "NumPy f32", "windows")
        path, of_resift = folder.path, folder.has("vectors.npy") or folder.has_contract
        try:
            value = tokenizer_json(folder)
            self._tokenizer = Tokenizer.from_file(str(path / "tokenizer.json"))
            self._table = _resift_table(path) if of_resift else _model2vec_table(path)
        except (OSError, ValueError, KeyError) as error:
            raise BrokenModel(f"{folder} is no static model ({error}); fetch it again") from error
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._characters: int | None = None
        self._unknown = -1
        if not of_resift:
            self._read_like_model2vec(folder.config.get("max_length", 512), value["model"])
        self._tokenizer.encode_special_tokens = True
        if len(self._table) < self._tokenizer.get_vocab_size():
            raise BrokenModel(f"{folder} has fewer vectors than its tokenizer has tokens; copy both from one place")
        self.dims = self._table.shape[1]

    def _read_like_model2vec(self, limit: int | None, model: Mapping[str, Any]) -> None:
        """Texts are cut at `limit` tokens, and first at as many times the median length of a token in characters."""
        if limit is not None:
            median = int(np.median([len(token) for token in self._tokenizer.get_vocab()]))
            self._characters = limit * median
            self._tokenizer.enable_truncation(limit)
        unknown = self._tokenizer.token_to_id(model["unk_token"]) if model.get("unk_token") else model.get("unk_id")
        self._unknown = -1 if unknown is None else int(unknown)

    @property
    def unknown(self) -> int:
        """The id of the unknown token; -1 where there is none."""
        return self._unknown

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return each text's token ids."""
        return [e.ids for e in self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]

    def embed(self, texts: Sequence[str], role: Role) -> npt.NDArray[np.float32]:
        """Return (n, dims) unit vectors; zeros for a text without a known token."""
        out = np.zeros((len(texts), self.dims), dtype=np.float32)
        for start in range(0, len(texts), _SLICE):
            part = [clean(t[: self._characters]) for t in texts[start : start + _SLICE]]
            encoded = self._tokenizer.encode_batch_fast(part, add_special_tokens=False)
            for i, e in enumerate(encoded, start):
                ids = e.ids if self._unknown < 0 else [t for t in e.ids if t != self._unknown]
                if ids:
                    out[i] = self._table[ids].sum(axis=0)
        out /= np.maximum(np.linalg.norm(out, axis=1, keepdims=True), np.float32(1e-12))
        return out


def open_embedder(folder: ModelFolder, contract: Contract, options: LoadOptions) -> StaticEmbedder:
    """The static embedder of a folder, which has one precision and no engine.

    Raises:
        BrokenModel: a file is missing or damaged.

    """
    return StaticEmbedder(contract, folder)


def _resift_table(folder: Path) -> npt.NDArray[np.float32]:
    values, scales = np.load(folder / "vectors.npy"), np.load(folder / "scales.npy")
    table: npt.NDArray[np.float32] = values.astype(np.float32) * scales[:, None]
    return table


def _model2vec_table(folder: Path) -> npt.NDArray[np.float32]:
    """One row for each token: the weight is that of the token, the vector that of the row it is mapped to."""
    import safetensors
    from safetensors.numpy import load_file

    try:
        tensors = load_file(folder / "model.safetensors")
    except safetensors.SafetensorError as error:
        raise BrokenModel(f"{folder}/model.safetensors is damaged ({error}); fetch the model again") from error
    table = tensors["embeddings"].astype(np.float32)
    if "mapping" in tensors:
        table = table[tensors["mapping"]]
    if "weights" in tensors:
        table = table * tensors["weights"].astype(np.float32)[:, None]
    return np.asarray(table, np.float32)
