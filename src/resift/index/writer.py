"""Appends passages, new ones and those of the generation before, to the files of a generation."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from resift.index.arrays import GrowingArray, save
from resift.index.encode import PassageEncoder
from resift.index.layout import IndexSettings, read_manifest
from resift.index.passages import Passages, id_hash, line_of
from resift.index.tensors import Tensors, TensorWriter
from resift.retrieve.bm25 import Terms, empty_matrix, postings
from resift.text.analysis import Analyzer, sample
from resift.types import Document

OnProgress = Callable[[str, int, float], None]

CHUNK = 2048  # passages that are encoded together
_TOLD = 128  # passages whose token vectors are made before it is told how far they are


@dataclass(frozen=True, slots=True)
class IndexedFile:
    """A file as it was read: its size, time and hash, and the passages that it gave (first, count)."""

    path: str
    size: int
    mtime_ns: int
    sha256: str
    first: int = 0
    count: int = 0


class PreviousGeneration:
    """The generation before: where its files' passages lie, and their parts of every array."""

    def __init__(self, generation: Path) -> None:
        self.folder, self.manifest = generation, read_manifest(generation)
        with (generation / "files.jsonl").open(encoding="utf-8") as lines:
            self.files = {f.path: f for f in (IndexedFile(**json.loads(line)) for line in lines)}
        self.passages = Passages(generation)
        self.ids = np.load(generation / "ids.npy", mmap_mode="r")
        self.vectors = np.load(generation / "vectors.npy", mmap_mode="r")
        self.terms, self.terms_at = (np.load(generation / f"{n}.npy", mmap_mode="r") for n in ("terms", "terms_at"))
        self.vocabulary: dict[str, int] = json.loads((generation / "vocabulary.json").read_text("utf-8"))
        settings = self.manifest.settings
        self.tensors = Tensors(generation, settings.fingerprint) if settings.tensors else None

    def serves(self, settings: IndexSettings) -> bool:
        """Whether what lies here can be taken over into an index of these settings."""
        own = self.manifest.settings  # the analyzer, fitted to the first passages, is kept; vectors need no graph
        return own == replace(settings, analyzer=own.analyzer, hnsw=own.hnsw)


