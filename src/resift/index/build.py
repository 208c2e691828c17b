"""Builds a generation from files, taking over what unchanged files gave to the one before."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from stat import S_ISREG

from resift import files
from resift.errors import InputError
from resift.index.encode import PassageEncoder
from resift.index.graph import write_graph
from resift.index.layout import IndexSettings, Manifest, current, writing
from resift.index.passages import unique_ids
from resift.index.writer import IndexedFile, OnProgress, PreviousGeneration, Writer
from resift.retrieve.hnsw import require_hnsw
from resift.types import Document

OnSkip = Callable[[files.Skipped], None]

_SLICE = 256  # passages of one file that are read at once


@dataclass(frozen=True, slots=True)
class Built:
    """What one run did to the index.

    Attributes:
        read: files read anew; reused: files looked at and taken over; removed: how many of the index's are gone.
        passages: in the index.
        bytes: on disk.
        others: files of paths that were not named this time, which stay as they were.
        gone: the paths of the files that were removed.

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
    on_skip: OnSkip = lambda s: None,
    on_progress: OnProgress = lambda what, count, share: None,
    *,
    others: bool = True,
    renew: bool = False,
) -> Built:
    """Index files and folders into `folder`, or bring the index there up to date; readers see all of it or nothing.

    Files that an earlier run took from other paths stay, unless `others` is False. With `renew`, an index of other
    settings is built anew from all its files. A file whose size and time, or else whose hash, are as before is not read
    again; where nothing changed, nothing is written. An id that comes twice stays with the passage that had it first.
    `on_progress` hears what is being counted, step after step, how many are done, and about which share of the step
    (0..1; 0 where it can't be known).

    Raises:
        InputError: a named path can't be read, nor with `renew` one that the index holds; the settings are not those
            of the index; another process is writing, the disk is full, or the old index is damaged; what was there
            stays.
        MissingExtra: a graph is asked for, now or when the index was made, and its engine is not installed.

    """
    began = time.monotonic()
    settings = encoder.settings
    skips = _FirstSkipped(on_skip)
    with writing(folder) as generation, ExitStack() as opened:
        old = PreviousGeneration(current(folder)) if (folder / "CURRENT").exists() else None
        if old and settings.hnsw is None:
            settings = replace(settings, hnsw=old.manifest.settings.hnsw)
        if settings.hnsw:
            require_hnsw()
        if old and not renew and not old.serves(settings):
            raise InputError(_another_version(folder, old.manifest.settings, settings))
        plan = _plan(sources, old, settings, others, skips.add, on_progress)
        if old and plan.changes_nothing and old.manifest.settings.hnsw == settings.hnsw:
            seconds, size = time.monotonic() - began, _size(current(folder))
            return Built(0, plan.reused, 0, old.manifest.passages, seconds, size, plan.others)
        encoder.resume(folder / "partial")
        writer = Writer(generation, encoder, plan.old, opened, on_progress)
        listed = _write(plan, writer, {Path(s) for s in sources}, skips.add)
        if not writer.count:
            raise InputError(f"nothing to index in {', '.join(sources)}{skips.reason}; the index was not written")
        settings = replace(settings, analyzer=writer.close())
        unbuilt = write_graph(generation, settings, plan.old, writer.runs, on_progress)
        with (generation / "files.jsonl").open("w", encoding="utf-8") as lines:
            lines.writelines(json.dumps(asdict(f)) + "\n" for f in listed)
        Manifest(settings, writer.count, unbuilt).write(generation)
    shutil.rmtree(folder / "partial", ignore_errors=True)
    seconds, size = time.monotonic() - began, _size(generation)
    read = len(listed) - len(plan.kept)
    return Built(read, plan.reused, len(plan.gone), writer.count, seconds, size, plan.others, plan.gone)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What one run does.

    Attributes:
        old: the generation whose passages are taken over; None where there is none, or all is read anew.
        states: every file that the index will hold, in order.
        kept: those of them that are taken over, by path, as they lie in `old`.
        gone: paths of files that are removed.
        reused: of `kept` those under the sources; others: those of other paths.

    """

    old: PreviousGeneration | None
    states: Sequence[IndexedFile]
    kept: dict[str, IndexedFile]
    gone: tuple[str, ...]
    reused: int
    others: int

    @property
    def changes_nothing(self) -> bool:
        """Whether the index already is as it should be, but for its graph."""
        return self.old is not None and not self.gone and len(self.kept) == len(self.states)


def _plan(
    sources: Sequence[str],
    old: PreviousGeneration | None,
    settings: IndexSettings,
    others: bool,
    on_skip: OnSkip,
    on_progress: OnProgress,
) -> _Plan:
    """Look at all files; where the settings are not those of `old`, nothing is taken over."""
    before, states = old.files if old else {}, []
    for state in _states(sources, {Path(s) for s in sources}, before, on_skip):
        states.append(state)
        on_progress("files looked at", len(states), 0.0)
    gone, elsewhere = _absent(before, states, sources if others else None)
    if old and not old.serves(settings):
        return _Plan(None, [*_present(elsewhere, on_skip), *states], {}, gone, 0, 0)
    kept = {s.path: before[s.path] for s in states if s.path in before and before[s.path].sha256 == s.sha256}
    reused = len(kept)
    kept |= {f.path: f for f in elsewhere}
    return _Plan(old, [*elsewhere, *states], kept, gone, reused, len(elsewhere))


def _write(plan: _Plan, writer: Writer, named: set[Path], on_skip: OnSkip) -> list[IndexedFile]:
    """Take over and read what was planned; returns the files with the passages that each gave."""
    old, kept = plan.old, plan.kept
    taken = {i for f in kept.values() if old for i in old.ids[f.first : f.first + f.count].tolist()}
    progress = _Progress(writer, sum(s.size for s in plan.states if s.path not in kept))
    listed = []
    for now in plan.states:
        first, same = writer.count, kept.get(now.path)
        if same:
            writer.take_over(same.first, same.count)
        else:
            now = _read(now, writer, taken, Path(now.path) in named, on_skip, progress)
        listed.append(replace(now, first=first, count=writer.count - first))
        progress.file_done(0 if same else now.size)
    return listed


def _another_version(folder: Path, before: IndexSettings, now: IndexSettings) -> str:
    """Only the fingerprint of a model can differ where no setting was named."""
    model = before.model if before.fingerprint != now.fingerprint else before.embedder
    return (
        f"{folder} was made with another version of {model}; index into a new folder, or name the model "
        "(--embedder, or --model with --tensors) to encode every file anew"
    )


def _absent(
    before: dict[str, IndexedFile], states: Sequence[IndexedFile], sources: Sequence[str] | None
) -> tuple[tuple[str, ...], list[IndexedFile]]:
    """Of the files that an index holds and that were not listed: those that are gone, and those of other paths.

    Gone is what lay under one of the sources; with None every file is.
    """
    listed = {s.path for s in states}
    roots = None if sources is None else [os.path.abspath(s) for s in sources]
    gone, elsewhere = [], []
    for path, file in before.items():
        if path in listed:
            continue
        absolute = os.path.abspath(path)
        if roots is None or any(absolute == r or absolute.startswith(os.path.join(r, "")) for r in roots):
            gone.append(path)
        else:
            elsewhere.append(file)
    return tuple(gone), elsewhere


def _present(others: Sequence[IndexedFile], on_skip: OnSkip) -> Iterator[IndexedFile]:
    """The states of files of other paths, which are read too where an index is built anew.

    Raises:
        InputError: one of them is not there.

    """
    for file in others:
        if not os.path.lexists(file.path):
            raise InputError(
                f"other settings need every file read anew, and {file.path}, which the index holds, is not there; "
                "bring it back, or index without it: --replace (replace=True)"
            )
    return _states([f.path for f in others], {Path(f.path) for f in others}, {}, on_skip)


class _FirstSkipped:
    """Passes on what was left out, and keeps the first reason that is not a file's type."""

    def __init__(self, tell: OnSkip) -> None:
        self._tell, self.reason = tell, ""

    def add(self, skipped: files.Skipped) -> None:
        """Take note of one file."""
        if not self.reason and skipped.kind not in files.NEVER_READ:
            self.reason = f" ({skipped.reason})"
        self._tell(skipped)


