"""What a figure was measured on: processor, cores, memory, and the versions that matter."""

import importlib.metadata
import os
import platform
import subprocess


def machine(*packages: str) -> dict:
    """Describe this machine; `packages` are listed with their versions beside Resift's own."""
    lscpu = subprocess.run(["lscpu"], capture_output=True, text=True, check=False).stdout
    fields = dict(line.split(":", 1) for line in lscpu.splitlines() if ":" in line)
    flags = fields.get("Flags", "").split()
    all_packages = ("resift", "openvino", "numpy", "tokenizers", "bm25s", *packages)
    return {
        "cpu": fields.get("Model name", platform.processor()).strip(),
        "cores": len(os.sched_getaffinity(0)),
        "instructions": [f for f in flags if f.startswith(("amx", "avx512_bf16", "avx512_vnni", "avx512f"))],
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30),
        "python": platform.python_version(),
        "versions": {p: importlib.metadata.version(p) for p in all_packages},
    }
