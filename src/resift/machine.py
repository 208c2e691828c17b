"""What this computer is: the instruction sets that kernels may use, as found or as held down for a test."""

from __future__ import annotations

import os
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