class _Progress:
    """Tells how far a run is, by the bytes of the files that it reads."""

    def __init__(self, writer: Writer, total: int) -> None:
        self._writer, self._total, self._done = writer, max(1, total), 0

    def amid(self, read: int) -> None:
        """So much of the file at hand is read."""
        self._writer.tell(min(1.0, (self._done + read) / self._total))

    def file_done(self, size: int) -> None:
        """A file of this size is read."""
        self._done += size
        self.amid(0)


def _size(generation: Path) -> int:
    """Bytes on disk. A graph's files have holes, and some of them, made by its readers, are gone in a moment."""
    total = 0
    for parent, _, names in os.walk(generation):
        for name in names:
            with suppress(FileNotFoundError):
                status = os.stat(Path(parent, name))
                total += min(status.st_size, status.st_blocks * 512)
    return total


def _states(
    sources: Sequence[str], named: set[Path], before: dict[str, IndexedFile], on_skip: OnSkip
) -> Iterator[IndexedFile]:
    """Each file's size, time and hash, once; the hash is taken over where size and time are as before."""
    for path in files.list_paths(sources, on_skip):
        known = before.get(str(path))
        try:
            status = path.stat()
            if not S_ISREG(status.st_mode):  # could be read once only, and never be compared
                raise InputError(f"{path} is a device or pipe; an index reads files again: save it as a file")
            if known and (known.size, known.mtime_ns) == (status.st_size, status.st_mtime_ns):
                yield known
            else:
                yield IndexedFile(str(path), status.st_size, status.st_mtime_ns, _hash(path))
        except OSError as error:
            reason = f"{path} can't be read ({error.strerror or error})"
            if path in named:
                raise InputError(reason) from error
            on_skip(files.Skipped(str(path), reason, files.Skip.UNREADABLE))


