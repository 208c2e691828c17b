"""Writes a file or folder completely or not at all; devices and pipes are written in place, and links stay links."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from resift.errors import InputError

_DEVICES = ("/dev/", "/proc/")


def in_place(path: Path) -> bool:
    """Whether a path is written in place, because it is a device, a pipe, a socket or the file of a descriptor."""
    if str(path.absolute()).startswith(_DEVICES):
        return True
    return path.exists() and not path.is_file()


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file that replaces `path` in one step where the block ends without an error; of a link, it replaces the target.

    Until then it lies beside `path` under a random name. Permissions stay.
    """
    target = path.resolve() if path.is_symlink() else path
    beside = target.with_name(f".{target.name[:100]}.{secrets.token_hex(8)}.part")
    file = os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "wb")
    try:
        with file:
            yield file
            if target.exists():
                os.chmod(beside, stat.S_IMODE(target.stat().st_mode))
        beside.replace(target)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


@contextmanager
def folder(path: Path) -> Iterator[Path]:
    """An empty folder that takes the place of `path` where the block ends without an error.

    Until then it lies beside `path`, or beside what a link leads to, under a random name, and what is at `path` stays.
    """
    target = path.resolve()
    beside = Path(tempfile.mkdtemp(prefix=f".{target.name[:100]}.", dir=target.parent))
    before = beside.with_name(f"{beside.name}.before")
    try:
        beside.chmod(0o755)
        yield beside
        if target.exists():
            target.rename(before)
        try:
            beside.rename(target)
        except OSError:
            if before.exists():
                before.rename(target)
            raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    shutil.rmtree(before, ignore_errors=True)


@contextmanager
def blaming(path: str | Path) -> Iterator[None]:
    """Turn an OSError into one sentence about the path that is written.

    Raises:
        InputError: instead of OSError.

    """
    try:
        yield
    except OSError as error:
        raise InputError(f"can't write {path}: {error.strerror or error}") from error


def write(path: str | Path, pieces: Iterable[bytes]) -> None:
    """Write pieces to a device or a pipe as they come; a file is replaced in one step, once every piece is there.

    Raises:
        InputError: the system refuses to write; a file is then as it was before.

    """
    target = Path(path)
    if in_place(target):
        with blaming(path):
            file = target.open("wb", buffering=0)
        with file:
            for piece in pieces:
                with blaming(path):
                    write_all(file, piece)
    else:
        content = b"".join(pieces)  # before the file is opened: what fails here is not blamed on it
        with blaming(path), replacing(target) as whole:
            whole.write(content)


def write_all(file: IO[bytes], data: bytes) -> None:
    """Write all bytes to an unbuffered file, whose `write` may take only a part of them."""
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]


def check_file(path: Path) -> None:
    """Refuse a file that can't be written, before the work is done whose result it takes.

    Raises:
        InputError: it is a folder, or its folder is missing or can't be written.

    """
    folder = path.absolute().parent
    if path.is_dir():
        raise InputError(f"can't write {path}: it is a folder; name a file in it")
    if in_place(path):
        return
    if not folder.is_dir():
        raise InputError(f"can't write {path}: there is no folder {path.parent}; make it first")
    if not os.access(folder, os.W_OK):
        raise InputError(f"can't write {path}: the folder {path.parent} can't be written; name another one")


def check_folder(path: Path) -> None:
    """Refuse a folder that can't be made or written, likewise.

    Raises:
        InputError: it, or what it would be made in, is a file or can't be written.

    """
    present = next(p for p in (path.absolute(), *path.absolute().parents) if p.exists())
    if not present.is_dir() or not os.access(present, os.W_OK):
        reason = "can't be written" if present.is_dir() else "is no folder"
        raise InputError(f"can't write {path}: {present} {reason}; name another folder")
