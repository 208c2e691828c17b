"""Symmetric rounding of vectors and matrices to whole numbers, with scales that restore them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from resift.engine.batching import FloatArray

_LEAST = 1e-12  # a largest absolute value below it counts as this much: rows of zeros have a scale too


def round_symmetric(
    values: FloatArray, axis: int, largest: int = 127, dtype: npt.DTypeLike = np.int8
) -> tuple[npt.NDArray[Any], FloatArray]:
    """Whole numbers in -largest..largest, and the f32 scales that restore `values`.

    All values along `axis` share a scale; the scales keep that axis with length 1. Where a value is not finite, its
    scale is not finite either, so that the error shows in every result.
    """
    most = np.abs(values).max(axis=axis, keepdims=True, initial=0.0)
    scales = np.maximum(most, _LEAST).astype(np.float32) / np.float32(largest)
    with np.errstate(invalid="ignore"):
        return np.rint(values / scales).astype(dtype), scales
