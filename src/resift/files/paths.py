"""Walks files and folders without those that are hidden or ignored by .gitignore files."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from gzip import BadGzipFile
from pathlib import Path
from typing import TYPE_CHECKING

from resift.errors import InputError
from resift.files.encoding import kind
from resift.files.formats import SUFFIXES, is_text, read_file, unreadable
from resift.types import Document

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec


class Skip(StrEnum):
    """Why a file of a folder was left out: programs read this, and people read `Skipped.reason`."""

    TYPE = "type"  # Resift reads no files of this type
    LINK = "link"  # a link to a folder, which could lead round in a circle
    DEVICE = "device"  # a device or a pipe, which may never end
    UNREADABLE = "unreadable"  # the system does not open or read it
    CONTENT = "content"  # it is damaged, encrypted, binary, of no known encoding, or has a line that can't be read
    CHANGED = "changed"  # another process wrote to it while it was read


NEVER_READ = frozenset({Skip.TYPE, Skip.LINK, Skip.DEVICE})  # nothing is wrong with such a file


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file of a folder that was not read, and the reason."""

    path: str
    reason: str
    kind: Skip


def read_paths(
    paths: Sequence[str | os.PathLike[str]], on_skip: Callable[[Skipped], None] = lambda s: None
) -> Iterator[Document]:
    """Stream the passages of files and folders, folders in sorted order.

    A passage's metadata has its path and place: line (from 1) and start/end (character offsets in the file) for text
    and source code, line for tables, page, paragraph or cell (from 1) for PDF, Word files and notebooks. A file among
    `paths` must be readable. A file in a folder goes to `on_skip` where it is unreadable or of unknown type; one
    without a suffix is read if it holds text. Hidden files of a folder and those that its .gitignore files ignore are
    left out, and links to folders are not followed.

    Raises:
        InputError: a path is missing, unreadable, binary or malformed.

    """
    arguments = {Path(p) for p in paths}
    for path in list_paths(paths, on_skip):
        try:
            yield from read_file(path)
        except InputError as error:
            if path in arguments:
                raise
            on_skip(Skipped(str(path), str(error), skip_of(error)))


def skip_of(error: Exception) -> Skip:
    """Whether it was the system or the content of a file that kept it from being read."""
    cause = error.__cause__ if isinstance(error, InputError) else error
    return Skip.UNREADABLE if isinstance(cause, OSError) and not isinstance(cause, BadGzipFile) else Skip.CONTENT


def list_paths(
    paths: Sequence[str | os.PathLike[str]], on_skip: Callable[[Skipped], None] = lambda s: None
) -> Iterator[Path]:
    """List the files that `read_paths` reads, in its order, each file once.

    Raises:
        InputError: a path is missing.

    """
    earlier: set[Path] = set()
    for path in map(Path, paths):
        if os.path.isdir(path):
            files = _list_folder(path, on_skip)
        elif os.path.lexists(path):
            files = iter([path])
        else:
            raise InputError(f"no such file or folder: {path}; check its spelling and that you may open its folder")
        for file in files:
            if len(paths) == 1:
                yield file
            elif file not in earlier:
                earlier.add(file)
                yield file


def _list_folder(folder: Path, on_skip: Callable[[Skipped], None]) -> Iterator[Path]:
    for path in _files(folder, on_skip):
        if kind(path) in SUFFIXES or (not path.suffix and is_text(path)):
            yield path
        elif not path.suffix:
            on_skip(Skipped(str(path), "type without suffix, and no text by its content, is not read", Skip.TYPE))
        else:
            on_skip(Skipped(str(path), f"type {path.suffix} is not read", Skip.TYPE))


def _files(folder: Path, on_skip: Callable[[Skipped], None]) -> Iterator[Path]:
    """The files of a folder by name, then those of its folders by name; it holds the names of one folder at a time."""

    def skip_folder(error: OSError) -> None:
        path = str(error.filename)
        on_skip(Skipped(path, str(unreadable(Path(path), error)), Skip.UNREADABLE))

    ignored = _Ignored()
    for root, folders, names in os.walk(folder, onerror=skip_folder):
        if "lock" in names and any(re.fullmatch(r"g\d{6}", f) for f in folders):  # an index of Resift's own
            folders[:] = []
            continue
        ignored.enter(root, names, on_skip)
        visible = sorted(f for f in folders if not f.startswith(".") and not ignored(os.path.join(root, f), "/"))
        folders[:] = []
        for name in visible:
            if os.path.islink(os.path.join(root, name)):
                reason = f"{name} is a link to a folder and is not read; name it"
                on_skip(Skipped(os.path.join(root, name), reason, Skip.LINK))
            else:
                folders.append(name)
        for name in sorted(n for n in names if not n.startswith(".")):
            path = os.path.join(root, name)
            if ignored(path):
                continue
            if os.path.exists(path) and not os.path.isfile(path):  # opening a pipe would wait for ever
                on_skip(Skipped(path, f"{path} is a device or pipe and is not read", Skip.DEVICE))
                continue
            yield Path(path)


@dataclass(slots=True)
class _Ignored:
    """The .gitignore files from the first folder down to the current one, the innermost last."""

    specs: list[tuple[str, GitIgnoreSpec]] = field(default_factory=list)

    def enter(self, root: str, names: Sequence[str], on_skip: Callable[[Skipped], None]) -> None:
        """Enter a folder; folders come in the order of `os.walk`."""
        base = os.path.join(root, "")
        while self.specs and not base.startswith(self.specs[-1][0]):
            self.specs.pop()
        path = Path(root, ".gitignore")
        if ".gitignore" in names and path.is_file():
            try:
                self.specs.append((base, _patterns(path)))
            except OSError as error:
                on_skip(Skipped(str(path), str(unreadable(path, error)), Skip.UNREADABLE))

    def __call__(self, path: str, suffix: str = "") -> bool:
        """Whether a file (or, with the suffix "/", a folder) is ignored: the innermost matching .gitignore decides."""
        for base, spec in reversed(self.specs):
            verdict = spec.check_file(path[len(base) :].replace(os.sep, "/") + suffix).include
            if verdict is not None:
                return verdict
        return False


def _patterns(path: Path) -> GitIgnoreSpec:
    """The patterns of a .gitignore file; lines that are no pattern are ignored, as by git."""
    from pathspec import GitIgnoreSpec

    lines = []
    for line in path.read_text(encoding="utf-8-sig", errors="surrogateescape").split("\n"):
        try:
            GitIgnoreSpec.from_lines([line])
        except (ValueError, re.error):
            continue
        lines.append(line)
    return GitIgnoreSpec.from_lines(lines)
