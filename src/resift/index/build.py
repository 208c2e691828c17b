"""Builds a generation of an index from files; unchanged files are not read again, their passages are copied."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from stat import S_ISREG

from resift import files
from resift.errors import InputError
from resift.index.encode import PassageEncoder
from resift.index.graph import write_graph
from resift.index.layout import IndexSettings, Manifest, current, writing
from resift.index.passages import unique_ids
from resift.index.writer import IndexedFile, OnProgress, PreviousGeneration, Writer
from resift.models.integrity import file_hash
from resift.retrieve.hnsw import require_hnsw
from resift.types import Document

OnSkip = Callable[[files.Skipped], None]

_SLICE = 256  # passages of one file that are held at once


@dataclass(frozen=True, slots=True)
class IndexReport:
    """What one run did to the index.

    Attributes:
        read: how many files were read.
        reused: how many files were looked at and had not changed.
        removed: how many files of the index are no longer there.
        passages: how many the index holds now.
        seconds: the duration of the run.
        bytes: the size of the index on disk.
        others: how many files the index holds of paths that this run was not called with.
        gone: the paths of the removed files.

    """

    read: int
    reused: int
    removed: int
    passages: int
    seconds: float
    bytes: int
    others: int = 0
    gone: tuple[str, ...] = ()


def build(
    folder: Path,
    sources: Sequence[str],
    encoder: PassageEncoder,
    on_skip: OnSkip = lambda skipped: None,
    on_progress: OnProgress = lambda step, count, share: None,
    *,
    keep_others: bool = True,
    encode_anew: bool = False,
) -> IndexReport:
    """Index files and folders into `folder`, or bring the index there up to date; readers see all of it or nothing.

    A file whose size and time, or else whose hash, are as before is not read again; where nothing changed, nothing is
    written. An id that comes twice stays with the passage that had it first.

    Args:
        folder: of the index.
        sources: the paths of files and folders.
        encoder: of the passages, with the settings that the index is to have.
        on_skip: is called with each file that is left out.
        on_progress: is called with the name of the present step, how many items it has done, and about which share of
            the step that is (0..1; 0 where it can't be known).
        keep_others: files that earlier runs indexed from other paths stay in the index.
        encode_anew: an index of other settings is built anew from all its files, instead of being refused.

    Raises:
        InputError: a source can't be read, nor with `encode_anew` a file that the index holds; the settings are not
            those of the index; another process is writing, the disk is full, or the old index is damaged. The index
            stays as it was.
        MissingExtra: a graph is chosen, now or when the index was made, and its engine is not installed.

    """
    began = time.monotonic()
    skips = _FirstFault(on_skip)
    with writing(folder) as generation, ExitStack() as open_files:
        previous = PreviousGeneration(current(folder)) if (folder / "CURRENT").exists() else None
        settings = _checked(encoder.settings, folder, previous, encode_anew)
        plan = _plan(sources, previous, settings, keep_others, skips.add, on_progress)
        if previous and plan.changes_nothing and previous.is_as(settings):
            seconds, size = time.monotonic() - began, _size(current(folder))
            return IndexReport(0, plan.reused, 0, previous.manifest.passages, seconds, size, plan.others)
        encoder.resume(folder / "partial")
        writer = Writer(generation, encoder, plan.previous, open_files, on_progress)
        indexed_files = _write_passages(plan, writer, {Path(s) for s in sources}, skips.add)
        if not writer.count:
            raise InputError(f"nothing to index in {', '.join(sources)}{skips.reason}; the index was not written")
        settings = replace(settings, analyzer=writer.close())
        unbuilt = write_graph(generation, settings, plan.previous, writer.runs, on_progress)
        with (generation / "files.jsonl").open("w", encoding="utf-8") as lines:
            lines.writelines(json.dumps(asdict(file)) + "\n" for file in indexed_files)
        Manifest(settings, writer.count, unbuilt).write(generation)
    shutil.rmtree(folder / "partial", ignore_errors=True)
    seconds, size = time.monotonic() - began, _size(generation)
    reads = len(indexed_files) - len(plan.unchanged)
    return IndexReport(reads, plan.reused, len(plan.gone), writer.count, seconds, size, plan.others, plan.gone)


def _checked(
    settings: IndexSettings, folder: Path, previous: PreviousGeneration | None, encode_anew: bool
) -> IndexSettings:
    """The settings of the new generation: an index keeps its choice about a graph until another is made.

    Raises:
        InputError: the index has other settings, and is not to be encoded anew.
        MissingExtra: the engine of graphs is not installed.

    """
    if previous and settings.hnsw is None:
        settings = replace(settings, hnsw=previous.manifest.settings.hnsw)
    if settings.hnsw:
        require_hnsw()
    if previous and not encode_anew and not previous.serves(settings):
        raise InputError(_another_version(folder, previous.manifest.settings, settings))
    return settings


@dataclass(frozen=True, slots=True)
class _Plan:
    """What one run does.

    Attributes:
        previous: the generation from which passages are copied; None where there is none, or every file is read.
        states: every file that the index will hold, in order.
        unchanged: those of them whose passages are copied, by path, as they are in `previous`.
        gone: paths of files that are removed.
        reused: how many unchanged files are under the sources.
        others: how many are of other paths.

    """

    previous: PreviousGeneration | None
    states: Sequence[IndexedFile]
    unchanged: dict[str, IndexedFile]
    gone: tuple[str, ...]
    reused: int
    others: int

    @property
    def changes_nothing(self) -> bool:
        """Whether the index already is as it should be, apart from its graph."""
        return self.previous is not None and not self.gone and len(self.unchanged) == len(self.states)


def _plan(
    sources: Sequence[str],
    previous: PreviousGeneration | None,
    settings: IndexSettings,
    keep_others: bool,
    on_skip: OnSkip,
    on_progress: OnProgress,
) -> _Plan:
    """Look at all files; where `previous` has other settings, none of its passages is copied."""
    files_before, states = previous.files if previous else {}, []
    for state in _states(sources, {Path(s) for s in sources}, files_before, on_skip):
        states.append(state)
        on_progress("files looked at", len(states), 0.0)
    gone, other_files = _not_listed(files_before, states, sources if keep_others else None)
    if previous and not previous.serves(settings):
        return _Plan(None, [*_states_of_others(other_files, on_skip), *states], {}, gone, 0, 0)
    unchanged = {
        state.path: files_before[state.path]
        for state in states
        if state.path in files_before and files_before[state.path].sha256 == state.sha256
    }
    reused = len(unchanged)
    unchanged |= {file.path: file for file in other_files}
    return _Plan(previous, [*other_files, *states], unchanged, gone, reused, len(other_files))


def _write_passages(plan: _Plan, writer: Writer, sources: set[Path], on_skip: OnSkip) -> list[IndexedFile]:
    """Copy and read passages as planned; returns the files, each with the place of its passages."""
    previous, unchanged = plan.previous, plan.unchanged
    id_hashes = {
        id_hash
        for file in unchanged.values()
        if previous
        for id_hash in previous.ids[file.first : file.first + file.count].tolist()
    }
    progress = _Progress(writer, sum(state.size for state in plan.states if state.path not in unchanged))
    indexed_files = []
    for state in plan.states:
        first, file_before = writer.count, unchanged.get(state.path)
        if file_before:
            writer.take_over(file_before.first, file_before.count)
        else:
            state = _read_file(state, writer, id_hashes, Path(state.path) in sources, on_skip, progress)
        indexed_files.append(replace(state, first=first, count=writer.count - first))
        progress.file_ends(0 if file_before else state.size)
    return indexed_files


def _another_version(folder: Path, before: IndexSettings, settings: IndexSettings) -> str:
    """The message where settings differ though the caller chose none: then a model's files have changed."""
    model = before.model if before.fingerprint != settings.fingerprint else before.embedder
    return (
        f"{folder} was made with another version of {model}; index into a new folder, or name the model "
        "(--embedder, or --model with --tensors) to encode every file anew"
    )


def _not_listed(
    files_before: dict[str, IndexedFile], states: Sequence[IndexedFile], sources: Sequence[str] | None
) -> tuple[tuple[str, ...], list[IndexedFile]]:
    """Of the index's files that were not found this time: the paths of those that are gone, and the files elsewhere.

    A file is gone if it was under one of the sources; with None every file is.
    """
    paths = {state.path for state in states}
    roots = None if sources is None else [os.path.abspath(source) for source in sources]
    gone, elsewhere = [], []
    for path, file in files_before.items():
        if path in paths:
            continue
        absolute = os.path.abspath(path)
        if roots is None or any(absolute == r or absolute.startswith(os.path.join(r, "")) for r in roots):
            gone.append(path)
        else:
            elsewhere.append(file)
    return tuple(gone), elsewhere


def _states_of_others(other_files: Sequence[IndexedFile], on_skip: OnSkip) -> Iterator[IndexedFile]:
    """The present states of files of other paths, which are read too where an index is built anew.

    Raises:
        InputError: one of them is not there.

    """
    for file in other_files:
        if not os.path.lexists(file.path):
            raise InputError(
                f"other settings need every file read anew, and {file.path}, which the index holds, is not there; "
                "bring it back, or index without it: --replace (replace=True)"
            )
    return _states([f.path for f in other_files], {Path(f.path) for f in other_files}, {}, on_skip)


class _FirstFault:
    """Passes skipped files on, and remembers the first reason that is a fault of a file, and not of its type."""

    def __init__(self, on_skip: OnSkip) -> None:
        self._on_skip, self.reason = on_skip, ""

    def add(self, skipped: files.Skipped) -> None:
        """Take note of one file."""
        if not self.reason and skipped.kind not in files.NEVER_READ:
            self.reason = f" ({skipped.reason})"
        self._on_skip(skipped)


class _Progress:
    """Reports how much of a run is done, measured by the bytes of the files that it reads."""

    def __init__(self, writer: Writer, total: int) -> None:
        self._writer, self._total, self._bytes = writer, max(1, total), 0

    def within_file(self, size: int) -> None:
        """Report that so many bytes of the present file are read."""
        self._writer.report(min(1.0, (self._bytes + size) / self._total))

    def file_ends(self, size: int) -> None:
        """Report that a file of this size is read."""
        self._bytes += size
        self.within_file(0)


def _size(generation: Path) -> int:
    """Bytes on disk.

    A graph's files have holes, of which only the blocks in use count. Readers of a graph make files that may vanish at
    any moment; these are passed over.
    """
    total = 0
    for parent, _, names in os.walk(generation):
        for name in names:
            with suppress(FileNotFoundError):
                status = os.stat(Path(parent, name))
                total += min(status.st_size, status.st_blocks * 512)
    return total


def _states(
    paths: Sequence[str], must_be_readable: set[Path], files_before: dict[str, IndexedFile], on_skip: OnSkip
) -> Iterator[IndexedFile]:
    """Each file's size, time and hash; where size and time are as before, the hash is not computed again.

    Raises:
        InputError: a file can't be read that must be, or is a device: an index compares files with what they were, and
            a device can be read only once.

    """
    for path in files.list_paths(paths, on_skip):
        file_before = files_before.get(str(path))
        try:
            status = path.stat()
            if not S_ISREG(status.st_mode):
                raise InputError(f"{path} is a device or pipe; an index reads files again: save it as a file")
            if file_before and (file_before.size, file_before.mtime_ns) == (status.st_size, status.st_mtime_ns):
                yield file_before
            else:
                yield IndexedFile(str(path), status.st_size, status.st_mtime_ns, file_hash(path))
        except OSError as error:
            reason = f"{path} can't be read ({error.strerror or error})"
            if path in must_be_readable:
                raise InputError(reason) from error
            on_skip(files.Skipped(str(path), reason, files.Skip.UNREADABLE))


def _read_file(
    state: IndexedFile,
    writer: Writer,
    id_hashes: set[int],
    must_be_readable: bool,
    on_skip: OnSkip,
    progress: _Progress,
) -> IndexedFile:
    """Read a file's passages; a file that fails, or changes meanwhile, gets a state that the next run reads again."""
    path = Path(state.path)
    documents, characters, first = unique_ids(files.read_file(path), id_hashes), 0, writer.count
    try:
        for part in _slices(documents):
            writer.add(part)
            characters += sum(len(document.text) for document in part)
            progress.within_file(min(characters, state.size))
        status = path.stat()
    except (InputError, OSError) as error:
        if must_be_readable and isinstance(error, InputError):
            raise
        if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
            raise  # the fault is not the file's: the disk is full
        count = writer.count - first
        before = f" ({count} passages before that are in the index)" if count else ""
        on_skip(files.Skipped(state.path, f"{error}{before}", files.skip_of(error)))
        return replace(state, mtime_ns=0, sha256="")
    if (status.st_size, status.st_mtime_ns) != (state.size, state.mtime_ns):
        reason = f"{path} changed while it was read; index again"
        on_skip(files.Skipped(state.path, reason, files.Skip.CHANGED))
        return replace(state, mtime_ns=0, sha256="")
    return state


def _slices(documents: Iterator[Document]) -> Iterator[list[Document]]:
    """Documents in lists of 256; where reading fails, those before the error come first."""
    part: list[Document] = []
    try:
        for document in documents:
            part.append(document)
            if len(part) == _SLICE:
                yield part
                part = []
    except InputError:
        if part:
            yield part
        raise
    if part:
        yield part
