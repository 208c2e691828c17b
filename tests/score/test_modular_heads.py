"""Cross-encoders whose head is modules (Pooling, Dense, LayerNorm, Dense): what is refused, exported, native."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers.base.modules import Dense
from sentence_transformers.sentence_transformer.modules import LayerNorm

import resift
from resift.engine.graphs.heads import Linear, Norm, Pooling
from resift.engine.native.encoder_library import JoinedSequences
from resift.engine.native.native_heads import head_of_steps
from resift.errors import BrokenModel, UnknownFamily
from resift.inspection.export import export
from resift.models.recognition import read_contract
from tests.published import save
from tests.vector_checkpoints import seeded, write

NAME = "cross-encoder/ettin-reranker-17m-v1"
PAIRS = [("capital of norway", "oslo is the city"), ("capital of norway", "water and bread"), ("lamp", "a lamp")]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("ettin"), NAME)


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "copy")


def settings(folder: Path, module: str, **entries: object) -> Path:
    """Change entries of a module's config."""
    path = folder / module / "config.json"
    write(path, json.loads(path.read_text()) | entries)
    return folder


def test_the_head_is_none_of_the_encoders_files(folder: Path, tmp_path: Path) -> None:
    """A graph beside the config is a bare encoder; torch and its export would put a random head on it."""
    before = resift.load(folder, precision="f32").score(PAIRS).values
    with pytest.raises(UnknownFamily, match="does not run in torch"):
        resift.load(folder, engine="torch")
    with pytest.raises(UnknownFamily, match="use --to openvino"):
        export(str(folder), tmp_path / "onnx", "onnx", "f32")
    (folder / "model.onnx").write_bytes(b"of the encoder alone")
    assert resift.load(folder, precision="f32").score(PAIRS).values == before


def test_an_export_is_one_graph(folder: Path, tmp_path: Path) -> None:
    export(str(folder), tmp_path / "out", "openvino", "f32")
    theirs, ours = (resift.load(f, precision="f32").score(PAIRS).values for f in (tmp_path / "out", folder))
    np.testing.assert_allclose(np.array(theirs, float), np.array(ours, float), atol=1e-5)


def test_two_labels(folder: Path) -> None:
    assert read_contract(settings(folder, "4_Dense", out_features=2)).entries()["labels"] == 2
    with pytest.raises(UnknownFamily, match="has 3 labels"):
        read_contract(settings(folder, "4_Dense", out_features=3))


def test_what_is_refused(folder: Path) -> None:
    modules = json.loads((folder / "modules.json").read_text())
    write(folder / "modules.json", [modules[0], modules[2], modules[1], *modules[3:]])
    with pytest.raises(UnknownFamily, match="Transformer, Dense, Pooling, LayerNorm, Dense; Resift scores with"):
        resift.load(folder)
    write(folder / "modules.json", [*modules[:2], {**modules[2], "type": "own.Surprise"}, *modules[3:]])
    with pytest.raises(UnknownFamily, match="Surprise"):
        resift.load(folder)
    write(folder / "modules.json", modules)
    prompts = json.loads((folder / "config_sentence_transformers.json").read_text())
    write(folder / "config_sentence_transformers.json", prompts | {"default_prompt_name": "query"})
    with pytest.raises(UnknownFamily, match="puts a prompt before its texts"):
        resift.load(folder)


@pytest.mark.parametrize(("module", "tensor"), [("2_Dense", "linear.weight"), ("3_LayerNorm", "norm.bias")])
def test_weights_that_are_missing(folder: Path, module: str, tensor: str) -> None:
    file = folder / module / "model.safetensors"
    from safetensors.torch import load_file, save_file

    tensors = load_file(file)
    del tensors[tensor]
    save_file(tensors, file)
    with pytest.raises(BrokenModel, match=f"{module} has no tensor {tensor}"):
        resift.load(folder)
    file.unlink()
    with pytest.raises(BrokenModel, match=f"{module} has no weights"):
        resift.load(folder)


def test_the_native_head_is_that_of_the_library() -> None:
    """Over hidden states of three texts, of which two have tokens that attention does not see."""
    hidden, starts, attended = seeded((12, 16), 1), np.array([0, 3, 8, 12]), np.array([3, 4, 2])
    dense = Dense(16, 16, bias=False, activation_function=torch.nn.GELU())
    norm, last = LayerNorm(16), Dense(16, 1, activation_function=None, module_output_name="scores")
    with torch.no_grad():
        norm.norm.weight.copy_(torch.from_numpy(seeded((16,), 2)))
        norm.norm.bias.copy_(torch.from_numpy(seeded((16,), 3)))
    features = {"sentence_embedding": torch.from_numpy(hidden[starts[:-1]])}
    with torch.inference_mode():
        expected = last(norm(dense(features)))["scores"].numpy()
    steps = [
        Pooling(("cls",)),
        Linear(dense.linear.weight.detach().numpy(), None, "GELU"),
        Norm(norm.norm.weight.detach().numpy(), norm.norm.bias.detach().numpy()),
        Linear(last.linear.weight.detach().numpy(), last.linear.bias.detach().numpy()),
    ]
    nothing = np.zeros(12, np.int32)
    sequences = JoinedSequences(nothing, nothing, starts, attended)
    (scores,) = head_of_steps(steps).finish(hidden, hidden, sequences)
    np.testing.assert_allclose(np.asarray(scores), expected, atol=1e-5)
