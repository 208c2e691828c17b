"""One suite over every engine: the same numbers at f32, whatever the batch, from many threads."""

import builtins
import locale
import shutil
import threading
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import resift
from resift.engine.torch import reads
from resift.errors import BrokenModel, InputError, MissingExtra, UnknownFamily
from resift.inspection.agreement import grid
from resift.inspection.export import export
from resift.score.load import find_model
from resift.score.options import EngineOption
from tests.checkpoints import cross_encoder, edited

ENGINES: tuple[EngineOption, ...] = ("openvino", "onnx", "torch")
PAIRS = [
    ("what is the capital of norway?", "oslo is the capital"),
    ("what is the capital of norway?", "bread, water and a lamp. " * 30),
    ("lamp", "the lamp of the north"),
    ("lamp", "it"),
]


@pytest.fixture(scope="module", params=["bert", "xlm-roberta", "electra"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny cross-encoder that holds its weights as safetensors and as ONNX."""
    made = tmp_path_factory.mktemp(request.param)
    own = cross_encoder(made / "own", request.param)
    export(str(own), made / "onnx", "onnx", "f32")
    shutil.copyfile(made / "onnx" / "model.onnx", own / "model.onnx")
    return own


@pytest.mark.parametrize("engine", ENGINES)
def test_engines_agree_at_f32(folder: Path, engine: EngineOption) -> None:
    reference = cross_encoder_scores(folder)
    scorer = resift.load(folder, precision="f32", engine=engine)
    assert scorer.scorer.info.runs_on == f"{engine} f32"
    np.testing.assert_allclose(scorer.score(PAIRS).values, reference, atol=1e-4)
    alone = [scorer.score([p]).values[0] for p in PAIRS]
    np.testing.assert_allclose(alone, reference, atol=1e-4)
    assert np.std(reference) > 0.01


def cross_encoder_scores(folder: Path) -> list[float | None]:
    """From the graph that is built from the safetensors."""
    bare = folder.parent / "bare"
    if not bare.exists():
        shutil.copytree(folder, bare, ignore=shutil.ignore_patterns("*.onnx"))
    return list(resift.load(bare, precision="f32", engine="openvino").score(PAIRS).values)


def test_what_transformers_would_misread_is_left_to_others(tmp_path: Path) -> None:
    """It reads weights with relative positions, and leaves the positions out."""
    folder = cross_encoder(tmp_path, "bert")
    assert reads(folder)
    assert not reads(edited(folder, position_embedding_type="relative_key"))
    (folder / "config.json").unlink()
    assert not reads(folder)


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_is_shared_by_threads(folder: Path, engine: EngineOption) -> None:
    scorer = resift.load(folder, precision="f32", engine=engine)
    wrong: list[object] = []

    def work() -> None:
        try:
            np.testing.assert_allclose(scorer.score(PAIRS).values, cross_encoder_scores(folder), atol=1e-4)
        except Exception as error:  # noqa: BLE001 - a thread's error must reach the test
            wrong.append(error)

    cross_encoder_scores(folder)
    threads = [threading.Thread(target=work) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


@pytest.mark.parametrize(("precision", "share"), [("bf16", 0.25), ("fp16", 0.05)])  # random weights are not robust
def test_low_precision_in_torch_gives_f32_logits(folder: Path, precision: str, share: float) -> None:
    exact = np.array(resift.load(folder, precision="f32", engine="torch").score(PAIRS).values, float)
    low = np.array(resift.load(folder, precision=precision, engine="torch").score(PAIRS).values, float)  # type: ignore[arg-type]
    assert 0 < np.abs(low - exact).max() < share * np.ptp(exact)


def test_the_bundled_model_in_onnx_runtime(mini: resift.Reranker) -> None:
    other = resift.load("resift-mini-en", engine="onnx")
    np.testing.assert_allclose(grid(other.scorer, "en"), grid(mini.scorer, "en"), atol=1e-4)


def test_what_an_engine_can_not_do_is_said(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownFamily, match="a cross-encoder folder with safetensors"):
        resift.load("resift-mini-en", engine="torch")
    with pytest.raises(UnknownFamily, match="of an architecture that Transformers has"):
        resift.load(edited(cross_encoder(tmp_path / "own", "bert"), auto_map={"AutoModel": "x.Y"}), engine="torch")
    with pytest.raises(BrokenModel, match="resift export .* --to onnx"):
        resift.load(cross_encoder(tmp_path / "m", "bert"), engine="onnx")
    with pytest.raises(InputError, match="onnx runs at f32"):
        resift.load("resift-mini-en", engine="onnx", precision="bf16")
    with pytest.raises(InputError, match="openvino runs at f32, bf16, int8"):
        resift.load("resift-mini-en", engine="openvino", precision="fp16")
    with pytest.raises(InputError, match="engine is one of"):
        resift.load("resift-mini-en", engine="abacus")  # type: ignore[arg-type]


@pytest.mark.parametrize(("engine", "package"), [("onnx", "onnxruntime"), ("torch", "torch")])
def test_a_missing_engine_names_its_extra(
    folder: Path, engine: EngineOption, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: tuple[str, ...] = (),
        level: int = 0,
    ) -> ModuleType:
        if name == package:
            raise ImportError(name)
        return real(name, globals, locals, fromlist, level)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtra, match=rf"pip install .*'{package}>="):
        resift.load(folder, engine=engine)


def test_torch_fills_nothing_with_random_numbers(tmp_path: Path) -> None:
    import safetensors.torch

    folder = cross_encoder(tmp_path / "m", "bert")
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    del tensors["bert.encoder.layer.1.output.dense.weight"]
    safetensors.torch.save_file(tensors, folder / "model.safetensors")
    with pytest.raises(BrokenModel, match="would fill with random numbers"):
        resift.load(folder, engine="torch").score(PAIRS)


def test_a_damaged_onnx_file(tmp_path: Path) -> None:
    shutil.copytree(find_model("resift-mini-en"), tmp_path / "m")
    (tmp_path / "m" / "model.onnx").write_text("version https://git-lfs.github.com/spec/v1")
    with pytest.raises(BrokenModel, match="not fetched whole"):
        resift.load(tmp_path / "m", engine="onnx").score(PAIRS)


def test_loading_in_many_threads_leaves_the_locale_alone(tmp_path: Path) -> None:
    # OpenVINO switches to the "C" locale while it reads and writes XML, without regard to other threads.
    before = locale.setlocale(locale.LC_CTYPE)
    try:
        for n in range(6):
            folder = cross_encoder(tmp_path / str(n), "bert", initializer_range=0.1 + n / 100)
            threads = [
                threading.Thread(target=lambda f=folder: resift.load(f, precision="f32").score(PAIRS))  # type: ignore[misc]
                for _ in range(8)
            ]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
        assert locale.setlocale(locale.LC_CTYPE) == before
    finally:
        locale.setlocale(locale.LC_CTYPE, before)
