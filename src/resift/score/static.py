"""Static token vectors (Model2Vec): a text is the mean of its tokens' vectors; no network is run.

Folder: vectors.npy (V, D) int8, scales.npy (V,) f32, tokenizer.json, contract.json with family "static".
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from resift.errors import BrokenModel
from resift.protocols import Role
from resift.score.tokens import check_json
from resift.text.clean import clean

_SLICE = 4096  # texts tokenised at once: bounds memory


class StaticEmbedder:
    """Embeds texts by table look-up; queries and documents alike."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        try:
            check_json(folder / "tokenizer.json")
            values, scales = np.load(folder / "vectors.npy"), np.load(folder / "scales.npy")
            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        except (OSError, ValueError) as error:
            raise BrokenModel(f"{folder} is no static model ({error}); fetch it again") from error
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._tokenizer.encode_special_tokens = True
        self._table: npt.NDArray[np.float32] = values.astype(np.float32) * scales[:, None]
        self.dims = self._table.shape[1]

    def embed(self, texts: Sequence[str], role: Role) -> npt.NDArray[np.float32]:
        """Return (n, dims) unit vectors; zeros for a text without a known token."""
        out = np.zeros((len(texts), self.dims), dtype=np.float32)
        for start in range(0, len(texts), _SLICE):
            part = [clean(t) for t in texts[start : start + _SLICE]]
            encoded = self._tokenizer.encode_batch_fast(part, add_special_tokens=False)
            for i, e in enumerate(encoded, start):
                if e.ids:
                    out[i] = self._table[e.ids].sum(axis=0)
        out /= np.maximum(np.linalg.norm(out, axis=1, keepdims=True), np.float32(1e-12))
        return out
