"""Decides whether an index has an HNSW graph over its vectors, and builds or changes the graph of a generation."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from resift.errors import InputError
from resift.index.layout import FULL, IndexSettings, Manifest
from resift.index.writer import OnProgress, PreviousGeneration
from resift.retrieve.hnsw import Ids, UnitVectors, build_hnsw, change_hnsw, has_hnsw, hindrance

EXACT = 50_000  # vectors: up to so many, comparing each takes about as long as a search along the graph
_STALE = 0.1  # share of an index that may have changed since its graph was built


def wants_graph(settings: IndexSettings, passages: int) -> bool:
    """Whether an index gets a graph: as the user chose, else by the number of passages if the engine is installed."""
    return settings.hnsw if settings.hnsw is not None else passages > EXACT and has_hnsw()


def write_graph(
    generation: Path,
    settings: IndexSettings,
    previous: PreviousGeneration | None,
    runs: Sequence[tuple[int, int]],
    on_progress: OnProgress,
) -> int | None:
    """Write the graph of a generation whose arrays are written; return how many changes it has seen since it was built.

    Args:
        generation: where `vectors.npy` and `ids.npy` lie.
        settings: of the index.
        previous: the generation before; its graph is changed rather than built anew while a tenth or less has changed.
        runs: of passages, in order: where each was in `previous` (-1: new), and its length.
        on_progress: is called once with the number of vectors, since the engine does not report progress.

    Returns None where there is to be no graph, or where nobody chose one and the disk is full; 0 where it was built.

    """
    vectors, ids = (np.load(generation / f"{name}.npy", mmap_mode="r") for name in ("vectors", "ids"))
    if not wants_graph(settings, len(ids)):
        return None
    on_progress("vectors in the graph", len(ids), 0.0)
    try:
        return _build_or_change(generation / "hnsw", previous, runs, vectors, ids)
    except OSError as error:
        if settings.hnsw or error.errno not in FULL:
            raise
        shutil.rmtree(generation / "hnsw", ignore_errors=True)  # nobody chose a graph, and the rest of the index fits
        return None


def _build_or_change(
    folder: Path, previous: PreviousGeneration | None, runs: Sequence[tuple[int, int]], vectors: UnitVectors, ids: Ids
) -> int:
    if previous and previous.manifest.unbuilt is not None and (previous.folder / "hnsw").exists():
        is_new, is_gone = np.ones(len(ids), bool), np.ones(len(previous.ids), bool)
        position = 0
        for first, count in runs:
            if first >= 0:
                is_new[position : position + count] = is_gone[first : first + count] = False
            position += count
        changes = previous.manifest.unbuilt + int(is_new.sum() + is_gone.sum())
        if changes <= _STALE * len(ids):
            gone_ids, new_vectors, new_ids = previous.ids[is_gone], vectors[is_new], ids[is_new]
            try:
                change_hnsw(previous.folder / "hnsw", folder, gone_ids, new_vectors, new_ids, len(ids))
                return changes
            except InputError:  # the old graph is damaged, and the vectors are not
                shutil.rmtree(folder)
    build_hnsw(folder, vectors, ids)
    return 0


def graph_of(generation: Path, manifest: Manifest) -> tuple[Path, Ids] | None:
    """The folder and ids of a generation's graph; None where each vector is to be compared with the query's.

    A graph that nobody chose is not used where its engine is not installed or can't work.
    """
    folder = generation / "hnsw"
    if manifest.unbuilt is None:
        return None
    if not manifest.settings.hnsw and (not has_hnsw() or (folder.exists() and hindrance(folder))):
        return None
    return folder, np.load(generation / "ids.npy", mmap_mode="r")
