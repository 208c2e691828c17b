"""What torch.save wrote is read as torch reads it; whatever else a pickle asks for is refused, and not run."""

import os
import pickle
import subprocess
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from resift.engine.weights.checkpoint_files import read_weights, weight_files
from resift.engine.weights.torch_archive import read_archive, saved_tensors
from resift.errors import BrokenModel


@pytest.mark.parametrize("zipped", [True, False])
def test_every_kind_of_tensor(tmp_path: Path, zipped: bool) -> None:
    """In the format of today, and in that of torch before 1.6."""
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6) / 7
    state = OrderedDict(
        plain=base, turned=base.T, part=base[1:3, 2:5], tied=base, wide=base[:, :1].expand(4, 3), none=base[:0],
        single=torch.tensor(2.5), half=base.half(), brain=base.bfloat16(), places=torch.arange(5),
        flag=torch.ones(2).bool(),
    )  # fmt: skip
    torch.save(state, tmp_path / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    assert zipfile.is_zipfile(tmp_path / "pytorch_model.bin") == zipped
    found = read_archive(tmp_path / "pytorch_model.bin")
    theirs = torch.load(tmp_path / "pytorch_model.bin", weights_only=True)
    assert list(found) == [n for n in state if n not in ("places", "flag")]
    for name, value in found.items():
        assert value.dtype == np.float32
        np.testing.assert_array_equal(value, theirs[name].float().numpy())
    assert saved_tensors(tmp_path / "pytorch_model.bin")["part"].shape == (2, 3)


def test_a_module_and_files_in_parts(tmp_path: Path) -> None:
    state = torch.nn.LSTM(3, 4).state_dict()
    names = sorted(state)
    torch.save({n: state[n] for n in names[:2]}, tmp_path / "pytorch_model-00001-of-00002.bin")
    torch.save({n: state[n] for n in names[2:]}, tmp_path / "pytorch_model-00002-of-00002.bin")
    found = read_weights(weight_files(tmp_path))
    assert sorted(found) == names
    for name in names:
        np.testing.assert_array_equal(found[name], state[name].numpy())


class Calls:
    """Pickles as the call of a function."""

    def __init__(self, function: Callable[..., Any], *args: object) -> None:
        self.call = function, args

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, ...]]:
        return self.call


