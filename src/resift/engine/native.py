"""The compiled MaxSim kernel (`maxsim.c`), where the installed wheel has one; see `hatch_build.py`."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from functools import cache
from pathlib import Path

LIBRARY = Path(__file__).with_name("_maxsim.so")
_LEVELS = {1: "portable C", 2: "AVX2", 3: "AVX-512 VNNI"}
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
    """How many threads are worth starting: physical cores that this process may use, within its container's share."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    return _cores(frozenset(allowed), Path("/sys"))


@cache
def _cores(allowed: frozenset[int], system: Path) -> int:
    """Cores of the allowed processors: the threads of one core share its arithmetic. `system` is where sysfs lies."""
    siblings = (system / f"devices/system/cpu/cpu{cpu}/topology/thread_siblings_list" for cpu in allowed)
    physical = {path.read_text() if path.exists() else str(path) for path in siblings}
    return max(1, min(len(physical), _share(system / "fs/cgroup")))


def _share(groups: Path) -> int:
    """Processors' worth of time that the control group gives, rounded up; very many where it sets no limit."""
    both, quota, period = groups / "cpu.max", groups / "cpu/cpu.cfs_quota_us", groups / "cpu/cpu.cfs_period_us"
    if both.exists():
        limit, per = both.read_text().split()
    elif quota.exists() and period.exists():  # version 1 of control groups
        limit, per = quota.read_text(), period.read_text()
    else:
        return sys.maxsize
    return sys.maxsize if limit == "max" or int(limit) < 0 else -(-int(limit) // int(per))


@cache
def processor() -> str:
    """The CPU's name, as the system tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    return name or platform.processor()