class Writer:
    """Appends passages, new or taken over, to the files of a generation."""

    def __init__(
        self,
        generation: Path,
        encoder: PassageEncoder,
        old: PreviousGeneration | None,
        files_: ExitStack,
        tell: OnProgress,
    ) -> None:
        self.generation, self.encoder, self.old = generation, encoder, old
        self.count = 0
        self._tell, self._share, self._most, self._unencoded = tell, 0.0, 0.0, 0
        self._waiting: list[Document] = []
        self._run = (0, 0)  # first and count of old passages that are still to be copied
        self.runs: list[tuple[int, int]] = []  # of each run of passages: where it lay before (-1: new), its length
        self._lines = files_.enter_context((generation / "passages.jsonl").open("wb"))
        self._starts = files_.enter_context(GrowingArray(generation / "passages_at.npy", np.int64))
        self._starts.append([0])
        self._end = 0
        self._ids = files_.enter_context(GrowingArray(generation / "ids.npy", np.uint64))
        self._vectors = files_.enter_context(GrowingArray(generation / "vectors.npy", np.float32, (encoder.dims,)))
        self._tensors = TensorWriter(generation, encoder.token_dims, files_) if encoder.token_dims else None

    def tell(self, share: float) -> None:
        """Say how many passages are encoded, and their share of the whole where this share of the files (0..1) is read.

        The share does not go back where a file has more passages than its size let expect.
        """
        done = self.count - len(self._waiting) - self._unencoded
        self._share = share
        self._most = max(self._most, share * done / max(1, self.count))
        self._tell("passages", done, self._most)

    def take_over(self, first: int, count: int) -> None:
        """Copy passages of the old generation; those of files that lay side by side in one piece."""
        self._flush()
        begin, length = self._run
        if begin + length != first:
            self._copy()
            begin, length = first, 0
        self._run = (begin, length + count)
        self.count += count

    def add(self, documents: Sequence[Document]) -> None:
        """Take new passages; they are encoded when a chunk of them, of whatever files, has come together."""
        self._copy()
        self._waiting += documents
        self.count += len(documents)
        if len(self._waiting) >= CHUNK:
            self._flush()

    def _copy(self) -> None:
        (first, count), self._run = self._run, (0, 0)
        if not count:
            return
        assert self.old is not None
        old = self.old
        self.runs.append((first, count))
        for begin in range(first, first + count, CHUNK):
            n = min(CHUNK, first + count - begin)
            lines, ends = old.passages.lines(begin, n)
            self._lines.write(lines)
            self._starts.append(ends + self._end)
            self._end += len(lines)
            self._vectors.append(old.vectors[begin : begin + n])
            self._ids.append(old.ids[begin : begin + n])
            if self._tensors and old.tensors:
                self._tensors.take_over(old.tensors, begin, n)

    def _flush(self) -> None:
        documents, self._waiting = self._waiting, []
        if not documents:
            return
        lines = [line_of(d) for d in documents]
        self._lines.writelines(lines)
        ends = self._end + np.cumsum([len(line) for line in lines])
        self._starts.append(ends)
        self._end = int(ends[-1])
        self._unencoded, size = len(documents), _TOLD if self._tensors else len(documents)
        for at in range(0, len(documents), size):
            vectors, windows = self.encoder.encode(documents[at : at + size])
            self._vectors.append(vectors)
            if self._tensors:
                for own in windows:
                    self._tensors.add(own)
            self._unencoded -= len(vectors)
            self.tell(self._share)
        self._ids.append(np.array([id_hash(d.id) for d in documents], dtype=np.uint64))
        self.runs.append((-1, len(documents)))

    def close(self) -> str:
        """Write the arrays, the terms and the BM25 matrix; returns the analyzer's signature."""
        self._copy()
        self._flush()
        self._lines.close()
        for array in (self._starts, self._ids, self._vectors):
            array.close()
        if self._tensors:
            self._tensors.close()
        return self._write_terms()

    def _write_terms(self) -> str:
        """Terms come last: a new index's analyzer is fitted to a sample of all its passages."""
        passages, old, folder = Passages(self.generation), self.old, self.generation
        if old:
            analyzer, vocabulary = Analyzer.from_signature(old.manifest.settings.analyzer), old.vocabulary
        else:
            analyzer = Analyzer.fitting(f"{d.title} {d.text}" for d in (passages[i] for i in sample(self.count)))
            vocabulary = dict[str, int]()
        at = 0
        with (
            GrowingArray(folder / "terms.npy", np.uint32) as every,
            GrowingArray(folder / "terms_at.npy", np.int64) as ends,
        ):
            ends.append([0])
            for first, count in self.runs:
                if old and first >= 0:
                    bounds = old.terms_at[first : first + count + 1]
                    ids = old.terms[int(bounds[0]) : int(bounds[-1])]
                else:
                    terms = Terms.read(analyzer, (passages[i] for i in range(at, at + count)), vocabulary)
                    bounds, ids = terms.offsets, terms.ids
                ends.append(bounds[1:] - bounds[0] + every.rows)
                every.append(ids)
                at += count
                self._tell("passages' words", at, at / self.count)
            every.close()
            ends.close()
        (folder / "vocabulary.json").write_text(json.dumps(vocabulary), "utf-8")
        ids, offsets = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("terms", "terms_at"))
        self._write_matrix(Terms(ids, offsets, vocabulary))
        return analyzer.signature

    def _write_matrix(self, terms: Terms) -> None:
        """Write the matrix piece by piece into the files that bm25s reads."""
        if not len(terms.ids):
            return
        folder = self.generation / "bm25"
        empty_matrix(self.count).save(folder, show_progress=False)
        starts, end, done = [np.zeros(1, np.int64)], 0, 0
        values, documents = (folder / f"{name}.csc.index.npy" for name in ("data", "indices"))
        with GrowingArray(values, np.float32) as data, GrowingArray(documents, np.int32) as indices:
            for part in postings(terms):
                data.append(part.values)
                indices.append(part.documents)
                starts.append(end + np.cumsum(part.counts))
                end += len(part.values)
                done += part.occurrences
                self._tell("words listed", done, done / len(terms.ids))
            data.close()
            indices.close()
        save(folder / "indptr.csc.index.npy", np.concatenate(starts))
