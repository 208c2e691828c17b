"""Approximate dense retrieval: an HNSW graph (Malkov & Yashunin 2016) kept by Qdrant's embedded engine."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from resift.errors import InputError, MissingExtra
from resift.protocols import Embedder
from resift.retrieve.candidates import candidates_of, ranking_of
from resift.types import Document, Query, Ranking, ScoreKind

UnitVectors = npt.NDArray[np.float32]
Ids = npt.NDArray[np.uint64]

_SLICE = 4096  # vectors per call of the engine
_LINKS, _BREADTH = 16, 128  # m and ef_construct: links of a node, and candidates for these links
_OVERHEAD = 40 << 20  # bytes of disk: the engine's files are 32 MB of holes, which tmpfs fills when they are read
_SEARCH_BREADTH = 1024  # ef: candidates followed per query, at least k
_PAGE = bytes(1 << 16)  # zeros
_ANEW = "index again into a new folder"


def has_hnsw() -> bool:
    """Whether the engine is installed (extra `qdrant`)."""
    return find_spec("qdrant_edge") is not None


def require_hnsw() -> Any:  # noqa: ANN401 - names are looked up at run time: the package is an extra
    """The engine; raises MissingExtra."""
    try:
        import qdrant_edge
    except ImportError as error:
        raise MissingExtra("HNSW search", "qdrant") from error
    return qdrant_edge


def hindrance(folder: Path) -> str:
    """Why a graph can't be opened in its folder, or nothing: the engine writes to its files even to read them."""
    if any(not os.access(path, os.W_OK) and path.exists() for path in _paths(folder)):
        return f"{folder} may not be written, which a graph's engine does when it reads"
    if shutil.disk_usage(folder).free < _OVERHEAD:
        return f"the disk that holds {folder} is full; a graph's engine needs {_OVERHEAD >> 20} MB there"
    return ""


@contextmanager
def _saying(what: str, remedy: str = _ANEW) -> Iterator[None]:
    """Turn what the engine raises into an InputError; its panics are no Exceptions."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit, GeneratorExit, InputError):
        raise
    except BaseException as error:
        raise InputError(f"{what} ({error}); {remedy}") from error


def build_hnsw(folder: Path, vectors: UnitVectors, ids: Ids) -> None:
    """Write the graph of (n, D) unit vectors and their ids into a new folder, which many processes may read.

    Raises:
        MissingExtra: qdrant-edge-py is not installed.
        OSError: the disk has less free space than three times the vectors. This is checked first, because the engine
            writes to mapped pages: there a full disk ends the process by a signal.
        InputError: the engine failed.

    """
    edge = require_hnsw()
    folder.mkdir()
    _demand(folder, 3 * vectors.nbytes)
    mapped = edge.Memory.Cached  # mapped and read at once; the first queries of a process need not wait for pages
    config = edge.EdgeConfig(
        vectors=edge.EdgeVectorParams(size=vectors.shape[1], distance=edge.Distance.Dot, memory=mapped),
        hnsw_config=edge.HnswIndexConfig(m=_LINKS, ef_construct=_BREADTH, full_scan_threshold=1, memory=mapped),
        optimizers=edge.EdgeOptimizersConfig(default_segment_number=1, indexing_threshold=1),
        wal_enabled=False,  # the log would lock out a second reader
    )
    with _saying(f"qdrant-edge can't build the graph {folder}", "index with --no-hnsw"):
        shard = edge.EdgeShard.create(str(folder), config)
        _add(edge, shard, vectors, ids)
        shard.optimize()
        shard.flush()
        shard.close()


def change_hnsw(old: Path, folder: Path, gone: Ids, vectors: UnitVectors, ids: Ids, count: int) -> None:
    """Write the graph in `old` into a new folder, without the ids `gone` and with (n, D) more vectors.

    The new vectors stay outside of the graph: a search compares each of them. An id may be both gone and new. `count`
    is the number of vectors afterwards.

    Raises:
        MissingExtra, OSError: as `build_hnsw`.
        InputError: the old graph is damaged.

    """
    edge = require_hnsw()
    _copy(old, folder, 3 * vectors.nbytes)
    with _saying(f"{old} is damaged"):
        shard = edge.EdgeShard.load(str(folder))
        shard.update(edge.UpdateOperation.delete_points(gone.tolist()))
        _add(edge, shard, vectors, ids)
        if (graph_count := shard.count(edge.CountRequest())) != count:
            raise InputError(f"{old} is damaged: it gives {graph_count} vectors, not {count}; {_ANEW}")
        shard.flush()
        shard.close()


def _demand(folder: Path, size: int) -> None:
    if shutil.disk_usage(folder).free < size + _OVERHEAD:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _paths(folder: Path) -> Iterator[Path]:
    """The folder and everything in it, except the temporary files of engines that read it."""
    for parent, _, names in os.walk(folder):
        yield Path(parent)
        yield from (Path(parent, name) for name in names if not name.startswith("."))


def _copy(old: Path, folder: Path, more: int) -> None:
    """Copy a graph that others may be reading; the disk must have `more` bytes free afterwards."""
    for path in _paths(old):
        target = folder / path.relative_to(old)
        if path.is_dir():
            target.mkdir()
            continue
        with suppress(FileNotFoundError), path.open("rb") as source:
            _demand(folder, more + os.stat(source.fileno()).st_blocks * 512)
            _copy_file(source, target)


def _copy_file(source: BinaryIO, target: Path) -> None:
    """Copy a file without its pages of zeros: the engine's files are mostly holes."""
    with target.open("wb") as copy:
        while page := source.read(len(_PAGE)):
            if page == _PAGE:
                copy.seek(len(page), os.SEEK_CUR)
            else:
                copy.write(page)
        copy.truncate(source.tell())


