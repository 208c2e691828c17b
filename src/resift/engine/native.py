"""The compiled MaxSim kernel (`maxsim.c`), where the installed wheel has one; see `hatch_build.py`."""

from __future__ import annotations

import ctypes
import os
import platform
from functools import cache
from pathlib import Path

LIBRARY = Path(__file__).with_name("_maxsim.so")
_LEVELS = {1: "portable C", 2: "AVX-512 VNNI"}


class Work(ctypes.Structure):
    """The record of the same name in maxsim.c."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("n", "dims", "asked")),
        *((name, ctypes.c_void_p) for name in ("values", "scales", "lengths", "places", "cosines")),
        *((name, ctypes.c_void_p) for name in ("query", "fine", "fine_scales")),
        ("level", ctypes.c_int),
    ]


class Kernel:
    """A loaded library; `level` is the best that this processor can do with it: 2 reads f16 too, 1 int8 only."""

    def __init__(self, library: Path) -> None:
        self._library = ctypes.CDLL(str(library))
        self.level = int(self._library.resift_maxsim_level())

    @property
    def name(self) -> str:
        """What the kernel computes with."""
        return _LEVELS[self.level]

    def run(self, work: Work, threads: int) -> None:
        """Fill the work's places and cosines; Python's lock is free meanwhile.

        Raises:
            MemoryError: no room for a copy of the query.

        """
        if not self._library.resift_maxsim(ctypes.byref(work), threads):
            raise MemoryError("no memory for MaxSim's query")


@cache
def kernel() -> Kernel | None:
    """The compiled kernel; None where the installed wheel is pure Python."""
    return Kernel(LIBRARY) if LIBRARY.exists() else None


def cores() -> int:
    """Processors that this process may use: how many threads are worth starting."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def processor() -> str:
    """The CPU's name, as the system tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    return name or platform.processor()
