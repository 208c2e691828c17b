"""Opens what `build` wrote, with the models that it names."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from resift.errors import InputError, ModelError
from resift.index.encode import Encoder
from resift.index.first_stage import first_stage
from resift.index.graph import graph_of
from resift.index.layout import Settings, current, read_manifest
from resift.index.passages import Passages
from resift.index.tensors import Tensors
from resift.models.inputs import LateInput
from resift.retrieve.bm25 import BM25Retriever
from resift.retrieve.fuse import Hybrid
from resift.score.late_interaction import LateInteraction
from resift.score.load import find_model, fingerprint, load_embedder, load_scorer, recognise_reranker
from resift.text.analysis import Analyzer


def open_index(folder: Path) -> tuple[Passages, Hybrid, Tensors | None]:
    """Passages, the fused retriever over them, and stored token vectors where there are any.

    Raises:
        InputError: not an index, damaged, of another format, or made with a model that isn't here.

    """
    while True:
        generation = current(folder)
        try:
            return _open(folder, generation)
        except (InputError, OSError) as error:
            if current(folder) != generation:
                continue  # a newer one took its place meanwhile
            if isinstance(error, InputError):
                raise
            raise InputError(f"{folder} is damaged ({error}); index again into a new folder") from error


def _open(folder: Path, generation: Path) -> tuple[Passages, Hybrid, Tensors | None]:
    manifest = read_manifest(generation)
    settings = manifest.settings
    try:
        models = [(settings.model, settings.fingerprint), (settings.embedder, settings.embedder_fingerprint)]
        changed = [name for name, made_by in models if name and fingerprint(find_model(name)) != made_by]
        passages = Passages(generation)
        lexical = BM25Retriever(passages, Analyzer.from_signature(settings.analyzer), _matrix(generation))
        retriever = first_stage(
            lexical,
            settings.embedder or settings.model,
            _vectors(generation),
            graph_of(generation, manifest),
        )
    except ModelError as error:
        made_with = " and ".join(name for name, _ in models if name)
        raise InputError(f"{folder} was made with {made_with}, which can't be loaded: {error}") from error
    if changed:
        raise InputError(f"{folder} was made with another version of {changed[0]}; index again into a new folder")
    tensors = Tensors(generation, settings.fingerprint) if settings.tensors else None
    return passages, retriever, tensors


def _matrix(generation: Path) -> Any:  # noqa: ANN401 - bm25s ships no types
    if not (generation / "bm25").exists():
        return None
    import bm25s

    index = bm25s.BM25.load(generation / "bm25", mmap=True, load_vocab=False, show_progress=False)
    index.vocab_dict = json.loads((generation / "vocabulary.json").read_text("utf-8"))
    return index


def _vectors(generation: Path) -> npt.NDArray[np.float32]:
    vectors: npt.NDArray[np.float32] = np.load(generation / "vectors.npy", mmap_mode="r")
    return vectors


def named_settings(
    before: Settings | None,
    defaults: tuple[str, str],
    *,
    model: str | None,
    embedder: str | None,
    tensors: bool | None,
    pool: int | None,
    hnsw: bool | None,
) -> Settings:
    """What is named, and for the rest (None) what the index has, or in a new one the defaults; without fingerprints.

    Args:
        before: the index's settings; None for a new one.
        defaults: the model of token vectors and the embedder.
        model: makes token vectors; with `tensors`.
        embedder: makes the passages' vectors; empty for `model`'s own.
        tensors: whether token vectors are stored.
        pool: how many neighbouring tokens share a vector.
        hnsw: whether a graph over the vectors is kept; None for one above 50,000 where its engine is installed.

    Raises:
        InputError: the pooling is not 1, 2 or 3, or a model or pooling of token vectors that are not stored is named.

    """
    late, usual = defaults
    had = before is not None and before.tensors
    stores = had if tensors is None else tensors
    if pool not in (None, 1, 2, 3):
        raise InputError(f"tokens are pooled by 1, 2 or 3; not {pool}")
    if not stores and (model or (pool or 1) > 1):
        raise InputError(
            "a model and pooling are about stored token vectors: add --tensors (tensors=True), or name none"
        )
    maker = "" if before is None else before.embedder or ("" if had else before.model)  # named once, or `usual`
    if not stores:
        return Settings("", embedder or maker or usual, "", False, 1, hnsw=hnsw)
    name = model or (before.model if before and had else late)
    same = before is not None and had and before.model == name
    pool = pool or (before.pool if before and had else 1)
    if embedder is None and (same or maker not in ("", usual)):
        embedder = maker
    elif embedder is None:
        record = recognise_reranker(name)[1].input
        embedder = "" if isinstance(record, LateInput) and record.pooled else usual
    return Settings("", name, "", True, pool, embedder, hnsw=hnsw)


def encoder_for(named: Settings) -> Encoder:
    """The encoder of an index of these settings, which it completes by its models' fingerprints.

    Raises:
        InputError: token vectors are asked of a model that has none.

    """
    model, embedder = named.model, named.embedder
    settings = replace(named, fingerprint=fingerprint(find_model(model)))
    if not named.tensors:
        return Encoder(settings, load_embedder(model))
    scorer = load_scorer(model)
    if not isinstance(scorer, LateInteraction):
        raise InputError(f"{model} is a cross-encoder and has no token vectors to store; name a late-interaction model")
    if not embedder:
        return Encoder(settings, scorer, scorer)
    made_by = fingerprint(find_model(embedder))
    return Encoder(replace(settings, embedder_fingerprint=made_by), load_embedder(embedder), scorer)
