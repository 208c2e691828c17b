"""Frequencies of rotary position embeddings, and the scalings that encoders use."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

SCALINGS = ("default", "dynamic", "linear", "ntk")


def frequencies(dims: int, base: float, scaling: Mapping[str, Any] | None = None) -> npt.NDArray[np.float64]:
    """Radians per position, (dims / 2,).

    Scalings: "linear" divides them; "ntk" is the fixed and the mixed rule of https://kexue.fm/archives/9706, equations
    6 and 10-13, as mGTE uses it; "dynamic" changes nothing up to the window of the config, and no input is longer.
    """
    parameters = scaling or {}
    kind, factor, mixed = scaling_of(parameters), float(parameters.get("factor") or 1.0), parameters.get("mixed_b")
    halves = np.arange(dims // 2, dtype=np.float64)
    divided = np.ones(dims // 2)
    if kind == "linear":
        divided *= factor
    elif kind == "ntk" and mixed is None:
        base *= factor
        divided *= factor ** (2 / dims)
    elif kind == "ntk":
        divided = np.exp(math.log(factor) / (dims / 2) ** float(mixed or 0) * (halves + 1.0) ** float(mixed or 0))
    return np.asarray(np.power(base, -2.0 * halves / dims) / divided, dtype=np.float64)


def scaling_of(scaling: Mapping[str, Any] | None) -> str:
    """The name of a config's `rope_scaling` or `rope_parameters`; "default" when there is none."""
    parameters = scaling or {}
    return str(parameters.get("rope_type") or parameters.get("type") or "default")
