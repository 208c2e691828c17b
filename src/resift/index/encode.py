"""Turns passages into what an index stores of them: one vector each, and token vectors where the settings say so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np

from resift.engine.batching import FloatArray
from resift.engine.maxsim import TokenVectors
from resift.errors import InputError
from resift.index.layout import IndexSettings
from resift.index.tensors import pooled
from resift.models.inputs import LateInput
from resift.protocols import Embedder
from resift.score.defaults import DefaultModels
from resift.score.late_interaction import LateInteraction
from resift.score.load import load_embedder, load_scorer
from resift.score.pairs import whole_text
from resift.types import Document

Windows = tuple[TokenVectors, ...]


class PassageEncoder:
    """Computes vectors with an embedder and token vectors with a late-interaction model; in one pass if it gives both.

    `settings` say which models these are; only the analyzer is still open. After `resume`, the token vectors of each
    chunk are saved in a folder until the index is written, so that a run that was stopped goes on from there.
    """

    def __init__(self, settings: IndexSettings, embedder: Embedder, late: LateInteraction | None = None) -> None:
        self.settings, self.dims = settings, embedder.dims
        self._embedder, self._late, self.pool = embedder, late, settings.pool
        self._partial: Path | None = None
        self.token_dims = late.token_dims if late else 0

    def resume(self, folder: Path) -> None:
        """Save finished chunks in `folder`, and use those that an earlier run saved there."""
        if self._late:
            self._partial = folder
            folder.mkdir(exist_ok=True)

    def encode(self, documents: Sequence[Document]) -> tuple[FloatArray, list[Windows]]:
        """Vectors (n, dims), and each passage's windows (none without a late-interaction model)."""
        texts = [whole_text(d) for d in documents]
        if self._late is None:
            return self._embedder.embed(texts, "document"), []
        path = self._chunk_file(texts)
        if path and path.exists():
            return _load(path)
        encoded = self._late.all_finite(self._late.encode_documents(texts))
        if self._embedder is self._late:
            vectors = np.stack([d.pooled if len(d.pooled) else np.zeros(self.dims, np.float32) for d in encoded])
        else:
            vectors = self._embedder.embed(texts, "document")
        windows = [tuple(pooled(w, self.pool) for w in d.windows if isinstance(w, TokenVectors)) for d in encoded]
        if path:
            _save(path, vectors, windows)
        return vectors, windows

    def _chunk_file(self, texts: Sequence[str]) -> Path | None:
        if self._partial is None:
            return None
        models = (self.settings.fingerprint, self.settings.embedder_fingerprint, str(self.pool))
        key = sha256("\0".join([*models, *texts]).encode("utf-8", "surrogatepass")).hexdigest()
        return self._partial / f"{key[:32]}.npz"


def encoder_for(settings: IndexSettings, defaults: DefaultModels) -> PassageEncoder:
    """Load the models of an index and complete its settings by their fingerprints.

    Where the settings name no embedder, the passages' vectors are those of the token vectors' model; they are the
    default embedder's where that model gives none.

    Raises:
        InputError: token vectors of a model that has none.
        ModelError: a model that can't be used.

    """
    if not settings.tensors:
        embedder = load_embedder(settings.model)
        return PassageEncoder(replace(settings, fingerprint=embedder.info.fingerprint), embedder)
    scorer = load_scorer(settings.model)
    if not isinstance(scorer, LateInteraction):
        raise InputError(
            f"{settings.model} is a cross-encoder and has no token vectors to store; name a late-interaction model"
        )
    settings = replace(settings, fingerprint=scorer.info.fingerprint)
    if not settings.embedder and scorer.pools:
        return PassageEncoder(settings, scorer, scorer)
    if scorer.contract.input_as(LateInput).pooled_share:
        raise InputError(f"{settings.model} scores by its own vectors of passages, too: leave --embedder out with it")
    name = settings.embedder or defaults.embedder
    embedder = load_embedder(name)
    settings = replace(settings, embedder=name, embedder_fingerprint=embedder.info.fingerprint)
    return PassageEncoder(settings, embedder, scorer)


def _save(path: Path, vectors: FloatArray, windows: Sequence[Windows]) -> None:
    """Save a chunk; the file is there only when it is whole."""
    flat = [window for passage_windows in windows for window in passage_windows]
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez(
            file,
            vectors=vectors,
            values=np.concatenate([w.values for w in flat]) if flat else np.zeros((0, 1), np.int8),
            scales=np.concatenate([w.scales for w in flat]) if flat else np.zeros(0, np.float32),
            spans=np.concatenate([w.spans for w in flat]) if flat else np.zeros((0, 2), np.int32),
            tokens=np.array([len(w) for w in flat], dtype=np.int64),
            windows=np.array([len(passage_windows) for passage_windows in windows], dtype=np.int64),
        )
    part.replace(path)


def _load(path: Path) -> tuple[FloatArray, list[Windows]]:
    with np.load(path) as arrays:
        values, scales, spans, tokens = (arrays[name] for name in ("values", "scales", "spans", "tokens"))
        ends = np.cumsum(tokens)
        flat = [TokenVectors(values[a:b], scales[a:b], spans[a:b]) for a, b in zip(ends - tokens, ends, strict=True)]
        windows, position = [], 0
        for count in arrays["windows"].tolist():
            windows.append(tuple(flat[position : position + count]))
            position += count
        return arrays["vectors"], windows
