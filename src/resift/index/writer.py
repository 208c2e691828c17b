"""Appends passages, new ones and copies of the previous generation's, to the files of a new generation."""

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
_REPORT_EVERY = 128  # passages whose token vectors are computed between two reports of progress


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
    """The generation that readers have now: its files, where their passages are, and its arrays."""

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
        self.tensors = Tensors(generation, settings.fingerprint, self.vectors) if settings.tensors else None

    def serves(self, settings: IndexSettings) -> bool:
        """Whether its passages can be copied into an index of these settings.

        The analyzer does not count: it stays as it was fitted to the first passages. Nor do the graph and BM25's
        parameters, since neither vectors nor terms depend on them.
        """
        before = self.manifest.settings
        return before == replace(settings, analyzer=before.analyzer, hnsw=before.hnsw, k1=before.k1, b=before.b)

    def is_as(self, settings: IndexSettings) -> bool:
        """Whether nothing of it depends on a setting that is another now."""
        return self.manifest.settings == replace(settings, analyzer=self.manifest.settings.analyzer)


class Writer:
    """Appends passages, new or taken over, to the files of a generation."""

    def __init__(
        self,
        generation: Path,
        encoder: PassageEncoder,
        previous: PreviousGeneration | None,
        open_files: ExitStack,
        on_progress: OnProgress,
    ) -> None:
        self.generation, self.encoder, self.previous = generation, encoder, previous
        self.count = 0
        self._on_progress, self._file_share, self._share, self._unencoded = on_progress, 0.0, 0.0, 0
        self._waiting: list[Document] = []
        self._run = (0, 0)  # first and count of passages of the previous generation that are still to be copied
        self.runs: list[tuple[int, int]] = []  # (where it was in the previous generation, -1: new; length)
        self._lines = open_files.enter_context((generation / "passages.jsonl").open("wb"))
        self._starts = open_files.enter_context(GrowingArray(generation / "passages_at.npy", np.int64))
        self._starts.append([0])
        self._end = 0
        self._ids = open_files.enter_context(GrowingArray(generation / "ids.npy", np.uint64))
        self._vectors = open_files.enter_context(GrowingArray(generation / "vectors.npy", np.float32, (encoder.dims,)))
        self._tensors = TensorWriter(generation, encoder.token_dims, open_files) if encoder.token_dims else None

    def report(self, file_share: float) -> None:
        """Report how many passages are encoded, when this share (0..1) of the files' bytes is read.

        The share of the whole that follows from it never falls: where a file has more passages than its size let
        expect, it stays.
        """
        encoded = self.count - len(self._waiting) - self._unencoded
        self._file_share = file_share
        self._share = max(self._share, file_share * encoded / max(1, self.count))
        self._on_progress("passages", encoded, self._share)

    def take_over(self, first: int, count: int) -> None:
        """Copy passages of the previous generation; neighbouring files are copied as one run."""
        self._flush()
        begin, length = self._run
        if begin + length != first:
            self._copy()
            begin, length = first, 0
        self._run = (begin, length + count)
        self.count += count

    def add(self, documents: Sequence[Document]) -> None:
        """Take new passages, which are encoded when there are 2,048 of them, from one file or many."""
        self._copy()
        self._waiting += documents
        self.count += len(documents)
        if len(self._waiting) >= CHUNK:
            self._flush()

    def _copy(self) -> None:
        (first, count), self._run = self._run, (0, 0)
        if not count:
            return
        assert self.previous is not None
        previous = self.previous
        self.runs.append((first, count))
        for begin in range(first, first + count, CHUNK):
            n = min(CHUNK, first + count - begin)
            lines, ends = previous.passages.lines(begin, n)
            self._lines.write(lines)
            self._starts.append(ends + self._end)
            self._end += len(lines)
            self._vectors.append(previous.vectors[begin : begin + n])
            self._ids.append(previous.ids[begin : begin + n])
            if self._tensors and previous.tensors:
                self._tensors.take_over(previous.tensors, begin, n)

    def _flush(self) -> None:
        documents, self._waiting = self._waiting, []
        if not documents:
            return
        lines = [line_of(d) for d in documents]
        self._lines.writelines(lines)
        ends = self._end + np.cumsum([len(line) for line in lines])
        self._starts.append(ends)
        self._end = int(ends[-1])
        self._unencoded, size = len(documents), _REPORT_EVERY if self._tensors else len(documents)
        for at in range(0, len(documents), size):
            vectors, windows = self.encoder.encode(documents[at : at + size])
            self._vectors.append(vectors)
            if self._tensors:
                for passage_windows in windows:
                    self._tensors.add(passage_windows)
            self._unencoded -= len(vectors)
            self.report(self._file_share)
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
        """Write the terms, which come last: a new index's analyzer is fitted to a sample of all its passages."""
        passages, previous, folder = Passages(self.generation), self.previous, self.generation
        if previous:
            analyzer, vocabulary = Analyzer.from_signature(previous.manifest.settings.analyzer), previous.vocabulary
        else:
            analyzer = Analyzer.fitting(f"{d.title} {d.text}" for d in (passages[i] for i in sample(self.count)))
            vocabulary = dict[str, int]()
        at = 0
        with (
            GrowingArray(folder / "terms.npy", np.uint32) as all_terms,
            GrowingArray(folder / "terms_at.npy", np.int64) as ends,
        ):
            ends.append([0])
            for first, count in self.runs:
                if previous and first >= 0:
                    bounds = previous.terms_at[first : first + count + 1]
                    ids = previous.terms[int(bounds[0]) : int(bounds[-1])]
                else:
                    terms = Terms.read(analyzer, (passages[i] for i in range(at, at + count)), vocabulary)
                    bounds, ids = terms.offsets, terms.ids
                ends.append(bounds[1:] - bounds[0] + all_terms.rows)
                all_terms.append(ids)
                at += count
                self._on_progress("passages' words", at, at / self.count)
            all_terms.close()
            ends.close()
        (folder / "vocabulary.json").write_text(json.dumps(vocabulary), "utf-8")
        ids, offsets = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("terms", "terms_at"))
        self._write_matrix(Terms(ids, offsets, vocabulary))
        return analyzer.signature

    def _write_matrix(self, terms: Terms) -> None:
        """Write the BM25 matrix, range by range of its terms, into the files that bm25s reads."""
        if not len(terms.ids):
            return
        folder = self.generation / "bm25"
        k1, b = self.encoder.settings.k1, self.encoder.settings.b
        empty_matrix(self.count, k1, b).save(folder, show_progress=False)
        starts, end, occurrences = [np.zeros(1, np.int64)], 0, 0
        values, documents = (folder / f"{name}.csc.index.npy" for name in ("data", "indices"))
        with GrowingArray(values, np.float32) as data, GrowingArray(documents, np.int32) as indices:
            for part in postings(terms, k1, b):
                data.append(part.values)
                indices.append(part.documents)
                starts.append(end + np.cumsum(part.counts))
                end += len(part.values)
                occurrences += part.occurrences
                self._on_progress("words listed", occurrences, occurrences / len(terms.ids))
            data.close()
            indices.close()
        save(folder / "indptr.csc.index.npy", np.concatenate(starts))