def archive(path: Path, data: bytes, **storages: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", data)
        for key, numbers in storages.items():
            file.writestr(f"archive/data/{key}", numbers)
    return path


CALLS = {
    "os.system": lambda mark: Calls(os.system, f"touch {mark}"),
    "subprocess": lambda mark: Calls(subprocess.call, ["touch", str(mark)]),
    "eval": lambda mark: Calls(eval, f"open({str(mark)!r}, 'w')"),
    "open": lambda mark: Calls(open, str(mark), "w"),
    "getattr": lambda mark: Calls(getattr, "", "join"),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_code_is_refused_and_not_run(tmp_path: Path, call: str, protocol: int) -> None:
    mark = tmp_path / "ran"
    bad = {"weight": CALLS[call](mark)}
    path = archive(tmp_path / "colbert_linear.pt", pickle.dumps(bad, protocol))
    with pytest.raises(BrokenModel, match="nothing of it was run"):
        read_archive(path)
    assert not mark.exists()
    if call == "os.system":  # the trap is a real one
        pickle.loads(pickle.dumps(bad, protocol))
        assert mark.exists()


@pytest.mark.parametrize(
    "name", ["os system", "torch load", "torch.storage _load_from_bytes", "builtins type", "torch Tensor"]
)
def test_only_the_parts_of_a_state_dict_have_names(tmp_path: Path, name: str) -> None:
    module, attribute = name.split()
    path = archive(tmp_path / "x.bin", f"c{module}\n{attribute}\n.".encode())
    with pytest.raises(BrokenModel, match=f"asks for {module}.{attribute}"):
        read_archive(path)


def tensor(offset: str, size: str, stride: str, kind: str = "FloatStorage", numbers: int = 6) -> bytes:
    """A hand-written pickle of {"w": one tensor over storage 0}; `size` and `stride` are opcodes of a tuple."""
    storage = f"(S'storage'\nctorch\n{kind}\nS'0'\nS'cpu'\nI{numbers}\ntQ"
    return f"(S'w'\nctorch._utils\n_rebuild_tensor_v2\n({storage}{offset}{size}{stride}tRd.".encode()


def test_a_tensor_stays_within_its_storage(tmp_path: Path) -> None:
    numbers = np.arange(6, dtype="<f4").tobytes()
    good = archive(tmp_path / "good.bin", tensor("I1\n", "(I2\nI2\nt", "(I3\nI1\nt"), **{"0": numbers})
    np.testing.assert_array_equal(read_archive(good)["w"], [[1, 2], [4, 5]])
    beyond = {
        "offset": tensor("I2\n", "(I2\nI2\nt", "(I3\nI1\nt"),
        "size": tensor("I0\n", "(I7\nt", "(I1\nt"),
        "stride": tensor("I0\n", "(I2\nt", "(I6\nt"),
        "before": tensor("I-1\n", "(I2\nt", "(I1\nt"),
        "backwards": tensor("I1\n", "(I2\nt", "(I-1\nt"),
        "rank": tensor("I0\n", "(I2\nI2\nt", "(I1\nt"),
        "text": tensor("S'0'\n", "(I2\nt", "(I1\nt"),
        "numbers": tensor("I0\n", "(I2\nt", "(I1\nt", numbers=7),
        "kind": tensor("I0\n", "(I2\nt", "(I1\nt", kind="HalfStorage"),
    }
    for name, data in beyond.items():
        with pytest.raises(BrokenModel, match="no undamaged archive"):
            read_archive(archive(tmp_path / f"{name}.bin", data, **{"0": numbers}))


def test_damaged_files(tmp_path: Path) -> None:
    torch.save({"weight": torch.ones(40, 40)}, tmp_path / "whole.bin")
    whole = (tmp_path / "whole.bin").read_bytes()
    for i, data in enumerate((b"", b"x" * 50, whole[:-30], whole[: len(whole) // 2], pickle.dumps({"a": 1}))):
        (tmp_path / f"{i}.bin").write_bytes(data)
        with pytest.raises(BrokenModel, match="no undamaged archive"):
            read_archive(tmp_path / f"{i}.bin")
    for i, value in enumerate(([1], {"model": {}}, {"weight": 1})):
        with pytest.raises(BrokenModel, match="no state dict"):
            read_archive(archive(tmp_path / f"other-{i}.bin", pickle.dumps(value)))


def test_damaged_files_of_older_versions(tmp_path: Path) -> None:
    whole, cut, mark = tmp_path / "whole.bin", tmp_path / "cut.bin", tmp_path / "ran"
    torch.save({"a": torch.arange(40.0), "b": torch.ones(3)}, whole, _use_new_zipfile_serialization=False)
    content = whole.read_bytes()
    for size in range(0, len(content), 7):
        cut.write_bytes(content[:size])
        with pytest.raises(BrokenModel, match=r"cut\.bin is no undamaged archive"):
            read_archive(cut)
    cut.write_bytes(pickle.dumps(Calls(os.system, f"touch {mark}"), 2))
    with pytest.raises(BrokenModel, match="asks for posix.system"):
        read_archive(cut)
    cut.write_bytes(pickle.dumps(1, 2) + content[content.index(b".") + 1 :])
    with pytest.raises(BrokenModel, match="its first numbers are not those of torch.save"):
        read_archive(cut)
    assert not mark.exists()


def test_reading_loads_no_torch(tmp_path: Path) -> None:
    torch.save({"weight": torch.ones(2)}, tmp_path / "x.bin")
    code = (
        "import sys; from pathlib import Path; from resift.engine.weights.torch_archive import read_archive;"
        f"print(read_archive(Path({str(tmp_path / 'x.bin')!r}))['weight'].sum(), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2.0", "False"]
