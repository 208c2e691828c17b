"""Weights in files of safetensors or torch.save, read without torch."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from resift.engine.weights.rounded import SCALE, matrices, restored
from resift.engine.weights.torch_archive import read_archive, saved_tensors
from resift.errors import BrokenModel

T = TypeVar("T")


def weight_files(folder: Path) -> list[Path]:
    """The folder's safetensors files; where there are none, its pytorch_model.bin, whole or in parts.

    Raises:
        BrokenModel: there are neither.

    """
    for pattern in ("*.safetensors", "pytorch_model.bin", "pytorch_model-*.bin"):
        if files := sorted(folder.glob(pattern)):
            return files
    raise BrokenModel(f"{folder} has no weights in model.safetensors or pytorch_model.bin; fetch the model again")


# Layer norms as TensorFlow named them; checkpoints that were converted long ago have these still.
_OLDER = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}


def _today(tensors: Mapping[str, T]) -> dict[str, T]:
    """The same tensors under the names of today."""
    names = {}
    for name, tensor in tensors.items():
        older = next((end for end in _OLDER if name.endswith(end)), "")
        names[name.removesuffix(older) + _OLDER.get(older, "")] = tensor
    return names


def rows(files: Sequence[Path], name: str) -> int:
    """The length of a tensor whose name ends so; 0 where no file has it."""
    for file in files:
        for other, tensor in header(file).items():
            if other.endswith(name):
                return int((tensor["shape"] if isinstance(tensor, Mapping) else tensor.shape)[0])
    return 0


def header(file: Path) -> Mapping[str, Any]:
    """What a file of weights holds, by name, without its data; a rounded matrix stands under its own name."""
    if file.suffix == ".bin":
        return _today(saved_tensors(file))
    tensors = _stored(file)
    rounded = matrices(tensors)
    parts = {part for matrix, whole in rounded.items() for part in (whole, matrix + SCALE)}
    others = {name: tensor for name, tensor in tensors.items() if name not in parts}
    return _today(others | {matrix: tensors[whole] for matrix, whole in rounded.items()})


def _stored(file: Path) -> Mapping[str, Any]:
    """The header of a safetensors file, under the names that stand there."""
    try:
        with file.open("rb") as f:
            header = json.loads(f.read(int.from_bytes(f.read(8), "little")))
    except (OSError, ValueError, MemoryError, OverflowError) as error:
        raise BrokenModel(f"{file} is no safetensors file ({error}); fetch the model again") from error
    header.pop("__metadata__", None)
    return header  # type: ignore[no-any-return]


def read_weights(files: Sequence[Path]) -> dict[str, npt.NDArray[np.float32]]:
    """All tensors of files that are of these kinds, as f32; bf16, which NumPy lacks, is widened by its bits.

    Raises:
        BrokenModel: a damaged file.

    """
    weights: dict[str, npt.NDArray[np.float32]] = {}
    for file in files:
        weights |= _today(read_archive(file) if file.suffix == ".bin" else _read_safetensors(file))
    return weights


_KINDS = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}
_WHOLE = {"U8": "u1", "I8": "i1"}  # of rounded matrices; other whole numbers, such as position ids, are no weights


def _read_safetensors(file: Path) -> dict[str, npt.NDArray[np.float32]]:
    """Tensors that share one copy of the file: 8 bytes that say how long the header is, the header, the data."""
    tensors, data = _stored(file), np.fromfile(file, np.uint8)
    first = 8 + int.from_bytes(data[:8].tobytes(), "little")
    whole = set(matrices(tensors).values())
    values = {}
    for name, tensor in tensors.items():
        try:
            kinds = _WHOLE if name in whole else _KINDS
            if tensor["dtype"] in kinds:
                values[name] = _widened(_values(data, tensor, kinds[tensor["dtype"]], first), tensor["dtype"])
        except (TypeError, KeyError, ValueError, OverflowError) as error:
            raise BrokenModel(f"{file} is damaged: its tensor {name} is not whole; fetch the model again") from error
    try:
        return restored(values)
    except ValueError as error:
        raise BrokenModel(f"{file} is damaged ({error}); fetch the model again") from error


def _values(data: npt.NDArray[np.uint8], tensor: Mapping[str, Any], kind: str, first: int) -> npt.NDArray[Any]:
    """The values of one tensor, whose bytes count from `first`."""
    shape, (start, end) = tensor["shape"], tensor["data_offsets"]
    values = np.frombuffer(data, kind, math.prod(shape), first + start).reshape(shape)
    if values.nbytes != end - start or min([start, *shape]) < 0:
        raise ValueError(f"{values.nbytes} bytes by its shape {shape}, bytes {start} to {end} by its place")
    return np.require(values, requirements="A")


def _widened(values: npt.NDArray[Any], kind: str) -> npt.NDArray[Any]:
    """BF16 as f32, by its bits; other kinds as they are."""
    return (values.astype(np.uint32) << 16).view(np.float32) if kind == "BF16" else values
