"""Opens an index on disk and loads the models that its settings name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from resift.errors import InputError, ModelError
from resift.index.first_stage import first_stage
from resift.index.graph import graph_of
from resift.index.layout import current, read_manifest
from resift.index.passages import Passages
from resift.index.tensors import Tensors
from resift.retrieve.bm25 import BM25Retriever
from resift.retrieve.fuse import Hybrid
from resift.score.load import find_model, fingerprint, load_embedder
from resift.text.analysis import Analyzer


def open_index(folder: Path) -> tuple[Passages, Hybrid, Tensors | None]:
    """Passages, the fused retriever over them, and stored token vectors where there are any.

    Raises:
        InputError: the folder is no index, is damaged or of another format, or was made with a model that isn't here.

    """
    while True:
        generation = current(folder)
        try:
            return _open(folder, generation)
        except (InputError, OSError) as error:
            if current(folder) != generation:
                continue  # a newer generation took its place meanwhile
            if isinstance(error, InputError):
                raise
            raise InputError(f"{folder} is damaged ({error}); index again into a new folder") from error


def _open(folder: Path, generation: Path) -> tuple[Passages, Hybrid, Tensors | None]:
    manifest = read_manifest(generation)
    settings = manifest.settings
    names = [name for name in (settings.model, settings.embedder) if name]
    try:
        embedder = load_embedder(settings.embedder or settings.model)
        fingerprints = {names[-1]: embedder.info.fingerprint}
        fingerprints |= {name: fingerprint(find_model(name)) for name in names[:-1] if name not in fingerprints}
        passages = Passages(generation)
        analyzer = Analyzer.from_signature(settings.analyzer)
        lexical = BM25Retriever(passages, analyzer, _matrix(generation), settings.k1, settings.b)
        retriever = first_stage(lexical, embedder, _vectors(generation), graph_of(generation, manifest))
    except ModelError as error:
        raise InputError(f"{folder} was made with {' and '.join(names)}, which can't be loaded: {error}") from error
    for name, made_by in zip(names, (settings.fingerprint, settings.embedder_fingerprint), strict=False):
        if fingerprints[name] != made_by:
            raise InputError(f"{folder} was made with another version of {name}; index again into a new folder")
    tensors = Tensors(generation, settings.fingerprint, _vectors(generation)) if settings.tensors else None
    return passages, retriever, tensors


def _matrix(generation: Path) -> Any:  # noqa: ANN401 - bm25s ships no types
    """The BM25 matrix, memory-mapped; None for an index without any word."""
    if not (generation / "bm25").exists():
        return None
    import bm25s

    index = bm25s.BM25.load(generation / "bm25", mmap=True, load_vocab=False, show_progress=False)
    index.vocab_dict = json.loads((generation / "vocabulary.json").read_text("utf-8"))
    return index


def _vectors(generation: Path) -> npt.NDArray[np.float32]:
    vectors: npt.NDArray[np.float32] = np.load(generation / "vectors.npy", mmap_mode="r")
    return vectors
