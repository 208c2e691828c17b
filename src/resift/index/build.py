"""Builds a generation from files, taking over what unchanged files gave to the one before."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import IO

import numpy as np

from resift import files
from resift.errors import InputError
from resift.index.arrays import finish
from resift.index.encode import Encoder
from resift.index.layout import Manifest, Settings, current, read_manifest, writing
from resift.index.passages import Passages, id_hash, line_of, unique_ids
from resift.index.tensors import Tensors, TensorWriter
from resift.retrieve.bm25 import Terms, build_matrix
from resift.text.analysis import Analyzer, sample
from resift.types import Document

_CHUNK = 2048  # passages that are held at once


@dataclass(frozen=True, slots=True)
class IndexedFile:
    """A file as it was read: its size, time and hash, and the passages that it gave (first, count)."""

    path: str
    size: int
    mtime_ns: int
    sha256: str
    first: int = 0
    count: int = 0


@dataclass(frozen=True, slots=True)
class Built:
    """What one run did: files read anew and taken over, passages in the index, seconds, and bytes on disk."""

    read: int
    reused: int
    removed: int
    passages: int
    seconds: float
    bytes: int


class _Old:
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
        self.tensors = Tensors(generation, settings.tensors) if settings.tensors else None


class _Writer:
    """Appends passages, new or taken over, to the files of a generation."""

    def __init__(self, generation: Path, encoder: Encoder, old: _Old | None, files_: ExitStack) -> None:
        self.generation, self.encoder, self.old = generation, encoder, old
        self.count = 0
        self._starts, self._ids = [0], [np.zeros(0, np.uint64)]
        self._sources: list[tuple[int, int]] = []  # of each run of passages: where it lay before (-1: new), its length
        self._open: dict[str, IO[bytes]] = {
            n: files_.enter_context((generation / n).open("wb")) for n in ("passages.jsonl", "vectors.raw")
        }
        self._tensors = TensorWriter(generation, encoder.token_dims, files_) if encoder.token_dims else None

    def take_over(self, first: int, count: int) -> None:
        """Copy passages of the old generation."""
        assert self.old is not None
        old, part = self.old, slice(first, first + count)
        for i in range(first, first + count):
            self._line(old.passages.raw(i))
            if self._tensors and old.tensors:
                self._tensors.add(old.tensors.windows(i))
        self._open["vectors.raw"].write(np.ascontiguousarray(old.vectors[part]).tobytes())
        self._ids.append(old.ids[part])
        self._sources.append((first, count))
        self.count += count

    def add(self, documents: Sequence[Document]) -> None:
        """Encode new passages."""
        for d in documents:
            self._line(line_of(d))
        vectors, windows = self.encoder.encode(documents)
        self._open["vectors.raw"].write(np.ascontiguousarray(vectors, np.float32).tobytes())
        if self._tensors:
            for own in windows:
                self._tensors.add(own)
        self._ids.append(np.array([id_hash(d.id) for d in documents], dtype=np.uint64))
        self._sources.append((-1, len(documents)))
        self.count += len(documents)

    def _line(self, line: bytes) -> None:
        self._open["passages.jsonl"].write(line)
        self._starts.append(self._starts[-1] + len(line))

    def close(self) -> str:
        """Write the arrays, the terms and the BM25 matrix; returns the analyzer's signature."""
        for file in self._open.values():
            file.close()
        np.save(self.generation / "passages_at.npy", np.array(self._starts, dtype=np.int64))
        np.save(self.generation / "ids.npy", np.concatenate(self._ids))
        finish(self.generation, "vectors", np.float32, (self.count, self.encoder.dims))
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
            vocabulary = {}
        lengths, at = [np.zeros(1, np.int64)], 0
        with (self.generation / "terms.raw").open("wb") as file:
            for first, count in self._sources:
                if old and first >= 0:
                    bounds = old.terms_at[first : first + count + 1]
                    ids = old.terms[int(bounds[0]) : int(bounds[-1])]
                else:
                    terms = Terms.read(analyzer, passages[at : at + count], vocabulary)
                    bounds, ids, vocabulary = terms.offsets, terms.ids, terms.vocabulary
                file.write(np.ascontiguousarray(ids).tobytes())
                lengths.append(np.diff(bounds))
                at += count
        offsets = np.cumsum(np.concatenate(lengths))
        ids = finish(self.generation, "terms", np.uint32, (int(offsets[-1]),))
        np.save(self.generation / "terms_at.npy", offsets)
        (self.generation / "vocabulary.json").write_text(json.dumps(vocabulary), "utf-8")
        matrix = build_matrix(Terms(ids, offsets, vocabulary))
        if matrix is not None:
            matrix.vocab_dict = {}  # kept once, as vocabulary.json
            matrix.save(self.generation / "bm25", show_progress=False)
        return analyzer.signature


