"""When an index keeps an HNSW graph over its vectors, and how a new generation comes by it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from resift.errors import InputError
from resift.index.layout import FULL, IndexSettings, Manifest
from resift.index.writer import OnProgress, PreviousGeneration
from resift.retrieve.hnsw import Ids, Vectors, build_hnsw, change_hnsw, has_hnsw, hindrance

EXACT = 50_000  # vectors: up to so many, a look at each takes about as long as a walk along the graph
_STALE = 0.1  # share of an index that may have changed since its graph was built


def wants_graph(settings: IndexSettings, passages: int) -> bool:
    """Whether an index gets a graph: as was asked, else by the number of passages where the engine is installed."""
    return settings.hnsw if settings.hnsw is not None else passages > EXACT and has_hnsw()


def write_graph(
    generation: Path,
    settings: IndexSettings,
    old: PreviousGeneration | None,
    runs: Sequence[tuple[int, int]],
    tell: OnProgress,
) -> int | None:
    """Write the graph of a generation whose arrays are written; return how many changes it took over unbuilt.

    Args:
        generation: where `vectors.npy` and `ids.npy` lie.
        settings: of the index.
        old: the generation before; its graph is changed rather than built anew while a tenth or less has changed.
        runs: of passages, in order: where each lay before (-1: new), and its length.
        tell: hears how many vectors there are; the engine does not say how far it is.

    Returns None where no graph is wanted, or nobody asked for one and the disk has no room; 0 for one that was built.

    """
    vectors, ids = (np.load(generation / f"{name}.npy", mmap_mode="r") for name in ("vectors", "ids"))
    if not wants_graph(settings, len(ids)):
        return None
    tell("vectors in the graph", len(ids), 0.0)
    try:
        return _written(generation / "hnsw", old, runs, vectors, ids)
    except OSError as error:
        if settings.hnsw or error.errno not in FULL:
            raise
        shutil.rmtree(generation / "hnsw", ignore_errors=True)  # nobody asked for it, and all else has room
        return None


def _written(
    folder: Path, old: PreviousGeneration | None, runs: Sequence[tuple[int, int]], vectors: Vectors, ids: Ids
) -> int:
    if old and old.manifest.unbuilt is not None and (old.folder / "hnsw").exists():
        new, gone = np.ones(len(ids), bool), np.ones(len(old.ids), bool)
        at = 0
        for first, count in runs:
            if first >= 0:
                new[at : at + count] = gone[first : first + count] = False
            at += count
        changes = old.manifest.unbuilt + int(new.sum() + gone.sum())
        if changes <= _STALE * len(ids):
            try:
                change_hnsw(old.folder / "hnsw", folder, old.ids[gone], vectors[new], ids[new], len(ids))
                return changes
            except InputError:  # the old one is damaged, and the vectors are not
                shutil.rmtree(folder)
    build_hnsw(folder, vectors, ids)
    return 0


def graph_of(generation: Path, manifest: Manifest) -> tuple[Path, Ids] | None:
    """The folder and ids of a generation's graph; None where vectors are to be looked at one by one.

    A graph that nobody asked for is left aside where its engine is not installed or can't work.
    """
    folder = generation / "hnsw"
    if manifest.unbuilt is None:
        return None
    if not manifest.settings.hnsw and (not has_hnsw() or (folder.exists() and hindrance(folder))):
        return None
    return folder, np.load(generation / "ids.npy", mmap_mode="r")