def _add(edge: Any, shard: Any, vectors: UnitVectors, ids: Ids) -> None:  # noqa: ANN401
    for at in range(0, len(vectors), _SLICE):
        part = zip(ids[at : at + _SLICE].tolist(), vectors[at : at + _SLICE].tolist(), strict=True)
        shard.update(edge.UpdateOperation.upsert_points([edge.Point(i, v) for i, v in part]))


class HnswRetriever:
    """Finds documents of high cosine along a graph: faster than comparing every vector, and sometimes wrong.

    Args:
        documents: n documents.
        embedder: of the queries; the vectors are of the same embedder.
        folder: of a graph of `build_hnsw` or `change_hnsw`.
        ids: (n,) of the documents' vectors in the graph, in the order of the documents.

    Raises:
        InputError: the graph is damaged, or is not of these documents, or may not be written, or the disk is full.
        MissingExtra: qdrant-edge-py is not installed.

    """

    name = "hnsw"

    def __init__(self, documents: Sequence[Document], embedder: Embedder, folder: Path, ids: Ids) -> None:
        self._edge, self._folder = require_hnsw(), folder
        if folder.exists() and (why := hindrance(folder)):
            raise InputError(f"{why}; or index into a new folder with --no-hnsw")
        with _saying(f"{folder} is damaged"):
            self._shard = self._edge.EdgeShard.load(str(folder))
        if (count := self._shard.count(self._edge.CountRequest())) != len(documents):
            raise InputError(f"{folder} holds {count} vectors, not {len(documents)}; {_ANEW}")
        self.documents, self.embedder = documents, embedder
        self.source = f"{self.name}:{embedder.name}"
        self._by_id = np.argsort(ids)
        self._ids = ids[self._by_id]

    def retrieve(self, queries: Sequence[Query], k: int) -> list[Ranking]:
        """About the k nearest documents per query, best first; ties by the documents' order.

        Raises:
            InputError: the graph is damaged.

        """
        if not queries:
            return []
        edge, rankings = self._edge, []
        vectors = self.embedder.embed([q.text for q in queries], "query")
        for query, vector in zip(queries, vectors, strict=True):
            began = time.perf_counter()
            request = edge.QueryRequest(
                limit=k,
                query=edge.Query.Nearest(vector.tolist()),
                params=edge.SearchParams(hnsw_ef=max(k, _SEARCH_BREADTH)),
            )
            with _saying(f"{self._folder} is damaged"):
                points = self._shard.query(request)
            places = self._rows(np.array([p.id for p in points], np.uint64))
            hits = sorted(zip((-p.score for p in points), places.tolist(), strict=True))
            pairs = ((self.documents[i], -cosine) for cosine, i in hits)
            candidates = candidates_of(pairs, ScoreKind.COSINE, self.source)
            ms = (time.perf_counter() - began) * 1e3
            rankings.append(ranking_of(query, candidates, self.name, ms, len(self.documents)))
        return rankings

    def _rows(self, ids: Ids) -> npt.NDArray[np.int64]:
        """The positions of the documents with these ids."""
        at = np.minimum(np.searchsorted(self._ids, ids), len(self._ids) - 1)
        if (self._ids[at] != ids).any():
            raise InputError(f"{self._folder} is damaged: it is of other vectors; {_ANEW}")
        return self._by_id[at]