def build(
    folder: Path,
    sources: Sequence[str],
    encoder: Encoder,
    on_skip: Callable[[files.Skipped], None] = lambda s: None,
    on_progress: Callable[[int], None] = lambda n: None,
) -> Built:
    """Index files and folders into `folder`, or bring the index there up to date; readers see all of it or nothing.

    A file whose size and time, or else whose hash, are as before is not read again. `on_progress` hears how many
    passages are done.

    Raises:
        InputError: a named path can't be read, the settings are not those of the index, another process is writing,
            the disk is full, or the old index is damaged; what was there stays.

    """
    began = time.monotonic()
    settings = Settings("", encoder.name, encoder.name if encoder.token_dims else "", encoder.pool)
    with writing(folder) as generation, ExitStack() as opened:
        old = _Old(current(folder), settings) if (folder / "CURRENT").exists() else None
        encoder.resume(folder / "partial")
        writer = _Writer(generation, encoder, old, opened)
        read, reused, taken, listed = 0, 0, set[int](), []
        for path in files.list_paths(sources, on_skip):
            before = old.files.get(str(path)) if old else None
            try:
                now = _state(path, before)
            except OSError as error:
                on_skip(files.Skipped(str(path), f"{path} went away while it was read ({error.strerror})"))
                continue
            first = writer.count
            if before and now.sha256 == before.sha256:
                writer.take_over(before.first, before.count)
                assert old is not None
                taken.update(old.ids[before.first : before.first + before.count].tolist())
                reused += 1
            else:
                now = _read(path, now, writer, taken, path in map(Path, sources), on_skip, on_progress)
                read += 1
            listed.append(replace(now, first=first, count=writer.count - first))
            on_progress(writer.count)
        if not writer.count:
            raise InputError(f"nothing to index in {', '.join(sources)}; the index was not written")
        settings = replace(settings, analyzer=writer.close())
        lines = "".join(json.dumps(asdict(f)) + "\n" for f in listed)
        (generation / "files.jsonl").write_text(lines, "utf-8")
        Manifest(settings, tuple(sources), writer.count).write(generation)
        size = sum(p.stat().st_size for p in generation.rglob("*") if p.is_file())
    shutil.rmtree(folder / "partial", ignore_errors=True)
    removed = len(set(old.files) - {f.path for f in listed}) if old else 0
    return Built(read, reused, removed, writer.count, time.monotonic() - began, size)


def _state(path: Path, before: IndexedFile | None) -> IndexedFile:
    """The file's size, time and hash; the hash is taken over where size and time are as before."""
    status = path.stat()
    if before and (before.size, before.mtime_ns) == (status.st_size, status.st_mtime_ns):
        return before
    hashed = sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            hashed.update(block)
    return IndexedFile(str(path), status.st_size, status.st_mtime_ns, hashed.hexdigest())


def _read(
    path: Path,
    now: IndexedFile,
    writer: _Writer,
    taken: set[int],
    named: bool,
    on_skip: Callable[[files.Skipped], None],
    on_progress: Callable[[int], None],
) -> IndexedFile:
    """Read a file's passages; one that changes meanwhile is marked so that the next run reads it again."""
    documents = unique_ids(files.read_file(path), taken)
    try:
        for chunk in _chunks(documents):
            writer.add(chunk)
            on_progress(writer.count)
        status = path.stat()
    except InputError as error:
        if named:
            raise
        on_skip(files.Skipped(str(path), str(error)))
        return now
    except FileNotFoundError:
        on_skip(files.Skipped(str(path), f"{path} went away while it was read"))
        return replace(now, mtime_ns=0, sha256="")
    if (status.st_size, status.st_mtime_ns) != (now.size, now.mtime_ns):
        on_skip(files.Skipped(str(path), f"{path} changed while it was read; index again"))
        return replace(now, mtime_ns=0, sha256="")
    return now


def _chunks(documents: Iterator[Document]) -> Iterator[list[Document]]:
    while chunk := list(islice(documents, _CHUNK)):
        yield chunk
