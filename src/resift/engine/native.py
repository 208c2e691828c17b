"""The compiled MaxSim kernel (`maxsim.c`), where the installed wheel has one, and the cores that kernels run on."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
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


def cores() -> int:
    """How many threads are worth starting: physical cores that this process may use, within its container's share."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    return _cores(frozenset(allowed), Path("/"))


@cache
def _cores(allowed: frozenset[int], root: Path) -> int:
    """Cores of the allowed processors: the threads of one core share its arithmetic. `root` is that of the files."""
    siblings = (root / f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list" for cpu in allowed)
    physical = {_text(path) or str(path) for path in siblings}
    return max(1, min(len(physical), *_shares(root)))


def _shares(root: Path) -> list[int]:
    """Processors' worth of time, rounded up, that each control group of the process gives: its own and those above."""
    found = []
    for line in (_text(root / "proc/self/cgroup") or "0::/").splitlines():
        _, controllers, own = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = root / "sys/fs/cgroup" / ("cpu" if controllers else "")
        for folder in [top / own.strip("/"), *(top / own.strip("/")).parents]:
            if not controllers:
                limit = _text(folder / "cpu.max")
            else:  # version 1 of control groups
                limit = f"{_text(folder / 'cpu.cfs_quota_us')} {_text(folder / 'cpu.cfs_period_us')}"
            quota, _, period = limit.partition(" ")
            if quota.isdecimal() and period.isdecimal() and int(period):
                found.append(-(-int(quota) // int(period)))
            if folder == top:
                break
    return found or [sys.maxsize]


def _text(path: Path) -> str:
    """What a file of the system holds; nothing where there is none or it may not be read: it is only a hint."""
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""


@cache
def processor() -> str:
    """The CPU's name, as the system tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    return name or platform.processor()
