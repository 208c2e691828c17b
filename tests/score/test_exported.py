"""Folders and hub repositories that carry their model as ONNX or OpenVINO, some of them as nothing else."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub.utils import filter_repo_objects

import resift
from resift.errors import BrokenModel
from resift.inspection.doctor import examine
from resift.inspection.export import export
from resift.score.load import find_model, load_embedder
from resift.score.options import EngineOption
from tests.checkpoints import cross_encoder
from tests.vector_checkpoints import sentence_transformer

PAIRS = [("what is the capital of norway?", "oslo is the capital"), ("lamp", "bread and a lamp " * 30), ("lamp", "it")]
BESIDE = ("config.json", "tokenizer.json", "tokenizer_config.json")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cross-encoder as `own`, and its exports as `onnx` and `openvino`."""
    base = tmp_path_factory.mktemp("made")
    cross_encoder(base / "own", "xlm-roberta", limit=512)
    export(str(base / "own"), base / "onnx", "onnx", "f32")
    export(str(base / "own"), base / "openvino", "openvino", "f32")
    return base


def bare(made: Path, folder: Path, **files: str) -> Path:
    """A folder with config and tokenizer, and files (folder__name=where from)."""
    for name in BESIDE:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(made / "own" / name, folder / name)
    for name, whence in files.items():
        below, _, file = name.partition("__")
        target = folder / below / f"{file}{Path(whence).suffix}"
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(made / whence, target)
    return folder


def same(folder: Path, made: Path, engine: EngineOption = "openvino") -> None:
    expected = resift.load(made / "own", precision="f32", engine="openvino").score(PAIRS).values
    found = resift.load(folder, precision="f32", engine=engine).score(PAIRS).values
    np.testing.assert_allclose(np.array(found, float), np.array(expected, float), atol=1e-4)


@pytest.mark.parametrize("engine", ["openvino", "onnx"])
def test_a_folder_with_onnx_alone(made: Path, tmp_path: Path, engine: EngineOption) -> None:
    """The full precision is taken, whatever else lies there."""
    folder = bare(made, tmp_path / "m", onnx__model="onnx/model.onnx")
    for variant in ("model_int8", "model_quantized", "model_O4"):
        (folder / "onnx" / f"{variant}.onnx").write_bytes(b"never read")
    same(folder, made, engine)


def test_a_folder_with_openvino_alone(made: Path, tmp_path: Path) -> None:
    files = {f"openvino__openvino_model{i}": f"openvino/openvino_model{i}" for i in (".xml", ".bin")}
    folder = bare(made, tmp_path / "m")
    (folder / "openvino").mkdir()
    for whence in files.values():
        shutil.copyfile(made / whence, folder / whence)
    same(folder, made)


def test_a_quantised_copy_is_never_guessed(made: Path, tmp_path: Path) -> None:
    folder = bare(made, tmp_path / "m", onnx__model_int8="onnx/model.onnx", onnx__model_quantized="onnx/model.onnx")
    with pytest.raises(BrokenModel, match=r"but onnx/model_int8\.onnx, onnx/model_quantized\.onnx, which may score"):
        resift.load(folder)
    shutil.copyfile(folder / "onnx" / "model_int8.onnx", folder / "model.onnx")  # as the message says
    same(folder, made)


def test_beside_weights_the_weights_are_read(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "own", tmp_path / "m")
    (tmp_path / "m" / "onnx").mkdir()
    (tmp_path / "m" / "onnx" / "model.onnx").write_bytes(b"garbage")
    same(tmp_path / "m", made)
    with pytest.raises(BrokenModel, match=r"onnx/model\.onnx is damaged"):
        same(tmp_path / "m", made, "onnx")


def test_an_embedder_without_weights_names_what_it_has(made: Path, tmp_path: Path) -> None:
    folder = sentence_transformer(tmp_path / "m")
    (folder / "model.safetensors").unlink()
    with pytest.raises(BrokenModel, match="has no weights in model"):
        load_embedder(str(folder))
    (folder / "onnx").mkdir()
    shutil.copyfile(made / "onnx" / "model.onnx", folder / "onnx" / "model_fp16.onnx")
    with pytest.raises(BrokenModel, match=r"but onnx/model_fp16\.onnx, which may score"):
        load_embedder(str(folder))


def test_doctor_examines_onnx_alone(made: Path, tmp_path: Path) -> None:
    folder = bare(made, tmp_path / "m", onnx__model="onnx/model.onnx")
    found = {f.check: f.status for f in examine(str(folder))}
    assert found["onnx f32"] == found["head"] == found["weights"] == "ok"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A hub of one repository: what is asked for by pattern is copied to a cache, as the client does."""
    repository, cache = tmp_path / "repository", tmp_path / "cache"
    repository.mkdir()
    cache.mkdir()

    def listed(name: str) -> list[str]:
        return [p.relative_to(repository).as_posix() for p in repository.rglob("*") if p.is_file()]

    def download(name: str, allow_patterns: Sequence[str]) -> str:
        for file in filter_repo_objects(listed(name), allow_patterns=list(allow_patterns)):
            (cache / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(repository / file, cache / file)
        return str(cache)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    monkeypatch.setattr("huggingface_hub.list_repo_files", listed)
    return repository


def test_a_repository_with_onnx_alone(made: Path, hub: Path) -> None:
    bare(made, hub, onnx__model="onnx/model.onnx", onnx__model_quantized="onnx/model.onnx")
    folder = find_model("owner/onnx-alone")
    assert {p.name for p in folder.rglob("*.onnx")} == {"model.onnx"}
    same(folder, made)


def test_of_a_repository_with_weights_no_graph_is_fetched(made: Path, hub: Path) -> None:
    shutil.copytree(made / "own", hub, dirs_exist_ok=True)
    (hub / "onnx").mkdir()
    (hub / "onnx" / "model.onnx").write_bytes(b"never fetched")
    assert not list(find_model("owner/both").rglob("*.onnx"))


def test_a_repository_without_what_can_be_read_is_listed(made: Path, hub: Path) -> None:
    bare(made, hub, onnx__model_int8="onnx/model.onnx", onnx__model_fp16="onnx/model.onnx")
    with pytest.raises(BrokenModel, match=r"but onnx/model_fp16\.onnx, onnx/model_int8\.onnx; fetch the one you want"):
        find_model("owner/variants")
