"""Folders that are no rerankers are refused at load, with the cause and the remedy."""

import json
from pathlib import Path

import pytest
import safetensors.torch
from transformers import AutoModel

import resift
from resift.errors import BrokenModel, ModelError, NotAModel, UnknownFamily
from tests.checkpoints import cross_encoder, edited


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return cross_encoder(tmp_path / "model", "bert")


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(NotAModel, match="neither contract.json nor config.json"):
        resift.load(tmp_path)


def test_a_file(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_text("x")
    with pytest.raises(NotAModel, match="give the folder"):
        resift.load(tmp_path / "model.bin")


def test_an_unknown_name() -> None:
    with pytest.raises(NotAModel, match="resift-mini-en"):
        resift.load("resift-mini-fr")


def test_a_hub_id_without_a_network() -> None:
    with pytest.raises((NotAModel, AssertionError), match="no folder 'nobody/nothing'|socket"):
        resift.load("nobody/nothing")


def test_an_embedding_model(folder: Path) -> None:
    AutoModel.from_pretrained(folder).save_pretrained(folder)
    with pytest.raises(UnknownFamily, match="no classification head"):
        resift.load(folder)


def test_a_head_that_would_be_random(folder: Path) -> None:
    path = folder / "model.safetensors"
    tensors = {n: t for n, t in safetensors.torch.load_file(path).items() if not n.startswith("classifier")}
    safetensors.torch.save_file(tensors, path)
    with pytest.raises(BrokenModel, match="scores would be random"):
        resift.load(folder)


def test_several_labels(folder: Path) -> None:
    with pytest.raises(UnknownFamily, match="3 labels"):
        resift.load(edited(folder, id2label={"0": "a", "1": "b", "2": "c"}))


def test_an_unknown_architecture(folder: Path) -> None:
    with pytest.raises(UnknownFamily, match="gpt2"):
        resift.load(edited(folder, model_type="gpt2"))


@pytest.mark.parametrize("missing", ["tokenizer.json", "model.safetensors"])
def test_missing_files(folder: Path, missing: str) -> None:
    (folder / missing).unlink()
    with pytest.raises(BrokenModel, match=r"no tokenizer\.json|no weights"):
        resift.load(folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_damaged_files(folder: Path, name: str) -> None:
    path = folder / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(BrokenModel, match="fetch the model again"):
        resift.load(folder).score([("water", "lamp")])


def test_a_missing_tensor(folder: Path) -> None:
    path = folder / "model.safetensors"
    tensors = {n: t for n, t in safetensors.torch.load_file(path).items() if "layer.1.output.dense.weight" not in n}
    safetensors.torch.save_file(tensors, path)
    with pytest.raises(BrokenModel, match=r"layer\.1\.output\.dense\.weight"):
        resift.load(folder).score([("water", "lamp")])


@pytest.mark.parametrize("change", [{"family": None}, {"surprise": 1}, {"kind": "stars"}])
def test_a_malformed_contract(folder: Path, change: dict[str, object]) -> None:
    good = {"name": "m", "family": "encoder", "kind": "logit", "max_tokens": 64, "window_tokens": 64}
    wrong = {k: v for k, v in (good | change).items() if v is not None}
    (folder / "contract.json").write_text(json.dumps(wrong))
    with pytest.raises(BrokenModel, match="contract.json"):
        resift.load(folder)


def test_every_refusal_is_a_model_error() -> None:
    assert (
        issubclass(NotAModel, ModelError)
        and issubclass(UnknownFamily, ModelError)
        and issubclass(BrokenModel, ModelError)
    )


def test_a_damaged_onnx_file(tmp_path: Path) -> None:
    import shutil

    from resift.score.load import BUNDLED

    shutil.copytree(BUNDLED / "resift-mini-en", tmp_path / "m")
    (tmp_path / "m" / "model.onnx").write_text("version https://git-lfs.github.com/spec/v1")
    with pytest.raises(BrokenModel, match="not fetched whole"):
        resift.load(tmp_path / "m").score([("lamp", "lamp")])


def test_a_config_without_its_sizes(folder: Path) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "num_attention_heads"}))
    with pytest.raises(BrokenModel, match="num_attention_heads"):
        resift.load(folder).score([("lamp", "lamp")])
