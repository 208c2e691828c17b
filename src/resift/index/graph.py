"""When an index keeps an HNSW graph over its vectors, and how a new generation comes by it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from resift.index.layout import Manifest, Settings
from resift.index.writer import Old, OnProgress
from resift.retrieve.hnsw import Ids, build_hnsw, change_hnsw, has_hnsw, may_read_hnsw

EXACT = 50_000  # vectors: up to so many, a look at each takes no longer than a walk along the graph
_STALE = 0.1  # share of an index that may have changed since its graph was built


def wants_graph(settings: Settings, passages: int) -> bool:
    """Whether an index gets a graph: as was asked, else by the number of passages where the engine is installed."""
    return settings.hnsw if settings.hnsw is not None else passages > EXACT and has_hnsw()


def write_graph(
    generation: Path, settings: Settings, old: Old | None, runs: Sequence[tuple[int, int]], tell: OnProgress
) -> int | None:
    """Write the graph of a generation whose arrays are written; return how many changes it took over unbuilt.

    Args:
        generation: where `vectors.npy` and `ids.npy` lie.
        settings: of the index.
        old: the generation before; its graph is changed rather than built anew while a tenth or less has changed.
        runs: of passages, in order: where each lay before (-1: new), and its length.
        tell: hears how many vectors there are; the engine does not say how far it is.

    Returns None where no graph is wanted, 0 for one that was built.

    """
    vectors, ids = (np.load(generation / f"{name}.npy", mmap_mode="r") for name in ("vectors", "ids"))
    if not wants_graph(settings, len(ids)):
        return None
    tell("vectors in the graph", len(ids), 0.0)
    if old and old.manifest.unbuilt is not None and (old.folder / "hnsw").exists():
        new, gone = np.ones(len(ids), bool), np.ones(len(old.ids), bool)
        at = 0
        for first, count in runs:
            if first >= 0:
                new[at : at + count] = gone[first : first + count] = False
            at += count
        changes = old.manifest.unbuilt + int(new.sum() + gone.sum())
        if changes <= _STALE * len(ids):
            change_hnsw(old.folder / "hnsw", generation / "hnsw", old.ids[gone], vectors[new], ids[new])
            return changes
    build_hnsw(generation / "hnsw", vectors, ids)
    return 0


def graph_of(generation: Path, manifest: Manifest) -> tuple[Path, Ids] | None:
    """The folder and ids of a generation's graph; None where vectors are to be looked at one by one.

    A graph that nobody asked for is done without where it can't be opened.
    """
    folder = generation / "hnsw"
    demanded = manifest.settings.hnsw or (has_hnsw() and not folder.exists())  # to be named when it is damaged
    if manifest.unbuilt is None or not (demanded or may_read_hnsw(folder)):
        return None
    return folder, np.load(generation / "ids.npy", mmap_mode="r")
