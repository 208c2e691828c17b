"""Weights of safetensors files, held against the library that wrote them."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import save_file as numpy_save
from safetensors.torch import save_file

from resift.engine.weights.checkpoint_files import read_weights
from resift.engine.weights.checkpoint_files import rows as rows_of
from resift.engine.weights.rounded import restored, rounded_to_four
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


def test_rounded_matrices_are_restored(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(70, 64)).astype(np.float32)
    halves, scales = rounded_to_four(matrix)
    whole = rng.integers(-127, 128, (5, 7)).astype(np.int8)
    rows = rng.random((5, 1)).astype(np.float32)
    tensors = {"a.q4": halves, "a.scale": scales, "b.q8": whole, "b.scale": rows, "norm.scale": rows[:, 0]}
    numpy_save(tensors, tmp_path / "model.safetensors")
    weights = read_weights([tmp_path / "model.safetensors"])
    assert weights.keys() == {"a", "b", "norm.scale"}  # a scale of no rounded matrix is a tensor of its own
    np.testing.assert_array_equal(weights["b"], whole.astype(np.float32) * rows)
    error = np.abs(weights["a"] - matrix).reshape(70, 2, 32).max(2)
    assert (error <= np.abs(matrix).reshape(70, 2, 32).max(2) / 8 * 1.01).all()
    assert rows_of([tmp_path / "model.safetensors"], "a") == 70


def test_four_bits_by_hand() -> None:
    values = np.arange(-8, 8, dtype=np.float32)
    matrix = 0.5 * np.concatenate([values, values[::-1]])[None]
    halves, scales = rounded_to_four(matrix)
    assert scales.tolist() == [[0.5]]
    assert halves[0, :2].tolist() == [0 | 15 << 4, 1 | 14 << 4]  # the values at 0 and 16, then at 1 and 17, plus 8
    np.testing.assert_array_equal(restored({"a.q4": halves, "a.scale": scales})["a"], matrix)


@settings(deadline=None)
@given(hnp.arrays(np.float32, (3, 64), elements=st.floats(-100, 100, width=32)))
def test_what_was_rounded_is_rounded_to_itself(matrix: np.ndarray) -> None:
    halves, scales = rounded_to_four(matrix)
    once = restored({"a.q4": halves, "a.scale": scales})["a"]
    again = restored(dict(zip(("a.q4", "a.scale"), rounded_to_four(once), strict=True)))["a"]
    assert np.abs(again - once).max() <= 1e-3 * max(1.0, float(np.abs(once).max()))


def test_scales_of_another_shape_are_refused(tmp_path: Path) -> None:
    tensors = {"a.q4": np.zeros((4, 32), np.uint8), "a.scale": np.ones((4, 1), np.float16)}
    numpy_save(tensors, tmp_path / "model.safetensors")
    with pytest.raises(BrokenModel, match=r"a is \(4, 64\), its scales are \(4, 1\)"):
        read_weights([tmp_path / "model.safetensors"])
