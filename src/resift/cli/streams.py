"""stdin, stdout and stderr of a command, and what happens when one is closed, full, or can't show a character.

Tables and messages are in the locale's encoding, with a question mark for what it lacks; JSON and runs are UTF-8.
"""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING, cast

from resift.errors import InputError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer


class _Closed(io.RawIOBase):
    """A stream that was closed before the command began."""

    def __init__(self, name: str, remedy: str) -> None:
        self._message, self._refused = f"{name} is closed; {remedy}", False

    def readable(self) -> bool:
        """So that it can be opened."""
        return True

    def writable(self) -> bool:
        """So that it can be opened."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Refuse."""
        raise InputError(self._message)

    def write(self, data: ReadableBuffer) -> int:
        """Refuse the first write; the rest, which Python flushes when it ends, is dropped."""
        if self._refused:
            return len(memoryview(data))
        self._refused = True
        raise InputError(self._message)


class _Stdout(io.FileIO):
    """stdout, whose errors name it; after the first error the rest is dropped."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "wb", closefd=False)
        self._failed = False

    def write(self, data: ReadableBuffer) -> int:
        """Write; an error is raised as one sentence about stdout."""
        try:
            return len(memoryview(data)) if self._failed else super().write(data)
        except BrokenPipeError:  # the reader has seen enough and closed the pipe
            self._failed = True
            raise
        except OSError as error:
            self._failed = True
            raise InputError(f"can't write to stdout: {error.strerror or error}") from error


def prepare() -> None:
    """Replace Python's streams by ones that write any character in any locale, and whose errors are one sentence."""
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.BufferedReader(_Closed("stdin", "give a file, or pipe something in")))
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - for as long as the process lives
    elif isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr.reconfigure(errors="replace")
    if sys.stdout is None:
        raw: io.RawIOBase = _Closed("stdout", "send it to a file or to /dev/null")
        sys.stdout = io.TextIOWrapper(io.BufferedWriter(raw), "utf-8", "replace")
    elif isinstance(sys.stdout, io.TextIOWrapper):
        old = sys.stdout
        old.flush()
        buffer = io.BufferedWriter(_Stdout(old.fileno()))
        sys.stdout = io.TextIOWrapper(buffer, old.encoding, "replace", line_buffering=old.line_buffering)


def put(text: str) -> None:
    """Write text to stdout as UTF-8, whatever the locale."""
    sys.stdout.flush()
    out = cast(io.TextIOWrapper, sys.stdout).buffer
    out.write(text.encode("utf-8", "replace"))
    out.flush()


def is_stdout(path: str) -> bool:
    """Whether a path names what stdout is: "-", /dev/stdout, or the pipe or file that it leads to."""
    if path == "-":
        return True
    try:
        return os.path.samestat(os.stat(path), os.fstat(1))
    except OSError:
        return False


def decoded(argument: str) -> str:
    """An argument of the command line; where the locale could not decode it, it is decoded as UTF-8."""
    return (
        os.fsencode(argument).decode("utf-8", "replace")
        if any("\udc80" <= c <= "\udcff" for c in argument)
        else argument
    )
