"""Weights of safetensors files, held against the library that wrote them."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from resift.engine.weights.checkpoint_files import read_weights
from resift.errors import BrokenModel


@pytest.fixture
def tensors() -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    wide = torch.randn(5, 7, generator=rng)
    return {"f32": wide, "f16": wide.half(), "bf16": wide.bfloat16(), "one": torch.tensor(3.5), "none": wide[:0]}


def test_every_kind_is_widened_exactly(tensors: dict[str, torch.Tensor], tmp_path: Path) -> None:
    save_file(tensors | {"positions": torch.arange(9)}, tmp_path / "model.safetensors", {"format": "pt"})
    found = read_weights([tmp_path / "model.safetensors"])
    assert found.keys() == tensors.keys()  # whole numbers are left out
    for name, tensor in tensors.items():
        assert found[name].dtype == np.float32
        np.testing.assert_array_equal(found[name], tensor.float().numpy())


@pytest.mark.parametrize("spaces", [1, 2, 3, 4])
def test_data_that_is_not_aligned(tensors: dict[str, torch.Tensor], tmp_path: Path, spaces: int) -> None:
    file = tmp_path / "model.safetensors"
    save_file(tensors, file)
    whole = file.read_bytes()
    size = int.from_bytes(whole[:8], "little")
    file.write_bytes((size + spaces).to_bytes(8, "little") + whole[8 : 8 + size] + b" " * spaces + whole[8 + size :])
    found = read_weights([file])
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(found[name], tensor.float().numpy())


@pytest.mark.parametrize(
    "change",
    [
        {"data_offsets": [0, 1 << 40]},
        {"data_offsets": [-8, 132]},
        {"data_offsets": [0]},
        {"data_offsets": "all"},
        {"data_offsets": [1 << 80, (1 << 80) + 140]},
        {"shape": [5, 8]},
        {"shape": [-5, -7]},
        {"shape": [-1]},
        {"shape": None},
        {"dtype": []},
    ],
)
def test_a_header_that_lies(change: dict, tmp_path: Path) -> None:
    header = {"w": {"dtype": "F32", "shape": [5, 7], "data_offsets": [0, 140]} | change}
    text = json.dumps(header).encode()
    file = tmp_path / "model.safetensors"
    file.write_bytes(len(text).to_bytes(8, "little") + text + bytes(140))
    with pytest.raises(BrokenModel, match="w is not whole"):
        read_weights([file])


def test_a_file_that_was_cut_short(tensors: dict[str, torch.Tensor], tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    save_file(tensors, file)
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(BrokenModel, match="not whole"):
        read_weights([file])