def _hash(path: Path) -> str:
    hashed = sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            hashed.update(block)
    return hashed.hexdigest()


def _read(
    now: IndexedFile,
    writer: Writer,
    taken: set[int],
    named: bool,
    on_skip: OnSkip,
    progress: _Progress,
) -> IndexedFile:
    """Read a file's passages; one that fails or changes meanwhile is marked so that the next run reads it again."""
    path = Path(now.path)
    documents, read, first = unique_ids(files.read_file(path), taken), 0, writer.count
    try:
        for part in _slices(documents):
            writer.add(part)
            read += sum(len(d.text) for d in part)
            progress.amid(min(read, now.size))
        status = path.stat()
    except (InputError, OSError) as error:
        if named and isinstance(error, InputError):
            raise
        if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
            raise  # not the file's: the disk is full
        kept = writer.count - first
        before = f" ({kept} passages before that are in the index)" if kept else ""
        on_skip(files.Skipped(now.path, f"{error}{before}", files.skip_of(error)))
        return replace(now, mtime_ns=0, sha256="")
    if (status.st_size, status.st_mtime_ns) != (now.size, now.mtime_ns):
        reason = f"{path} changed while it was read; index again"
        on_skip(files.Skipped(now.path, reason, files.Skip.CHANGED))
        return replace(now, mtime_ns=0, sha256="")
    return now


def _slices(documents: Iterator[Document]) -> Iterator[list[Document]]:
    """Documents, so many at once; those that come before an error are given first."""
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
