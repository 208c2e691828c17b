"""A cross-encoder that stops at an inner layer: its scores, what it costs, how it is named, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from sentence_transformers import CrossEncoder
from torch import nn

import resift
from resift.engine.native.encoder_library import available
from resift.errors import BrokenModel, InputError, UnknownFamily
from resift.inspection.doctor import examine
from resift.inspection.export import export
from resift.machine import has_amx
from resift.models.inner_heads import HEADS_FILE
from resift.models.layer_names import split_layer, with_layer
from resift.pipeline import Part, Pipeline
from resift.types import Flag
from tests.layered_checkpoints import LAYERS, layered, reference

PAIRS = [
    ("what is the capital of norway?", "oslo is the capital"),
    ("what is the capital of norway?", "bread, water and a lamp. " * 4),
    ("lamp", "the lamp of the north"),
    ("lamp", "it"),
]
KINDS = ("bert", "xlm-roberta", "electra", "distilbert", "deberta-v2", "modernbert")


def scores(name: object, **options: object) -> np.ndarray:
    return np.array(resift.load(str(name), **{"precision": "f32", **options}).score(PAIRS).values, float)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return layered(tmp_path_factory.mktemp("layered"), "bert")


@pytest.mark.parametrize("kind", KINDS)
def test_each_head_gives_what_transformers_hidden_states_give(kind: str, tmp_path: Path) -> None:
    folder = layered(tmp_path, kind)
    for layer, reads in ((1, "mean+max"), (2, "cls")):
        expected = reference(folder, PAIRS, layer, reads)
        assert np.ptp(expected) > 0.01
        for engine in ("openvino", "torch"):
            np.testing.assert_allclose(scores(with_layer(str(folder), layer), engine=engine), expected, atol=1e-4)
    last = CrossEncoder(str(folder)).predict(PAIRS, activation_fn=nn.Identity(), show_progress_bar=False)
    for engine in ("openvino", "torch"):
        np.testing.assert_allclose(scores(folder, engine=engine), last, atol=1e-4)


def test_two_labels_are_one_logit_at_every_head(tmp_path: Path) -> None:
    folder = layered(tmp_path, "bert", num_labels=2)
    np.testing.assert_allclose(scores(f"{folder}(layer=1)"), reference(folder, PAIRS, 1), atol=1e-4)


@pytest.mark.skipif(not available() or has_amx(), reason="takes a processor with AVX-512 BF16 and no AMX")
def test_the_compiled_encoder_stops_there_too(tmp_path: Path) -> None:
    sizes = {"hidden_size": 128, "num_attention_heads": 2, "intermediate_size": 192, "initializer_range": 0.1}
    folder = layered(tmp_path, "bert", **sizes)
    exact = reference(folder, PAIRS, 1)
    fast = scores(f"{folder}(layer=1)", engine="native", precision="bf16")
    assert np.abs(fast - exact).max() < 0.05 * np.ptp(exact)


@pytest.mark.parametrize("engine", ["openvino", "torch"])
def test_layers_above_the_head_are_not_computed(engine: str, tmp_path: Path) -> None:
    folder = layered(tmp_path, "bert")
    expected = scores(f"{folder}(layer=2)", engine=engine)
    tensors = load_file(folder / "model.safetensors")
    above = {name: np.full_like(value, np.nan) for name, value in tensors.items() if ".layer.2." in name}
    assert above
    save_file(tensors | above, folder / "model.safetensors", {"format": "pt"})
    np.testing.assert_array_equal(scores(f"{folder}(layer=2)", engine=engine), expected)
    judgements = resift.load(folder, precision="f32", engine=engine).score(PAIRS).judgements  # type: ignore[arg-type]
    assert all(Flag.NON_FINITE in judgement.flags for judgement in judgements)


def test_models_at_several_layers_are_different_models(folder: Path) -> None:
    whole, second = resift.load(folder).info, resift.load(f"{folder}(layer=2)").info
    assert second.name == f"{whole.name}(layer=2)" and second.settings != whole.settings
    assert resift.load(f"{folder}(layer={LAYERS})").info == whole
    assert resift.load(f"{folder}( layer = 2 )").info == second


@pytest.mark.parametrize("layer", [0, 4, 99])
def test_an_unknown_layer_is_refused_with_those_that_there_are(folder: Path, layer: int) -> None:
    with pytest.raises(InputError, match=f"has heads at layers 1, 2, 3; not at {layer}"):
        resift.load(f"{folder}(layer={layer})")


def test_a_model_with_one_head_has_no_layers() -> None:
    with pytest.raises(InputError, match="resift-mini-en has one head, behind its last layer; take it without layer=2"):
        resift.load("resift-mini-en(layer=2)")


def test_an_engine_whose_graph_has_one_head_is_refused(folder: Path) -> None:
    with pytest.raises(UnknownFamily, match="does not run by engine='onnx'"):
        resift.load(f"{folder}(layer=1)", engine="onnx")


@pytest.mark.parametrize(
    ("heads", "words"),
    [
        ([{"layer": 2, "reads": "mean"}, {"layer": 1, "reads": "classifier"}], "the lowest first"),
        ([{"layer": 0, "reads": "mean"}, {"layer": 3, "reads": "classifier"}], "the lowest first"),
        ([{"layer": 1, "reads": "mean"}], "the last head is the model's own"),
        ([{"layer": 1, "reads": "max"}, {"layer": 3, "reads": "classifier"}], "mean, cls; not 'max'"),
        ([{"layer": "1", "reads": "mean"}], "must be of type int"),
        ([{"level": 1}], "unknown entries"),
        ([1], "an entry for each head"),
        (1, "must be of type list"),
    ],
)
def test_heads_that_are_listed_wrongly_are_refused(tmp_path: Path, heads: object, words: str) -> None:
    folder = layered(tmp_path)
    path = folder / "contract.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"heads": heads}))
    with pytest.raises(BrokenModel, match=words):
        resift.load(folder)


def test_a_head_that_the_file_does_not_hold_is_refused(tmp_path: Path) -> None:
    folder = layered(tmp_path)
    tensors = load_file(folder / HEADS_FILE)
    save_file({name: value for name, value in tensors.items() if name != "1.score.bias"}, folder / HEADS_FILE)
    with pytest.raises(BrokenModel, match=r"has no tensor '1\.score\.bias'"):
        scores(f"{folder}(layer=1)")


def test_a_cascade_of_rising_layers_asks_each_for_fewer(folder: Path) -> None:
    texts = ["oslo is the capital", "bread and water", "the lamp", "a ferry", "the north", "south of it"]
    index = resift.Index.of(texts)
    pipeline = f'"{folder}(layer=1)"@6 >> "{folder}(layer=2)"@4 >> "{folder}"@2'
    ranking = index.run(f"bm25 >> {pipeline}", "the lamp of oslo and bread in the north, a ferry south of water")
    assert ranking.trace is not None
    assert [step.pairs for step in ranking.trace.steps][1:] == [6, 4, 2]
    names = [step.name for step in ranking.trace.steps][1:]
    assert names == [f"{folder.name}(layer=1)", f"{folder.name}(layer=2)", folder.name]


NAMES = st.from_regex(r"[a-z][a-z0-9/._-]{0,12}", fullmatch=True) | st.sampled_from(["my model", 'a "b"', "ü>>", "x|y"])


@settings(max_examples=30, deadline=None)
@given(NAMES, st.integers(1, 99), st.none() | st.integers(1, 500))
def test_a_layer_in_a_pipeline_is_a_part_of_the_models_name(name: str, layer: int, depth: int | None) -> None:
    part = Part(f"m{name}", depth, (("layer", layer),))
    assert part == Part(with_layer(f"m{name}", layer), depth) and split_layer(part.name) == (f"m{name}", layer)
    pipeline = Pipeline(stages=(part,))
    assert pipeline == Pipeline.parse(str(pipeline)) == Pipeline.from_toml(pipeline.to_toml())
    assert pipeline.models == (f"m{name}(layer={layer})",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("X(layer=0)@5", "the layer of X is a whole number of 1 or more; not 0"),
        ("X(layer=2.5)", "the layer of X is a whole number of 1 or more; not 2.5"),
        ('X(layer="2")', "the layer of X is a whole number of 1 or more; not '2'"),
        ("X(layer=2, depth=3)", "X has no parameter 'depth'; it has layer"),
        ("X >> blend(layer=2)", "blend has no parameter 'layer'"),
        ("bm25(layer=2)", "bm25 has no parameter 'layer'"),
    ],
)
def test_what_is_no_layer_is_refused_in_a_pipeline(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words.replace("(", r"\(")):
        Pipeline.parse(text)


def test_a_layer_stands_with_the_last_of_several_models() -> None:
    pipeline = Pipeline.parse("A(layer=1) | B(layer=2)@5")
    assert pipeline.models == ("A(layer=1)", "B(layer=2)") and str(pipeline) == "A(layer=1) | B(layer=2)@5"


def test_an_export_of_a_layer_has_that_head_alone(folder: Path, tmp_path: Path) -> None:
    export(f"{folder}(layer=1)", tmp_path / "first", weights="f32")
    export(str(folder), tmp_path / "last", weights="f32")
    np.testing.assert_allclose(scores(tmp_path / "first"), reference(folder, PAIRS, 1), atol=1e-4)
    np.testing.assert_allclose(scores(tmp_path / "last"), scores(folder), atol=1e-4)
    with pytest.raises(InputError, match="has one head"):
        resift.load(f"{tmp_path / 'last'}(layer=1)")
    with pytest.raises(UnknownFamily, match="use --to openvino"):
        export(f"{folder}(layer=1)", tmp_path / "other", "onnx")


def test_the_doctor_examines_the_head_that_is_named(folder: Path) -> None:
    findings = {finding.check: finding for finding in examine(f"{folder}(layer=1)")}
    assert all(findings[check].status == "ok" for check in ("family", "head", "weights", "finite"))
    unknown = {finding.check: finding for finding in examine(f"{folder}(layer=9)")}
    assert unknown["family"].status == "fail" and "heads at layers 1, 2, 3" in unknown["family"].message
