"""How much memory the process holds, and a ceiling for it."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from pathlib import Path

from resift.errors import InputError, Overloaded

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30}
_M_ARENA_MAX = -8  # its number in glibc's malloc.h
_COPIES = 6  # a request's bytes, its body joined, its strings, and what tokenising makes of them


def resident() -> int:
    """Bytes of memory that the process holds now; 0 where the system doesn't tell."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if statm.exists() else 0


def parse_size(text: str) -> int:
    """Bytes of "6GiB", "500M" or "1000000".

    Raises:
        InputError: none of these.

    """
    number = text.strip().lower().removesuffix("b")
    unit = number.lstrip("0123456789.")
    digits = number[: len(number) - len(unit)]
    try:
        return int(float(digits) * _UNITS[unit.strip()])
    except (KeyError, ValueError) as error:
        raise InputError(f"{text!r} is no size; write it as 6GiB, 500MB or a number of bytes") from error


class Ceiling:
    """Refuses work that would take the process over `limit` bytes; 0: no limit.

    What the models need is known once they are warm: the rest is shared out to the bodies of requests.
    """

    def __init__(self, limit: int) -> None:
        self._limit, self._bodies, self._held = limit, 0, 0

    def settle(self) -> None:
        """Take the memory held now as what the models need.

        Raises:
            InputError: nothing is left for requests.

        """
        if not self._limit:
            return
        used = resident()
        self._bodies = (self._limit - used) // _COPIES
        if self._bodies < 1 << 20:
            raise InputError(
                f"the models alone hold {used >> 20} MiB of the {self._limit >> 20} MiB allowed; raise --max-memory to "
                f"{(used >> 20) + 64} MiB or more, or serve fewer models"
            )

    def hold(self, size: int) -> None:
        """Set memory aside for a request's body; raises Overloaded when there is none."""
        if self._bodies and self._held + size > self._bodies and (self._held or size > self._bodies):
            raise Overloaded(f"requests hold {self._held} bytes of {self._bodies} already; come again later", 1.0)
        if self._limit and resident() > self._limit:
            trim()
            if resident() > self._limit:
                raise Overloaded(f"the server is at its limit of {self._limit >> 20} MiB; come again later", 5.0)
        self._held += size

    def release(self, size: int) -> None:
        """Give a body's memory back."""
        self._held -= size


def trim() -> None:
    """Give freed memory back to the system, which the C library does only when it is asked."""
    gc.collect()
    if (libc := _glibc()) is not None:
        libc.malloc_trim(0)


def few_arenas() -> None:
    """Let all threads share two pools of memory; to be called before there are any.

    By default glibc gives threads eight pools per core, and what one thread freed in its pool is not there for the
    next: a server's memory grows for hours.
    """
    if (libc := _glibc()) is not None:
        libc.mallopt(_M_ARENA_MAX, 2)


def _glibc() -> ctypes.CDLL | None:
    """The C library, where it has these functions: musl and other systems' have not."""
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    return libc if hasattr(libc, "malloc_trim") and hasattr(libc, "mallopt") else None
