"""How much memory the process holds, and how to give some back."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from pathlib import Path

from resift.errors import InputError

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30}
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 0
_M_ARENA_MAX = -8  # its number in glibc's malloc.h


def resident() -> int:
    """Bytes of memory in use by the process, pages of mapped files included; 0 where the system doesn't tell."""
    return _pages()[0] * _PAGE


def held() -> int:
    """The same without the pages of mapped files, such as an index's: the system takes those back at need."""
    whole, mapped = _pages()
    return (whole - mapped) * _PAGE


def _pages() -> tuple[int, int]:
    """Resident pages, and those of them that lie in files or are shared."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return 0, 0
    _, whole, mapped, *_ = map(int, statm.read_text().split())
    return whole, mapped


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
    except (KeyError, ValueError, OverflowError) as error:
        raise InputError(f"{text!r} is no size; write it as 6GiB, 500MB or a number of bytes") from error


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
