"""Approximate dense retrieval: an HNSW graph (Malkov & Yashunin 2016) kept by Qdrant's embedded engine."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from resift.errors import InputError, MissingExtra
from resift.protocols import Embedder
from resift.types import Candidate, Document, Query, Ranking, Score, ScoreKind, Signal, Step, Trace

_SLICE = 4096  # vectors handed over at once
_LINKS, _BREADTH = 16, 128  # m and ef_construct: the graph's degree, and how widely a place for a node is sought
_OVERHEAD = 8 << 20  # bytes that the engine takes for no vectors at all
_SEARCH_BREADTH = 1024  # ef: candidates followed per query, at least k


def _engine() -> Any:  # noqa: ANN401 - names are looked up at run time: the package is an extra
    try:
        import qdrant_edge
    except ImportError as error:
        raise MissingExtra("HNSW search", "qdrant") from error
    return qdrant_edge


def build_hnsw(folder: Path, vectors: npt.NDArray[np.float32]) -> None:
    """Write the graph of (n, D) unit vectors into a new folder; many processes may then read it.

    Raises:
        MissingExtra: qdrant-edge-py is not installed.
        OSError: the disk has not three times the room of the vectors. Looked at before, because the engine writes to
            mapped pages, where a full disk is a signal that ends the process.
        InputError: the engine failed.

    """
    edge = _engine()
    folder.mkdir()
    if shutil.disk_usage(folder).free < 3 * vectors.nbytes + _OVERHEAD:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    try:
        _fill(edge, folder, vectors)
    except Exception as error:  # the engine raises nothing narrower
        raise InputError(f"qdrant-edge can't build the graph ({error}); index into a new folder without it") from error


def _fill(edge: Any, folder: Path, vectors: npt.NDArray[np.float32]) -> None:  # noqa: ANN401
    config = edge.EdgeConfig(
        vectors=edge.EdgeVectorParams(size=vectors.shape[1], distance=edge.Distance.Dot, on_disk=True),
        hnsw_config=edge.HnswIndexConfig(m=_LINKS, ef_construct=_BREADTH, full_scan_threshold=1, on_disk=True),
        optimizers=edge.EdgeOptimizersConfig(default_segment_number=1, indexing_threshold=1),
        wal_enabled=False,  # the log would lock out a second reader
    )
    shard = edge.EdgeShard.create(str(folder), config)
    for at in range(0, len(vectors), _SLICE):
        points = [edge.Point(at + i, v) for i, v in enumerate(vectors[at : at + _SLICE].tolist())]
        shard.update(edge.UpdateOperation.upsert_points(points))
    shard.optimize()
    shard.flush()
    shard.close()


class HnswRetriever:
    """Finds documents of high cosine by walking a graph: faster than a look at every vector, and now and then wrong.

    Args:
        documents: n documents, in the order of the graph's vectors.
        embedder: of the queries; the same that made the vectors.
        folder: what `build_hnsw` wrote.

    Raises:
        InputError: the graph is damaged, or is not of so many documents.
        MissingExtra: qdrant-edge-py is not installed.

    """

    name = "hnsw"

    def __init__(self, documents: Sequence[Document], embedder: Embedder, folder: Path) -> None:
        self._edge = _engine()
        try:
            self._shard = self._edge.EdgeShard.load(str(folder))
        except Exception as error:  # the engine raises nothing narrower
            raise InputError(f"{folder} is damaged ({error}); index again into a new folder") from error
        if (count := self._shard.count(self._edge.CountRequest())) != len(documents):
            raise InputError(f"{folder} holds {count} vectors, not {len(documents)}; index again into a new folder")
        self.documents, self.embedder = documents, embedder
        self.source = f"{self.name}:{embedder.name}"

    def retrieve(self, queries: Sequence[Query], k: int) -> list[Ranking]:
        """About the k nearest documents per query, best first; ties by the documents' order."""
        if not queries:
            return []
        edge, rankings = self._edge, []
        asked = self.embedder.embed([q.text for q in queries], "query")
        for query, vector in zip(queries, asked, strict=True):
            began = time.perf_counter()
            request = edge.QueryRequest(
                limit=k,
                query=edge.Query.Nearest(vector.tolist()),
                params=edge.SearchParams(hnsw_ef=max(k, _SEARCH_BREADTH)),
            )
            found = sorted((-p.score, p.id) for p in self._shard.query(request))
            candidates = tuple(self._candidate(i, rank, -cosine) for rank, (cosine, i) in enumerate(found, 1))
            step = Step(self.name, (time.perf_counter() - began) * 1e3, scored=len(found), total=len(self.documents))
            rankings.append(Ranking(query, candidates, Trace((step,))))
        return rankings

    def _candidate(self, i: int, rank: int, cosine: float) -> Candidate:
        score = Score(cosine, ScoreKind.COSINE, self.source)
        return Candidate(self.documents[i], score, (Signal(self.source, rank, score),))
