"""Approximate dense retrieval: an HNSW graph (Malkov & Yashunin 2016) kept by Qdrant's embedded engine."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from resift.errors import InputError, MissingExtra
from resift.protocols import Embedder
from resift.types import Candidate, Document, Query, Ranking, Score, ScoreKind, Signal, Step, Trace

Vectors = npt.NDArray[np.float32]
Ids = npt.NDArray[np.uint64]

_SLICE = 4096  # vectors handed over at once
_LINKS, _BREADTH = 16, 128  # m and ef_construct: the graph's degree, and how widely a place for a node is sought
_OVERHEAD = 40 << 20  # bytes of disk: its files are 32 MB long and mostly holes, which tmpfs fills when they are read
_SEARCH_BREADTH = 1024  # ef: candidates followed per query, at least k
_PAGE = bytes(1 << 16)  # zeros


def has_hnsw() -> bool:
    """Whether the engine is installed (extra `qdrant`)."""
    return find_spec("qdrant_edge") is not None


def may_read_hnsw(folder: Path) -> bool:
    """Whether a graph can be opened here: its engine is installed, which writes in its files when it reads."""
    return has_hnsw() and os.access(folder, os.W_OK) and shutil.disk_usage(folder).free >= _OVERHEAD


def _engine() -> Any:  # noqa: ANN401 - names are looked up at run time: the package is an extra
    try:
        import qdrant_edge
    except ImportError as error:
        raise MissingExtra("HNSW search", "qdrant") from error
    return qdrant_edge


def build_hnsw(folder: Path, vectors: Vectors, ids: Ids) -> None:
    """Write the graph of (n, D) unit vectors, each known by its id, into a new folder; many processes may then read it.

    Raises:
        MissingExtra: qdrant-edge-py is not installed.
        OSError: the disk has not three times the room of the vectors. Looked at before, because the engine writes to
            mapped pages, where a full disk is a signal that ends the process.
        InputError: the engine failed.

    """
    edge = _engine()
    folder.mkdir()
    _demand(folder, 3 * vectors.nbytes)
    mapped = edge.Memory.Cached  # mapped and read at once: else a process reads page by page in its first queries
    config = edge.EdgeConfig(
        vectors=edge.EdgeVectorParams(size=vectors.shape[1], distance=edge.Distance.Dot, memory=mapped),
        hnsw_config=edge.HnswIndexConfig(m=_LINKS, ef_construct=_BREADTH, full_scan_threshold=1, memory=mapped),
        optimizers=edge.EdgeOptimizersConfig(default_segment_number=1, indexing_threshold=1),
        wal_enabled=False,  # the log would lock out a second reader
    )
    with _changing(edge, lambda: edge.EdgeShard.create(str(folder), config)) as shard:
        _add(edge, shard, vectors, ids)
        shard.optimize()


def change_hnsw(old: Path, folder: Path, gone: Ids, vectors: Vectors, ids: Ids) -> None:
    """Write the graph in `old` into a new folder, without what is gone and with (n, D) vectors more.

    The new ones stay outside of the graph: a search looks at each of them. An id may be both gone and new.

    Raises:
        MissingExtra, OSError, InputError: as `build_hnsw`.

    """
    edge = _engine()
    size = sum(p.stat().st_blocks * 512 for p in old.rglob("*") if p.is_file())
    _demand(folder.parent, size + 3 * vectors.nbytes)
    shutil.copytree(old, folder, copy_function=_copy)
    with _changing(edge, lambda: edge.EdgeShard.load(str(folder))) as shard:
        shard.update(edge.UpdateOperation.delete_points(gone.tolist()))
        _add(edge, shard, vectors, ids)


def _demand(folder: Path, size: int) -> None:
    if shutil.disk_usage(folder).free < size + _OVERHEAD:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _copy(source: str, target: str) -> None:
    """Copy a file and leave out its pages of zeros: the engine's files are mostly holes."""
    with open(source, "rb") as read, open(target, "wb") as write:
        while page := read.read(len(_PAGE)):
            if page == _PAGE:
                write.seek(len(page), os.SEEK_CUR)
            else:
                write.write(page)
        write.truncate(read.tell())


@contextmanager
def _changing(edge: Any, opened: Callable[[], Any]) -> Iterator[Any]:  # noqa: ANN401
    """A shard whose changes are on the disk when the block ends well."""
    try:
        shard = opened()
        yield shard
        shard.flush()
        shard.close()
    except Exception as error:  # the engine raises nothing narrower
        remedy = "index into a new folder, with --no-hnsw"
        raise InputError(f"qdrant-edge can't write the graph ({error}); {remedy}") from error


def _add(edge: Any, shard: Any, vectors: Vectors, ids: Ids) -> None:  # noqa: ANN401
    for at in range(0, len(vectors), _SLICE):
        part = zip(ids[at : at + _SLICE].tolist(), vectors[at : at + _SLICE].tolist(), strict=True)
        shard.update(edge.UpdateOperation.upsert_points([edge.Point(i, v) for i, v in part]))


class HnswRetriever:
    """Finds documents of high cosine by walking a graph: faster than a look at every vector, and now and then wrong.

    Args:
        documents: n documents.
        embedder: of the queries; the same that made the vectors.
        folder: what `build_hnsw` or `change_hnsw` wrote.
        ids: (n,) by which the graph knows the documents' vectors, in the documents' order.

    Raises:
        InputError: the graph is damaged, or is not of so many documents, or the disk is full.
        MissingExtra: qdrant-edge-py is not installed.

    """

    name = "hnsw"

    def __init__(self, documents: Sequence[Document], embedder: Embedder, folder: Path, ids: Ids) -> None:
        self._edge = _engine()
        if folder.exists() and shutil.disk_usage(folder).free < _OVERHEAD:  # its engine would be ended by a signal
            raise InputError(f"the disk that holds {folder} is full; a graph's engine needs {_OVERHEAD >> 20} MB there")
        try:
            self._shard = self._edge.EdgeShard.load(str(folder))
        except Exception as error:  # the engine raises nothing narrower
            raise InputError(f"{folder} is damaged ({error}); index again into a new folder") from error
        if (count := self._shard.count(self._edge.CountRequest())) != len(documents):
            raise InputError(f"{folder} holds {count} vectors, not {len(documents)}; index again into a new folder")
        self.documents, self.embedder = documents, embedder
        self.source = f"{self.name}:{embedder.name}"
        self._by_id = np.argsort(ids)
        self._ids = ids[self._by_id]

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
            points = self._shard.query(request)
            places = self._by_id[np.searchsorted(self._ids, np.array([p.id for p in points], np.uint64))]
            found = sorted(zip((-p.score for p in points), places.tolist(), strict=True))
            candidates = tuple(self._candidate(i, rank, -cosine) for rank, (cosine, i) in enumerate(found, 1))
            step = Step(self.name, (time.perf_counter() - began) * 1e3, scored=len(found), total=len(self.documents))
            rankings.append(Ranking(query, candidates, Trace((step,))))
        return rankings

    def _candidate(self, i: int, rank: int, cosine: float) -> Candidate:
        score = Score(cosine, ScoreKind.COSINE, self.source)
        return Candidate(self.documents[i], score, (Signal(self.source, rank, score),))
