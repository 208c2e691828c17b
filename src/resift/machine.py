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
# From the least to the most: what `RESIFT_CPU` may name, the flags (Linux's names) that each one adds, and what
# oneDNN, under OpenVINO, calls it.
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


def held_to() -> str:
    """The level that `RESIFT_CPU` holds kernels to, as if the processor had no more; empty for all that it has.

    Raises:
        InputError: the variable names no level.

    """
    level = os.environ.get(VARIABLE, "")
    if level and level not in LEVELS:
        raise InputError(f"{VARIABLE} is one of {', '.join(LEVELS)}; not {level!r}")
    return level


def features() -> frozenset[str]:
    """The processor's flags by Linux's names, without those above `held_to`; empty where the system names none."""
    return _below(_all_flags(), held_to())


def levels() -> list[str]:
    """The levels that this processor has, from the least."""
    flags = _all_flags()
    return [level for level, (needed, _) in LEVELS.items() if flags.issuperset(needed)]


def has_amx() -> bool:
    """Whether there are tiles for products at bf16."""
    return "amx_bf16" in features()


def has_vnni() -> bool:
    """Whether AVX-512 multiplies int8 in one instruction."""
    return "avx512_vnni" in features()


def has_bf16() -> bool | None:
    """Whether the processor multiplies bf16 (AMX, AVX-512 BF16, Arm BF16); None where the system names no flags."""
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
def _below(flags: frozenset[str], level: str) -> frozenset[str]:
    if not level:
        return flags
    allowed = {flag for name in list(LEVELS)[: list(LEVELS).index(level) + 1] for flag in LEVELS[name][0]}
    return frozenset(flag for flag in flags if flag in allowed or not flag.startswith(_FAMILIES))


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
