"""The compiled MaxSim kernel (`maxsim.c`), where the installed wheel has one."""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path

from resift import machine
from resift.engine.native.library import load

LIBRARY = Path(__file__).with_name("_maxsim.so")
LEVELS = {1: "portable C", 2: "AVX2", 3: "AVX-512 VNNI"}
HALVES = 3  # the level from which a kernel reads f16


_CALLS = 1  # CALLS in maxsim.c


class MaxSimWork(ctypes.Structure):
    """The record of the same name in maxsim.c."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("n", "dims", "query_length")),
        *((name, ctypes.c_void_p) for name in ("values", "scales", "lengths", "places", "cosines")),
        *((name, ctypes.c_void_p) for name in ("query", "query_int16", "int16_scales")),
        ("level", ctypes.c_int),
    ]


class Kernel:
    """The functions of a loaded library; `level` is the best that this processor can do with it."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        self.level = min(int(library.resift_maxsim_level()), _highest_level())

    @property
    def name(self) -> str:
        """The instructions that the kernel computes with."""
        return LEVELS[self.level]

    def run(self, work: MaxSimWork, threads: int) -> None:
        """Fill the work's places and cosines; other Python threads run meanwhile.

        Raises:
            MemoryError: no memory for a copy of the query.

        """
        if not self._library.resift_maxsim(ctypes.byref(work), threads):
            raise MemoryError("no memory for MaxSim's query")


def _highest_level() -> int:
    """The highest level that `RESIFT_CPU` allows; all levels where the variable is not set."""
    if not machine.cpu_level():
        return max(LEVELS)
    return 3 if machine.has_vnni() else 2


@cache
def kernel() -> Kernel | None:
    """The compiled kernel; None where the installed wheel is pure Python, or its library is of another version."""
    return open_kernel(LIBRARY)


def open_kernel(path: Path) -> Kernel | None:
    """The kernel of a library; None where there is none, or, with a warning, where it is of another version."""
    library = load(path, "resift_maxsim", _CALLS, [MaxSimWork])
    return None if library is None else Kernel(library)
