"""Matrices that a safetensors file holds rounded: 4 bits with a scale per 32 values, or 8 bits with a scale per row.

A matrix NAME (rows, columns) stands there as NAME.q4 (U8, rows, columns / 2) with NAME.scale (rows, columns / 32), or
as NAME.q8 (I8, rows, columns) with NAME.scale (rows, 1). Of 32 values at 4 bits the first sixteen are the low halves of
sixteen bytes and the others the high ones, each plus 8.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

FOUR, EIGHT, SCALE = ".q4", ".q8", ".scale"
BLOCK = 32  # values that share a scale at 4 bits
_ROWS = 16_384  # restored at a time, so that what is in between takes little memory


def matrices(names: Collection[str]) -> dict[str, str]:
    """The rounded matrices among stored tensors: the name of each, and that of its whole numbers."""
    ends = {name: name.removesuffix(FOUR).removesuffix(EIGHT) for name in names}
    return {matrix: name for name, matrix in ends.items() if name != matrix and matrix + SCALE in names}


def restored(tensors: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[np.float32]]:
    """The tensors in f32, rounded matrices under their own names.

    Raises:
        ValueError: whole numbers and scales whose shapes don't belong together.

    """
    rounded = matrices(tensors)
    parts = {part for matrix, whole in rounded.items() for part in (whole, matrix + SCALE)}
    weights = {name: np.asarray(value, np.float32) for name, value in tensors.items() if name not in parts}
    for matrix, whole in rounded.items():
        weights[matrix] = _times(tensors[whole], tensors[matrix + SCALE], whole.endswith(FOUR), matrix)
    return weights


def _times(values: npt.NDArray[Any], scales: npt.NDArray[Any], four: bool, name: str) -> npt.NDArray[np.float32]:
    rows, columns = values.shape[0], values.shape[1] * (2 if four else 1)
    if scales.shape != (rows, columns // BLOCK if four else 1):
        raise ValueError(f"{name} is ({rows}, {columns}), its scales are {scales.shape}")
    matrix = np.empty((rows, columns), np.float32)
    for at in range(0, rows, _ROWS):
        part, factors = values[at : at + _ROWS], scales[at : at + _ROWS].astype(np.float32)
        if four:
            halves = part.reshape(len(part), -1, BLOCK // 2)
            whole = np.concatenate([halves & 15, halves >> 4], axis=2).astype(np.int8) - np.int8(8)
            np.multiply(whole, factors[:, :, None], out=matrix[at : at + _ROWS].reshape(whole.shape))
        else:
            np.multiply(part, factors, out=matrix[at : at + _ROWS])
    return matrix


def rounded_to_four(matrix: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float16]]:
    """A matrix (rows, columns) as halves of bytes, and scales; columns are a multiple of 32."""
    blocks = matrix.reshape(len(matrix), -1, BLOCK)
    extreme = np.take_along_axis(blocks, np.abs(blocks).argmax(2)[:, :, None], 2)
    scales = (extreme / -8).astype(np.float16)
    factors = np.where(scales == 0, 1, scales).astype(np.float32)
    whole = (np.clip(np.rint(blocks / factors), -8, 7) + 8).astype(np.uint8)
    halves = whole[:, :, : BLOCK // 2] | whole[:, :, BLOCK // 2 :] << 4
    return halves.reshape(len(matrix), -1), scales[:, :, 0]
