"""Appends passages, new ones and those of the generation before, to the files of a generation."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from resift.errors import InputError
from resift.index.arrays import GrowingArray
from resift.index.encode import Encoder
from resift.index.layout import Settings, read_manifest
from resift.index.passages import Passages, id_hash, line_of
from resift.index.tensors import Tensors, TensorWriter
from resift.retrieve.bm25 import Terms, build_matrix
from resift.text.analysis import Analyzer, sample
from resift.types import Document

CHUNK = 2048  # passages that are encoded together


@dataclass(frozen=True, slots=True)
class IndexedFile:
    """A file as it was read: its size, time and hash, and the passages that it gave (first, count)."""

    path: str
    size: int
    mtime_ns: int
    sha256: str
    first: int = 0
    count: int = 0


class Old:
    """The generation before: where its files' passages lie, and their parts of every array."""

    def __init__(self, generation: Path, settings: Settings) -> None:
        self.manifest = read_manifest(generation)
        old, new = asdict(self.manifest.settings), asdict(settings)
        new["analyzer"] = old["analyzer"]  # fitted to the first passages, and kept
        if old != new:
            changed = ", ".join(f"{k} {old[k] or 'none'} → {new[k] or 'none'}" for k in new if old[k] != new[k])
            raise InputError(f"{generation.parent} was made with other settings ({changed}); index into a new folder")
        lines = (generation / "files.jsonl").read_text("utf-8").splitlines()
        self.files = {f.path: f for f in (IndexedFile(**json.loads(line)) for line in lines)}
        self.passages = Passages(generation)
        self.ids = np.load(generation / "ids.npy", mmap_mode="r")
        self.vectors = np.load(generation / "vectors.npy", mmap_mode="r")
        self.terms, self.terms_at = (np.load(generation / f"{n}.npy", mmap_mode="r") for n in ("terms", "terms_at"))
        self.vocabulary: dict[str, int] = json.loads((generation / "vocabulary.json").read_text("utf-8"))
        self.tensors = Tensors(generation, settings.fingerprint) if settings.tensors else None


class Writer:
    """Appends passages, new or taken over, to the files of a generation."""

    def __init__(self, generation: Path, encoder: Encoder, old: Old | None, files_: ExitStack) -> None:
        self.generation, self.encoder, self.old = generation, encoder, old
        self.count = 0
        self._waiting: list[Document] = []
        self._starts, self._ids = [0], [np.zeros(0, np.uint64)]
        self._sources: list[tuple[int, int]] = []  # of each run of passages: where it lay before (-1: new), its length
        self._lines = files_.enter_context((generation / "passages.jsonl").open("wb"))
        self._vectors = files_.enter_context(GrowingArray(generation / "vectors.npy", np.float32, (encoder.dims,)))
        self._tensors = TensorWriter(generation, encoder.token_dims, files_) if encoder.token_dims else None

    def take_over(self, first: int, count: int) -> None:
        """Copy passages of the old generation."""
        assert self.old is not None
        self._flush()
        old, part = self.old, slice(first, first + count)
        lines, ends = old.passages.lines(first, count)
        self._lines.write(lines)
        self._starts += [self._starts[-1] + end for end in ends]
        if self._tensors and old.tensors:
            for i in range(first, first + count):
                self._tensors.add(old.tensors.windows(i))
        self._vectors.append(old.vectors[part])
        self._ids.append(old.ids[part])
        self._sources.append((first, count))
        self.count += count

    def add(self, documents: Sequence[Document]) -> None:
        """Take new passages; they are encoded when a chunk of them, of whatever files, has come together."""
        self._waiting += documents
        self.count += len(documents)
        if len(self._waiting) >= CHUNK:
            self._flush()

    def _flush(self) -> None:
        documents, self._waiting = self._waiting, []
        if not documents:
            return
        for d in documents:
            self._line(line_of(d))
        vectors, windows = self.encoder.encode(documents)
        self._vectors.append(vectors)
        if self._tensors:
            for own in windows:
                self._tensors.add(own)
        self._ids.append(np.array([id_hash(d.id) for d in documents], dtype=np.uint64))
        self._sources.append((-1, len(documents)))

    def _line(self, line: bytes) -> None:
        self._lines.write(line)
        self._starts.append(self._starts[-1] + len(line))

    def close(self) -> str:
        """Write the arrays, the terms and the BM25 matrix; returns the analyzer's signature."""
        self._flush()
        self._lines.close()
        self._vectors.close()
        np.save(self.generation / "passages_at.npy", np.array(self._starts, dtype=np.int64))
        np.save(self.generation / "ids.npy", np.concatenate(self._ids))
        if self._tensors:
            self._tensors.close()
        return self._write_terms()

    def _write_terms(self) -> str:
        """Terms come last: a new index's analyzer is fitted to a sample of all its passages."""
        passages, old = Passages(self.generation), self.old
        if old:
            analyzer, vocabulary = Analyzer.from_signature(old.manifest.settings.analyzer), old.vocabulary
        else:
            analyzer = Analyzer.fitting(f"{d.title} {d.text}" for d in (passages[i] for i in sample(self.count)))
            vocabulary = dict[str, int]()
        lengths, at = [np.zeros(1, np.int64)], 0
        with GrowingArray(self.generation / "terms.npy", np.uint32) as every:
            for first, count in self._sources:
                if old and first >= 0:
                    bounds = old.terms_at[first : first + count + 1]
                    ids = old.terms[int(bounds[0]) : int(bounds[-1])]
                else:
                    terms = Terms.read(analyzer, (passages[i] for i in range(at, at + count)), vocabulary)
                    bounds, ids = terms.offsets, terms.ids
                every.append(ids)
                lengths.append(np.diff(bounds))
                at += count
            every.close()
        offsets = np.cumsum(np.concatenate(lengths))
        ids = np.load(self.generation / "terms.npy", mmap_mode="r")
        np.save(self.generation / "terms_at.npy", offsets)
        (self.generation / "vocabulary.json").write_text(json.dumps(vocabulary), "utf-8")
        matrix = build_matrix(Terms(ids, offsets, vocabulary))
        if matrix is not None:
            matrix.vocab_dict = {}  # kept once, as vocabulary.json
            matrix.save(self.generation / "bm25", show_progress=False)
        return analyzer.signature
