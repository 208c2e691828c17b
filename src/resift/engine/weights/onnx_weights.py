"""NamedTensors of an ONNX file by the names that they have in the checkpoint, read without the package onnx.

For files whose matrices keep their names, as `runs/resift_mini_en/export.py` writes them: `NAME.weight_transposed` for
what a product takes (inputs, outputs). Field numbers are those of onnx.proto.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from resift.engine.graphs.names import NamedTensors
from resift.engine.weights.protobuf import fields_of, number_at
from resift.errors import BrokenModel

TRANSPOSED = ".weight_transposed"
_KINDS = {1: "<f4", 3: "i1", 10: "<f2"}  # TensorProto.DataType
_GRAPH, _INITIALIZER = 7, 5
_DIMS, _KIND, _NAME, _RAW = 1, 2, 8, 9

Field = tuple[int, int | memoryview]  # its number, and a whole number or bytes


def read_onnx_weights(path: Path) -> NamedTensors:
    """All matrices and vectors as f32, (outputs, inputs); int8 ones times their scales.

    Raises:
        BrokenModel: the file is cut off, or is none of ONNX.

    """
    stored = dict(_tensors(path))
    weights = {}
    for name, value in stored.items():
        plain = name.removesuffix("_int8").removesuffix("_fp16")
        if name.endswith("_scale") and name.removesuffix("_scale") + "_int8" in stored:
            continue
        scale = stored[f"{plain}_scale"] if name.endswith("_int8") else np.ones((1,) * value.ndim, np.float32)
        if plain.endswith(TRANSPOSED):
            plain, value, scale = plain.removesuffix(TRANSPOSED) + ".weight", value.T, scale.T
        weights[plain] = np.multiply(value, scale, dtype=np.float32, order="C")
    return weights


def names_matrices(path: Path) -> bool:
    """Whether the file's matrices bear their names.

    Raises:
        BrokenModel: see `read_onnx_weights`.

    """
    return any(TRANSPOSED in name for name, _ in _tensors(path))


def check_whole(path: Path) -> None:
    """Refuse a file that is cut off or none of ONNX, whatever its operations are.

    Raises:
        BrokenModel: see `read_onnx_weights`.

    """
    for _ in _tensors(path):
        pass


def _tensors(path: Path) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """Name and values of every initializer whose values lie in the file as bytes."""
    data = np.fromfile(path, np.uint8)
    try:
        graphs = [value for number, value in _fields(data.data) if number == _GRAPH]
        if not graphs:  # cut off where a field ends
            raise ValueError("no graph")
        for graph in graphs:
            for number, value in _fields(graph):
                if number == _INITIALIZER and (tensor := _tensor(value)):
                    yield tensor
    except (IndexError, ValueError, TypeError) as error:
        raise BrokenModel(f"{path} is damaged or was not fetched whole; fetch the model again") from error


def _tensor(message: int | memoryview) -> tuple[str, npt.NDArray[Any]] | None:
    dims: list[int] = []
    kind, name = 0, ""
    raw: memoryview | None = None
    for number, value in _fields(message):
        if number == _DIMS:
            dims += [value] if isinstance(value, int) else list(_packed(value))
        elif number == _KIND and isinstance(value, int):
            kind = value
        elif number == _NAME and not isinstance(value, int):
            name = bytes(value).decode()
        elif number == _RAW and not isinstance(value, int):
            raw = value
    if raw is None or kind not in _KINDS:
        return None
    return name, np.frombuffer(raw, _KINDS[kind]).reshape(dims)


def _fields(message: int | memoryview) -> Iterator[Field]:
    """The fields of a message."""
    if isinstance(message, int):
        raise TypeError("a number where a message should be")
    return fields_of(message)


def _packed(message: memoryview) -> Iterator[int]:
    at = 0
    while at < len(message):
        value, at = number_at(message, at)
        yield value
