"""Weights in files of safetensors or torch.save, read without torch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from resift.engine.torch_archive import read_archive, saved_tensors
from resift.errors import BrokenModel


def weight_files(folder: Path) -> list[Path]:
    """The folder's safetensors files; where there are none, its pytorch_model.bin, whole or in parts.

    Raises:
        BrokenModel: there are neither.

    """
    for pattern in ("*.safetensors", "pytorch_model.bin", "pytorch_model-*.bin"):
        if files := sorted(folder.glob(pattern)):
            return files
    raise BrokenModel(f"{folder} has no weights in model.safetensors or pytorch_model.bin; fetch the model again")


def header(file: Path) -> Mapping[str, Any]:
    """What a file of weights holds, by name, without its data."""
    if file.suffix == ".bin":
        return saved_tensors(file)
    try:
        with file.open("rb") as f:
            header = json.loads(f.read(int.from_bytes(f.read(8), "little")))
    except (OSError, ValueError, MemoryError, OverflowError) as error:
        raise BrokenModel(f"{file} is no safetensors file ({error}); fetch the model again") from error
    header.pop("__metadata__", None)
    return header  # type: ignore[no-any-return]


def read_weights(files: Sequence[Path]) -> dict[str, npt.NDArray[np.float32]]:
    """All tensors of files as f32; bf16, which NumPy lacks, is widened by its bits.

    Raises:
        BrokenModel: a damaged file.

    """
    import safetensors

    weights: dict[str, npt.NDArray[np.float32]] = {}
    for file in files:
        if file.suffix == ".bin":
            weights |= read_archive(file)
            continue
        try:
            tensors = safetensors.deserialize(file.read_bytes())
        except (OSError, safetensors.SafetensorError) as error:
            raise BrokenModel(f"{file} is damaged ({error}); fetch the model again") from error
        for name, tensor in tensors:
            if tensor["dtype"] == "BF16":
                bits = np.frombuffer(tensor["data"], np.uint16).astype(np.uint32) << 16
                weights[name] = bits.view(np.float32).reshape(tensor["shape"])
            elif tensor["dtype"] in ("F32", "F16"):
                kind = np.float32 if tensor["dtype"] == "F32" else np.float16
                weights[name] = (
                    np.frombuffer(tensor["data"], kind).reshape(tensor["shape"]).astype(np.float32, copy=False)
                )
    return weights
