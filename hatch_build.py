"""Compiles the kernels into the wheel where there is a C compiler; without one the wheel is pure Python.

The libraries have plain C interfaces, so one wheel per platform serves every version of Python. `CC=false pip wheel .`
builds the pure wheel on purpose; with that NumPy computes MaxSim, and OpenVINO runs the encoders.
"""

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDER = Path("src/resift/engine/native")
KERNELS = {"MaxSim": ("maxsim.c", "_maxsim.so"), "the encoder": ("encoder.c", "_encoder.so")}


def compile_kernel(source: Path, library: Path) -> str:
    """Compile a library; returns the reason where that fails, else an empty text."""
    compiler = os.environ.get("CC") or next(filter(shutil.which, ("cc", "gcc", "clang")), "")
    if not compiler or os.name == "nt":
        return "there is no C compiler"
    # Without -fno-tree-pre GCC copies all sums at each step, which halves the speed.
    flags = ["-O3", "-fno-tree-pre", "-std=gnu11", "-pthread", "-fPIC", "-shared", "-fvisibility=hidden"]
    part = library.with_suffix(".part")
    process = subprocess.run(
        [*compiler.split(), *flags, "-o", str(part), str(source)], capture_output=True, text=True, check=False
    )
    if process.returncode:
        part.unlink(missing_ok=True)
        return f"{compiler} failed: {process.stderr.strip()[:400]}"
    part.replace(library)  # a process that has loaded the old one keeps it
    return ""


def compile_all(folder: str) -> None:
    """Compile every kernel into a folder; raises RuntimeError where one can't be."""
    for source, library in KERNELS.values():
        if reason := compile_kernel(FOLDER / source, Path(folder) / library):
            raise RuntimeError(f"{source}: {reason}")


class KernelHook(BuildHookInterface):
    """Compiles before hatchling collects the files of a wheel or of an editable install."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the libraries and the platform's tag; warn for each library that can't be compiled."""
        folder = Path(self.root) / FOLDER
        built = []
        for name, (source, library) in KERNELS.items():
            if reason := compile_kernel(folder / source, folder / library):
                if version == "editable":
                    (folder / library).unlink(missing_ok=True)  # it is of an older source
                self.app.display_warning(f"resift: {name} is not compiled, because {reason}")
            else:
                built.append(str(FOLDER / library))
        if not built:
            return
        build_data["artifacts"] += built
        build_data["pure_python"] = False
        build_data["tag"] = "py3-none-" + sysconfig.get_platform().replace("-", "_").replace(".", "_")
