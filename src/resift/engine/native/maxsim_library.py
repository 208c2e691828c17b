"""The compiled MaxSim kernel (`maxsim.c`), where the installed wheel has one."""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path

from resift import machine

LIBRARY = Path(__file__).with_name("_maxsim.so")
LEVELS = {1: "portable C", 2: "AVX2", 3: "AVX-512 VNNI"}
HALVES = 3  # the level from which a kernel reads f16


class Work(ctypes.Structure):
    """The record of the same name in maxsim.c."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("n", "dims", "asked")),
        *((name, ctypes.c_void_p) for name in ("values", "scales", "lengths", "places", "cosines")),
        *((name, ctypes.c_void_p) for name in ("query", "fine", "fine_scales")),
        ("level", ctypes.c_int),
    ]


class Kernel:
    """A loaded library; `level` is the best that this processor can do with it."""

    def __init__(self, library: Path) -> None:
        self._library = ctypes.CDLL(str(library))
        self.level = min(int(self._library.resift_maxsim_level()), _highest())

    @property
    def name(self) -> str:
        """What the kernel computes with."""
        return LEVELS[self.level]

    def run(self, work: Work, threads: int) -> None:
        """Fill the work's places and cosines; Python's lock is free meanwhile.

        Raises:
            MemoryError: no room for a copy of the query.

        """
        if not self._library.resift_maxsim(ctypes.byref(work), threads):
            raise MemoryError("no memory for MaxSim's query")


def _highest() -> int:
    """The level that `RESIFT_CPU` holds the kernel to; the best where nothing is said."""
    if not machine.held_to():
        return max(LEVELS)
    return 3 if machine.has_vnni() else 2


@cache
def kernel() -> Kernel | None:
    """The compiled kernel; None where the installed wheel is pure Python."""
    return Kernel(LIBRARY) if LIBRARY.exists() else None
