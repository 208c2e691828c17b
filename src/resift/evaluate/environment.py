"""Where figures were made: machine, versions, models."""

from __future__ import annotations

import platform
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from resift.machine import cores, processor
from resift.types import ModelInfo

_PACKAGES = ("resift", "ir-measures", "pytrec-eval-terrier", "numpy", "bm25s", "tokenizers", "openvino", "torch")


def machine() -> dict[str, Any]:
    """Processor, cores, system, and the versions of what computes; a package that is not installed is left out."""
    facts: dict[str, Any] = {
        "cpu": processor(), "cores": cores(), "system": platform.platform(), "python": platform.python_version()
    }  # fmt: skip
    return facts | {"versions": {name: number for name in _PACKAGES if (number := _version(name))}}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def model_facts(info: ModelInfo) -> dict[str, Any]:
    """What a reader wants to know of a model."""
    facts = asdict(info)
    return {key: facts[key] for key in ("name", "kind", "family", "fingerprint", "runs_on", "licence", "languages")}
