"""Symmetric rounding of vectors and matrices to whole numbers, with scales that restore them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from resift.engine.batching import FloatArray

_EXACT = 1e-3  # steps of a scale by which values may be off that were restored from whole numbers
_ROWS = 32  # compared at a time, so that what is in between stays in the cache
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


def round_weights(weight: FloatArray, group: int) -> tuple[npt.NDArray[np.int8], FloatArray]:
    """A matrix (outputs, inputs) in -127..127, with the f32 scales (outputs, 1) or (outputs, inputs / group) of it.

    A scale per output where that loses nothing, as with weights that were stored so. Else a scale per `group` inputs:
    one that restores multiples of an eighth of the group's largest weight, if all are such, as with weights that were
    stored at 4 bits, else a 127th of the largest.
    """
    whole, scales = round_symmetric(weight, axis=1)
    if _restores(whole, scales, weight):
        return whole, scales
    groups = weight.reshape(len(weight), -1, group)
    whole, scales = round_symmetric(groups, axis=2, largest=120)
    if not _restores(whole, scales, groups):
        whole, scales = round_symmetric(groups, axis=2)
    return whole.reshape(weight.shape), scales[:, :, 0]


def _restores(whole: npt.NDArray[np.int8], scales: FloatArray, values: FloatArray) -> bool:
    """Whether whole numbers times scales are the values, but for the arithmetic."""
    with np.errstate(invalid="ignore"):
        for at in range(0, len(values), _ROWS):
            rows = slice(at, at + _ROWS)
            if not (np.abs(whole[rows] * scales[rows] - values[rows]) <= _EXACT * scales[rows]).all():
                return False
    return True
