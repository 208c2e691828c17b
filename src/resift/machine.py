"""What this computer is: its processor, its cores, its memory."""

from __future__ import annotations

import ctypes
import gc
import os
import platform
import sys
from functools import cache
from pathlib import Path

from resift.errors import InputError

VARIABLE = "RESIFT_CPU"
# The levels that `RESIFT_CPU` may name, from the lowest: the flags (names of Linux) that each adds, and its name in
# oneDNN, which OpenVINO uses.
LEVELS = {
    "avx2": (("avx2", "fma"), "AVX2"),
    "avx512": (("avx512f", "avx512bw", "avx512dq", "avx512vl"), "AVX512_CORE"),
    "vnni": (("avx512_vnni",), "AVX512_CORE_VNNI"),
    "bf16": (("avx512_bf16",), "AVX512_CORE_BF16"),
    "amx": (("amx_tile", "amx_bf16", "amx_int8"), "AVX512_CORE_AMX"),
}
_FAMILIES = ("avx512", "amx", "avx_vnni")  # prefixes of x86 flags above AVX2
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30}
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 0
_M_ARENA_MAX = -8  # its number in glibc's malloc.h


def cpu_level() -> str:
    """The level of `RESIFT_CPU`, which kernels do not exceed; empty where they may use all that the processor has.

    Resift's kernels and choices keep to it. So do the kernels that OpenVINO takes from oneDNN, but not those that it
    takes from elsewhere, such as its products at f32.

    Raises:
        InputError: the variable names no level.

    """
    level = os.environ.get(VARIABLE, "")
    if level and level not in LEVELS:
        raise InputError(f"{VARIABLE} is one of {', '.join(LEVELS)}; not {level!r}")
    return level


def features() -> frozenset[str]:
    """The processor's flags by Linux's names, without those above `cpu_level`; empty where the system has no list."""
    return _up_to(_all_flags(), cpu_level())


def levels() -> list[str]:
    """The levels that this processor has, from the lowest."""
    flags = _all_flags()
    return [level for level, (needed, _) in LEVELS.items() if flags.issuperset(needed)]


def has_amx() -> bool:
    """Whether the processor multiplies tiles of bf16 (AMX)."""
    return "amx_bf16" in features()


def has_vnni() -> bool:
    """Whether AVX-512 multiplies int8 in one instruction."""
    return "avx512_vnni" in features()


def has_bf16() -> bool | None:
    """Whether the processor multiplies bf16 (AMX, AVX-512 BF16, Arm BF16); None where the system lists no flags."""
    flags = features()
    return bool(flags & {"amx_bf16", "avx512_bf16", "bf16"}) if flags else None


@cache
def _all_flags() -> frozenset[str]:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return frozenset(next((v.split() for k, _, v in _fields(lines) if k.strip() in ("flags", "Features")), []))


def _fields(lines: list[str]) -> list[tuple[str, str, str]]:
    return [line.partition(":") for line in lines]


@cache
def _up_to(flags: frozenset[str], level: str) -> frozenset[str]:
    if not level:
        return flags
    allowed = {flag for name in list(LEVELS)[: list(LEVELS).index(level) + 1] for flag in LEVELS[name][0]}
    return frozenset(flag for flag in flags if flag in allowed or not flag.startswith(_FAMILIES))


def cores() -> int:
    """How many threads to start: the physical cores that this process may use, within its container's share."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    return _cores(frozenset(allowed), Path("/"))


@cache
def _cores(allowed: frozenset[int], root: Path) -> int:
    """Physical cores among the allowed processors, whose threads share arithmetic; `root` has /sys and /proc."""
    siblings = (root / f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list" for cpu in allowed)
    physical = {_text(path) or str(path) for path in siblings}
    return max(1, min(len(physical), *_shares(root)))


def _shares(root: Path) -> list[int]:
    """The processor time, in processors rounded up, of each control group of the process and of the groups above it."""
    shares = []
    for line in (_text(root / "proc/self/cgroup") or "0::/").splitlines():
        _, controllers, group = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = root / "sys/fs/cgroup" / ("cpu" if controllers else "")
        for folder in [top / group.strip("/"), *(top / group.strip("/")).parents]:
            if not controllers:
                limit = _text(folder / "cpu.max")
            else:  # version 1 of control groups
                limit = f"{_text(folder / 'cpu.cfs_quota_us')} {_text(folder / 'cpu.cfs_period_us')}"
            quota, _, period = limit.partition(" ")
            if quota.isdecimal() and period.isdecimal() and int(period):
                shares.append(-(-int(quota) // int(period)))
            if folder == top:
                break
    return shares or [sys.maxsize]


def _text(path: Path) -> str:
    """The text of a file of the system; empty where it can't be read, because the text is only a hint."""
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""


@cache
def processor() -> str:
    """The processor's name in the system's words."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    return name or platform.processor()


def resident() -> int:
    """Bytes of memory that the process uses, pages of mapped files included; 0 where the system has no such number."""
    return _pages()[0] * _PAGE


def held() -> int:
    """The same without the pages of mapped files, such as an index's, which the system takes back at need."""
    whole, mapped = _pages()
    return (whole - mapped) * _PAGE


def _pages() -> tuple[int, int]:
    """The number of resident pages, and of those that belong to files or are shared."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return 0, 0
    _, whole, mapped, *_ = map(int, statm.read_text().split())
    return whole, mapped


def parse_size(text: str) -> int:
    """Bytes of "6GiB", "500M" or "1000000".

    Raises:
        InputError: the text is no size.

    """
    number = text.strip().lower().removesuffix("b")
    unit = number.lstrip("0123456789.")
    digits = number[: len(number) - len(unit)]
    try:
        return int(float(digits) * _UNITS[unit.strip()])
    except (KeyError, ValueError, OverflowError) as error:
        raise InputError(f"{text!r} is no size; write it as 6GiB, 500MB or a number of bytes") from error


def trim() -> None:
    """Give freed memory back to the system; the C library does so only on request."""
    gc.collect()
    if (libc := _glibc()) is not None:
        libc.malloc_trim(0)


def few_arenas() -> None:
    """Let all threads share two pools of memory; call it before threads start.

    By default glibc makes up to eight pools per core, and a thread can't use memory that another thread freed in its
    pool: the memory of a server grows for hours.
    """
    if (libc := _glibc()) is not None:
        libc.mallopt(_M_ARENA_MAX, 2)


def _glibc() -> ctypes.CDLL | None:
    """The C library, where it has these functions; that of musl and of other systems has not."""
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    return libc if hasattr(libc, "malloc_trim") and hasattr(libc, "mallopt") else None
