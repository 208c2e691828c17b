"""First-stage embedders: one encoder pass gives one vector of length 1 for a text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from resift.engine.batching import Engine, FloatArray, Sequences, pack
from resift.engine.once import OfOneProcess
from resift.errors import NonFiniteScore
from resift.models.contract import Contract
from resift.models.folder import ModelFolder
from resift.models.inputs import EmbedderInput
from resift.models.tokenizer import Tokens
from resift.protocols import Embedder, Role
from resift.score.options import LoadOptions
from resift.score.parts import open_parts
from resift.text.clean import clean
from resift.text.segment import joined
from resift.types import ModelInfo


@runtime_checkable
class ModelEmbedder(Embedder, Protocol):
    """An embedder that was loaded from a model folder."""

    @property
    def info(self) -> ModelInfo:
        """Name, fingerprint and languages of the model."""

    @property
    def contract(self) -> Contract:
        """What the model's folder says of it."""


class TextEmbedder(OfOneProcess):
    """Embeds texts as the contract's `EmbedderInput` says; one over the window is cut at its end.

    The model's output is one vector (B, D) for each input, of any length.
    """

    def __init__(self, contract: Contract, tokens: Tokens, engine: Engine, pad: int, fingerprint: str = "") -> None:
        self.name, self.contract = contract.name, contract
        self.info = contract.info(fingerprint, f"{engine.name} {engine.precision}", "truncate")
        self.tokens, self._engine, self._pad = tokens, engine, pad
        self._dims = 0

    @property
    def dims(self) -> int:
        """How many numbers a vector has."""
        self._dims = self._dims or self.embed(["a"], "query").shape[1]
        return self._dims

    def embed(self, texts: Sequence[str], role: Role) -> FloatArray:
        """Return (n, dims) f32 of length 1; zeros for a text without any token, prefix not counted.

        Raises:
            MissingExtra: the contract names a word segmenter that is not installed.
            NonFiniteScore: the model gave NaN or infinity.

        """
        inputs = self.inputs(texts, role)
        filled = [i for i, ids in enumerate(inputs) if ids]
        out: FloatArray | None = None
        for batch, (vectors,) in self._engine.run(pack(Sequences([inputs[i] for i in filled]), self._pad)):
            out = np.zeros((len(inputs), vectors.shape[1]), np.float32) if out is None else out
            out[[filled[r] for r in batch.rows]] = vectors
        if out is None:
            return np.zeros((len(inputs), self.dims), np.float32)
        if not np.isfinite(out).all():
            raise NonFiniteScore(
                f"{self.name} gave a vector that is not finite: its weights are damaged, or f32 is needed"
            )
        out /= np.maximum(np.linalg.norm(out, axis=1, keepdims=True), np.float32(1e-12))
        return out

    def inputs(self, texts: Sequence[str], role: Role) -> list[list[int]]:
        """Token ids of each text with prefix and special tokens, cut to the window; none where there is no token."""
        rules = self.contract.input_as(EmbedderInput)
        prefix = rules.query_prefix if role == "query" else rules.document_prefix
        cleaned = [clean(t) for t in texts]
        if rules.segmenter:
            cleaned = [joined(t, rules.segmenter) for t in cleaned]
        first, last = self.tokens.single
        room = self.contract.max_tokens - len(first) - len(last)
        inputs = []
        for before, encoded in self.tokens.behind(prefix, cleaned, self.contract.max_tokens):
            ids = [*before, *encoded.ids][:room]
            inputs.append([*first, *ids, *last] if encoded.ids else [])
        return inputs


def open_embedder(folder: ModelFolder, contract: Contract, options: LoadOptions) -> TextEmbedder:
    """The embedder of a folder; for errors see `score.load.load_embedder`."""
    parts = open_parts(folder, contract, options)
    return TextEmbedder(contract, parts.tokens, parts.engine, parts.pad, folder.fingerprint)
