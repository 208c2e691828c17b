"""Builds the compiled MaxSim kernel into the wheel where there is a C compiler; without one the wheel is pure Python.

The library has a plain C interface, so one wheel per platform serves every Python. `CC=false pip wheel .` builds the
pure wheel on purpose; there NumPy computes the same scores.
"""

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE = Path("src/resift/engine/maxsim.c")
LIBRARY = Path("src/resift/engine/_maxsim.so")


def compile_kernel(source: Path, library: Path) -> str:
    """Compile; returns why it could not be done, else an empty text."""
    compiler = os.environ.get("CC") or next(filter(shutil.which, ("cc", "gcc", "clang")), "")
    if not compiler or os.name == "nt":
        return "there is no C compiler"
    # Without -fno-tree-pre GCC copies all sums at each step: half the speed.
    flags = ["-O3", "-fno-tree-pre", "-std=gnu11", "-pthread", "-fPIC", "-shared", "-fvisibility=hidden"]
    part = library.with_suffix(".part")
    done = subprocess.run(
        [*compiler.split(), *flags, "-o", str(part), str(source)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        part.unlink(missing_ok=True)
        return f"{compiler} failed: {done.stderr.strip()[:400]}"
    part.replace(library)  # a process that has the old one loaded keeps it
    return ""


class KernelHook(BuildHookInterface):
    """Compiles before the files of a wheel, or of an editable install, are collected."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the library and the platform's tag; say so when there is none."""
        root = Path(self.root)
        if reason := compile_kernel(root / SOURCE, root / LIBRARY):
            if version == "editable":
                (root / LIBRARY).unlink(missing_ok=True)  # of an older source: better none
            self.app.display_warning(f"resift: MaxSim is left to NumPy, {reason}")
            return
        build_data["artifacts"].append(str(LIBRARY))
        build_data["pure_python"] = False
        build_data["tag"] = "py3-none-" + sysconfig.get_platform().replace("-", "_").replace(".", "_")
