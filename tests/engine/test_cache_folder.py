"""Compiled models are kept where that can be; where not, everything runs without, and one line says so."""

import os
import pwd
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import resift
from resift.engine import openvino
from resift.engine.compiled_models import cache_folder, compiled_models
from resift.engine.openvino import OpenVINOEngine, openvino_model, openvino_ops, read_model
from resift.errors import BrokenModel, InputError, ModelError
from resift.score.precision import default_precision, remember
from tests.checkpoints import cross_encoder

WITHOUT = "going on without a cache .set RESIFT_CACHE"


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """No HOME, and a user without an entry in the table of users."""

    def missing(uid: int) -> None:
        raise KeyError(uid)

    for name in ("HOME", "RESIFT_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", missing)


def test_home_is_meant_by_a_tilde(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RESIFT_CACHE", "~/kept")
    assert cache_folder() == tmp_path / "kept"
    monkeypatch.setenv("RESIFT_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", "~/x")
    assert cache_folder() == tmp_path / "x" / "resift"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert cache_folder() == tmp_path / ".cache" / "resift"


def test_a_model_is_found_below_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    cross_encoder(tmp_path / "m", "bert")
    assert resift.load("~/m").scorer.contract.name == "m"


def test_a_folder_that_can_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RESIFT_CACHE", str(tmp_path / "new" / "cache"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert compiled_models() == tmp_path / "new" / "cache" / "openvino"
    assert (tmp_path / "new" / "cache" / "openvino").is_dir()


def test_a_cache_that_is_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("RESIFT_CACHE", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match=f"can't write compiled models to {tmp_path}/file/openvino .*{WITHOUT}"):
        assert compiled_models() is None
    assert default_precision(resift.load("resift-mini-en").scorer.contract, "weights") in ("bf16", "f32", "int8")
    with pytest.raises(InputError, match=r"can't remember f32 in .*set RESIFT_CACHE to a folder .* precision='f32'"):
        remember("weights", "f32")


def test_a_folder_that_may_only_be_read_gives_what_it_holds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RESIFT_CACHE", str(tmp_path))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    (tmp_path / "openvino").mkdir()
    with pytest.warns(UserWarning, match="it may only be read"):
        assert compiled_models() is None
    (tmp_path / "openvino" / "1.blob").touch()
    assert compiled_models() == tmp_path / "openvino"


@pytest.mark.usefixtures("homeless")
def test_no_home_at_all() -> None:
    assert cache_folder() is None
    with pytest.warns(UserWarning, match=f"there is no home folder to keep compiled models in; {WITHOUT}"):
        assert compiled_models() is None
    assert default_precision(resift.load("resift-mini-en").scorer.contract, "weights") in ("bf16", "f32", "int8")
    with pytest.raises(InputError, match="no home folder to remember f32 in; set RESIFT_CACHE"):
        remember("weights", "f32")


def test_another_users_folder_remembers_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def closed(self: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setenv("RESIFT_CACHE", str(tmp_path))
    contract = resift.load("resift-mini-en").scorer.contract
    expected = default_precision(contract, "weights")
    monkeypatch.setattr(Path, "exists", closed)
    assert default_precision(contract, "weights") == expected


@pytest.mark.parametrize("model", ["resift-mini-en", "cross-encoder"])
def test_the_command_line_says_it_in_one_line_and_goes_on(tmp_path: Path, model: str) -> None:
    (tmp_path / "file").touch()
    name = model if model == "resift-mini-en" else str(cross_encoder(tmp_path / "model", "bert"))
    requests = tmp_path / "r.jsonl"
    requests.write_text('{"query": "water", "documents": ["lamp", "water bread"]}\n')
    done = subprocess.run(
        [sys.executable, "-m", "resift.cli.main", "rerank", str(requests), "-m", name, "--engine", "openvino"],
        capture_output=True, text=True, env={**os.environ, "RESIFT_CACHE": str(tmp_path / "file")},
    )  # fmt: skip
    assert done.returncode == 0 and done.stdout.count("\n") == 1
    (line,) = [x for x in done.stderr.splitlines() if "cache" in x]
    assert line.startswith(f"resift: can't write compiled models to {tmp_path}/file/openvino (")
    assert "Traceback" not in done.stderr and "damaged" not in done.stderr and "UserWarning" not in done.stderr


def test_what_does_not_compile_is_not_called_damaged(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing:
        def compile_model(self, *args: object) -> None:
            raise RuntimeError("Exception from src/core.cpp:1:\nno room for the kernels")

    ops = openvino_ops()
    given = ops.parameter([-1, -1], np.int64, "input_ids")
    graph = openvino_model([ops.convert(given, "f32").output(0)], [given])
    monkeypatch.setattr(openvino, "_core", Refusing)
    with pytest.raises(ModelError, match=r"can't compile this model here \(no room for the kernels\)") as raised:
        list(OpenVINOEngine(lambda: graph, "f32").run([]))
    assert not isinstance(raised.value, BrokenModel)


def test_a_graph_that_may_not_be_read_is_not_called_damaged(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").mkdir()
    with pytest.raises(BrokenModel, match=r"model\.onnx can't be read \(Is a directory\)"):
        read_model(tmp_path / "model.onnx")


def test_operations_that_an_engine_lacks_are_not_called_damage(tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    inputs = [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["b", "t"])]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["b", 1])]
    nodes = [helper.make_node("Strange", ["input_ids"], ["logits"])]
    graph = helper.make_graph(nodes, "g", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    folder = cross_encoder(tmp_path / "m", "bert")
    onnx.save(model, folder / "model.onnx")
    for engine, message in (("openvino", "lacks operations of .*Strange"), ("onnx", "can't run .*Strange")):
        with pytest.raises(ModelError, match=message) as raised:
            resift.load(folder, engine=engine, precision="f32").score([("lamp", "lamp")])  # type: ignore[arg-type]
        assert not isinstance(raised.value, BrokenModel) and "damaged" not in str(raised.value)


def test_bf16_is_refused_where_it_would_be_imitated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = cross_encoder(tmp_path / "m", "bert")
    monkeypatch.setattr(openvino, "fastest_float", lambda: "f32")
    with pytest.raises(InputError, match="this CPU has no bf16 .* use precision='auto' or 'f32'"):
        resift.load(folder, precision="bf16", engine="openvino")
    monkeypatch.setattr(openvino, "fastest_float", lambda: "bf16")
    assert resift.load(folder, precision="bf16", engine="openvino").scorer.info.runs_on == "openvino bf16"
