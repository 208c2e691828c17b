"""The compiled encoder against arithmetic that rounds where it does, and against OpenVINO at f32."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling

import resift
from resift.engine.batching import Sequences, pack
from resift.engine.graphs.heads import POOLINGS
from resift.engine.graphs.names import as_bert, root_of
from resift.engine.native import encoder_library as encoder_kernel
from resift.engine.native.encoder_library import CompiledEncoder, JoinedSequences, available, unsupported
from resift.engine.native.native_engine import Checkpoint, NativeEngine
from resift.engine.native.native_heads import _erf, head_of_steps
from resift.engine.openvino import OpenVINOEngine
from resift.engine.roofline import shapes_of
from resift.engine.rounding import round_weights
from resift.engine.weights.checkpoint_files import read_weights
from resift.engine.weights.onnx_weights import read_onnx_weights
from resift.errors import BrokenModel, UnknownFamily
from resift.inspection.agreement import pair
from resift.machine import has_amx
from resift.score.load import find_model, load_embedder
from tests import vector_checkpoints
from tests.checkpoints import cross_encoder, edited

pytestmark = pytest.mark.skipif(
    not available() or has_amx(), reason="takes a processor with AVX-512 BF16 and no AMX, and a C compiler"
)

KINDS = ("bert", "electra", "roberta", "xlm-roberta", "camembert", "distilbert")
SIZES = {"hidden_size": 128, "num_attention_heads": 2, "intermediate_size": 192}
OWN = {"electra": {"embedding_size": 128}, "distilbert": {"dim": 128, "n_layers": 2, "n_heads": 2, "hidden_dim": 192}}
DOCUMENTS = (
    "oslo is the capital", "bread, water and a lamp. " * 30, "the lamp of the north", "it", "a ferry to oslo " * 7,
)  # fmt: skip
PAIRS = [(q, d) for q in ("what is the capital of norway?", "lamp") for d in DOCUMENTS]
Array = np.ndarray


def folder_of(path: Path, kind: str) -> Path:
    sizes = {} if kind == "distilbert" else SIZES
    return cross_encoder(path, kind, **{"initializer_range": 0.1, **sizes, **OWN.get(kind, {})})


@pytest.fixture(scope="module", params=KINDS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_of(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_of(tmp_path_factory.mktemp("bert"), "bert")


def scores(folder: Path, engine: str, precision: str) -> Array:
    scorer = resift.load(folder, engine=engine, precision=precision).scorer  # type: ignore[arg-type]
    assert scorer.info.runs_on == f"{engine} {precision}"
    return np.array(scorer.score([pair(q, d) for q, d in PAIRS]).values, float)


@pytest.mark.parametrize(("precision", "share"), [("bf16", 0.04), ("int8", 0.08)])
def test_scores_are_those_of_f32_but_for_rounding(folder: Path, precision: str, share: float) -> None:
    exact, own = scores(folder, "openvino", "f32"), scores(folder, "native", precision)
    assert 0 < np.abs(own - exact).max() < share * np.ptp(exact)


def bf16(x: Array) -> Array:
    bits = x.astype(np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000).view(np.float32)


def exact(x: Array) -> Array:
    return x


def int8(x: Array) -> Array:
    """Activations: a scale per 32 values of a token, of what bf16 leaves."""
    groups = bf16(x).reshape(*x.shape[:-1], -1, 32)
    scale = np.maximum(np.abs(groups).max(-1, keepdims=True), np.float32(1e-30)) / np.float32(127)
    return (np.rint(groups / scale) * scale).reshape(x.shape).astype(np.float32)


def after_gelu(x: Array) -> Array:
    """Results of GELU: what bf16 leaves, in 255 steps from its least to the largest of 32."""
    groups = bf16(x).reshape(*x.shape[:-1], -1, 32) + np.float32(174 / 1024)
    scale = groups.max(-1, keepdims=True) / np.float32(255)
    return (np.rint(groups / scale) * scale - np.float32(174 / 1024)).reshape(x.shape).astype(np.float32)


def int8_groups(w: Array) -> Array:
    groups = w.reshape(len(w), -1, 32)
    scale = np.abs(groups).max(2, keepdims=True) / 127
    return (np.rint(groups / scale) * scale).reshape(w.shape).astype(np.float32)


def int8_rows(w: Array) -> Array:
    scale = np.maximum(np.abs(w).max(1, keepdims=True), np.float32(1e-30)) / np.float32(127)
    return (np.rint(w / scale) * scale).astype(np.float32)


def reference(folder: Path, ids: list[int], attended: int, low: Any, weights_low: Any, weights: Any = None) -> Array:
    """BERT with the inputs of each product rounded, everything else in f64."""
    config = json.loads((folder / "config.json").read_text())
    w = weights or read_weights([folder / "model.safetensors"])
    half = exact if low is exact else bf16
    heads, h = config["num_attention_heads"], config["hidden_size"]

    def norm(x: Array, name: str) -> Array:
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + config["layer_norm_eps"])
        return x * w[f"bert.{name}.LayerNorm.weight"] + w[f"bert.{name}.LayerNorm.bias"]

    def linear(x: Array, name: str, factor: float = 1) -> Array:
        weight, bias = (w[f"bert.{name}.{end}"] * np.float32(factor) for end in ("weight", "bias"))
        own = (half, half) if "attention" in name else (low, weights_low)
        if low is int8 and name.endswith("output.dense") and "attention" not in name:
            own = after_gelu, weights_low
        return own[0](x) @ own[1](weight).astype(float).T + bias

    e = [w[f"bert.embeddings.{n}_embeddings.weight"] for n in ("word", "position", "token_type")]
    x = norm(e[0][ids].astype(float) + e[1][: len(ids)] + e[2][0], "embeddings")
    for i in range(config["num_hidden_layers"]):
        own, scale = f"encoder.layer.{i}", (h // heads) ** -0.5
        q, k, v = (
            bf16(linear(x, f"{own}.attention.self.{p}", scale if p == "query" else 1)).reshape(len(ids), heads, -1)
            for p in ("query", "key", "value")
        )
        z = np.einsum("ihd,jhd->hij", q.astype(float), k[:attended])
        z = np.exp(z - z.max(-1, keepdims=True))
        mixed = np.einsum("hij,jhd->ihd", bf16(z).astype(float), v[:attended]) / z.sum(-1).T[..., None]
        x = norm(x + linear(mixed.reshape(len(ids), h), f"{own}.attention.output.dense"), f"{own}.attention.output")
        up = linear(x, f"{own}.intermediate.dense")
        up = up * 0.5 * (1 + np.vectorize(math.erf)(up / np.sqrt(2)))
        x = norm(x + linear(up, f"{own}.output.dense"), f"{own}.output")
    return x


def encoder(folder: Path, rounded: bool = False) -> CompiledEncoder:
    config, weights = as_bert(
        json.loads((folder / "config.json").read_text()), read_weights([folder / "model.safetensors"])
    )
    return CompiledEncoder(config, weights, root_of(weights), rounded, None)


def ragged(ids: list[list[int]], attended: list[int] | None = None) -> JoinedSequences:
    flat = np.concatenate([np.array(i, np.int32) for i in ids])
    lengths = [len(i) for i in ids]
    return JoinedSequences(
        flat, np.zeros_like(flat), np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        np.array(attended or lengths, np.int64),
    )  # fmt: skip


@pytest.mark.parametrize(("rounded", "most"), [(False, 0.02), (True, 0.06)])
@pytest.mark.parametrize(("length", "attended"), [(1, 1), (13, 13), (33, 33), (64, 64), (40, 31)])
def test_rounding_is_where_it_is_said_to_be(bert: Path, length: int, attended: int, rounded: bool, most: float) -> None:
    """What is left is the order of sums, and values that fall to the other side of a rounding step for it."""
    ids = np.random.default_rng(length).integers(5, 30, length).tolist()
    found, _ = encoder(bert, rounded).run(ragged([ids], [attended]), False, 1)
    low, weights_low = (int8, int8_groups) if rounded else (bf16, bf16)
    wanted = reference(bert, ids, attended, low, weights_low)
    unrounded = reference(bert, ids, attended, exact, exact)
    off = np.sqrt(np.mean((found - wanted) ** 2))
    assert off < most * 0.5
    assert off < 0.7 * np.sqrt(np.mean((found - unrounded) ** 2))


def four_bits(rng: np.random.Generator, w: Array) -> Array:
    """A matrix of multiples of a scale per 32 inputs, as weights/rounded.py restores it."""
    whole = rng.integers(-7, 8, (len(w), w.shape[1] // 32, 32))
    whole[:, :, 5] = -8
    whole[2, 1], whole[3] = 0, 0
    scales = rng.uniform(0.001, 0.05, whole.shape[:2]).astype(np.float16).astype(np.float32)
    return (whole * scales[:, :, None]).reshape(w.shape).astype(np.float32)


def eight_bits(rng: np.random.Generator, w: Array) -> Array:
    """A matrix of multiples of a scale per row, the largest of 127."""
    whole = rng.integers(-126, 127, w.shape)
    whole[:, 7] = 127
    return (whole * rng.uniform(0.0005, 0.003, (len(w), 1))).astype(np.float32)


@pytest.mark.parametrize(("stored", "scales"), [(four_bits, 4), (eight_bits, 1)])
def test_rounding_is_where_weights_are_not_whole_numbers_already(
    bert: Path, stored: Callable[[np.random.Generator, Array], Array], scales: int
) -> None:
    """Weights that a file holds rounded stay as they are: only the values that meet them are rounded."""
    rng = np.random.default_rng(0)
    config, weights = as_bert(
        json.loads((bert / "config.json").read_text()), dict(read_weights([bert / "model.safetensors"]))
    )
    dense = [n for n in weights if n.endswith("dense.weight") and "attention" not in n and "layer" in n]
    weights = {**weights, **{name: stored(rng, weights[name]) for name in dense}}
    up = weights["bert.encoder.layer.0.intermediate.dense.weight"]
    whole, factors = round_weights(up, 32)
    restored = whole.reshape(192, scales, -1) * factors[:, :, None]
    np.testing.assert_allclose(restored.reshape(up.shape), up, rtol=1e-5, atol=1e-12)
    ids = rng.integers(5, 30, 33).tolist()
    result, _ = CompiledEncoder(config, weights, "bert.", True, None).run(ragged([ids]), False, 1)
    expected, by_rows = (reference(bert, ids, 33, int8, low, weights) for low in (exact, int8_rows))
    off = np.sqrt(np.mean((result - expected) ** 2))
    assert off < 0.01
    assert stored is eight_bits or off < 0.7 * np.sqrt(np.mean((result - by_rows) ** 2))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), columns=st.sampled_from((32, 64, 96)), spread=st.floats(0, 3))
def test_rounding_is_where_half_a_step_is_the_most_it_loses(seed: int, columns: int, spread: float) -> None:
    rng = np.random.default_rng(seed)
    weight = (rng.normal(size=(4, columns)) * np.exp(spread * rng.normal(size=(4, 1)))).astype(np.float32)
    whole, factors = round_weights(weight, 32)
    assert np.abs(whole).max() <= 127
    groups = weight.reshape(4, factors.shape[1], -1)
    most = np.abs(groups).max(2, keepdims=True)
    restored = whole.reshape(groups.shape) * factors[:, :, None]
    assert (np.abs(restored - groups) <= most / 254 * 1.0001).all()


@settings(max_examples=25, deadline=None)
@given(lengths=st.lists(st.integers(1, 64), min_size=1, max_size=30), threads=st.integers(1, 4), rounded=st.booleans())
def test_no_text_depends_on_the_others(bert: Path, lengths: list[int], threads: int, rounded: bool) -> None:
    rng = np.random.default_rng(0)
    ids = [rng.integers(5, 30, n).tolist() for n in lengths]
    own = encoder(bert, rounded)
    together, _ = own.run(ragged(ids), False, threads)
    first, _ = own.run(ragged(ids), True, threads)
    alone = [own.run(ragged([i]), False, 1)[0] for i in ids]
    np.testing.assert_array_equal(together, np.concatenate(alone))
    np.testing.assert_array_equal(first, np.stack([a[0] for a in alone]))


def test_what_is_not_attended_to_changes_nothing(bert: Path) -> None:
    own = encoder(bert)
    (a, _), (b, _) = (own.run(ragged([[7, 8, 9, *tail]], [3]), False, 1) for tail in ([10, 11], [20, 21]))
    np.testing.assert_array_equal(a[:3], b[:3])
    assert np.abs(a[3:] - b[3:]).min() > 0


def test_what_is_not_a_number_stays_so(bert: Path, tmp_path: Path) -> None:
    config, weights = as_bert(
        json.loads((bert / "config.json").read_text()), dict(read_weights([bert / "model.safetensors"]))
    )
    for name in ("encoder.layer.0.attention.self.query.weight", "encoder.layer.1.intermediate.dense.weight"):
        for value in (np.nan, np.inf):
            hurt = {**weights, f"bert.{name}": weights[f"bert.{name}"].copy()}
            hurt[f"bert.{name}"][3, 5] = value
            for rounded in (False, True):
                found, _ = CompiledEncoder(config, hurt, "bert.", rounded, None).run(ragged([[7, 8, 9]]), False, 1)
                assert not np.isfinite(found).all()


def test_what_does_not_fit_is_refused(bert: Path) -> None:
    own = encoder(bert)
    for ids, segments, message in (
        ([10_000], [0], "token id 10000"), (list(range(5, 25)) * 4, [0] * 80, "position 79"), ([7], [2], "segment 2"),
    ):  # fmt: skip
        bad = ragged([ids])
        bad.segments[:] = segments
        with pytest.raises(BrokenModel, match=message):
            own.run(bad, False, 1)
    with pytest.raises(ValueError, match="attended"):
        own.run(ragged([[7]], [0]), False, 1)
    config, weights = as_bert(
        json.loads((bert / "config.json").read_text()), dict(read_weights([bert / "model.safetensors"]))
    )
    for change in ({"hidden_size": 64}, {"intermediate_size": 128}):
        with pytest.raises(BrokenModel, match=r"has the shape \(.*\), and config.json tells \("):
            CompiledEncoder({**config, **change}, weights, "bert.", False, None)
    del weights["bert.encoder.layer.1.output.dense.bias"]  # type: ignore[attr-defined]
    with pytest.raises(BrokenModel, match=r"layer\.1\.output\.dense\.bias"):
        CompiledEncoder(config, weights, "bert.", False, None)


def test_batches_are_put_together_and_taken_apart_again(bert: Path) -> None:
    """Many groups, of which the next runs while one is handed out."""
    config = json.loads((bert / "config.json").read_text())
    checkpoint = Checkpoint(config, lambda: read_weights([bert / "model.safetensors"]), lambda *_: head_of_steps([]))
    engine, rng = NativeEngine(checkpoint, "bf16"), np.random.default_rng(0)
    ids = [rng.integers(5, 30, n).tolist() for n in rng.integers(1, 64, 1500)]
    batches = pack(Sequences(ids), 0)
    assert sum(len(i) for i in ids) > 2 * 16_384
    found: dict[int, Array] = {}
    for batch, (vectors,) in engine.run(batches):
        assert vectors.shape == (*batch.ids.shape, 128)
        assert not vectors[batch.mask == 0].any()
        found |= {row: v[:n] for row, v, n in zip(batch.rows, vectors, batch.lengths, strict=True)}
    alone, _ = encoder(bert).run(ragged(ids), False, 1)
    np.testing.assert_array_equal(np.concatenate([found[i] for i in range(len(ids))]), alone)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_embedders(tmp_path: Path, pooling: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_checkpoints, "WIDTH", 128)
    base = vector_checkpoints.encoder(tmp_path / "base")
    dense = Dense(128, 64, activation_function=torch.nn.GELU())
    modules = [Transformer(str(base)), Pooling(128, pooling), dense]
    SentenceTransformer(modules=modules, device="cpu").save_pretrained(str(tmp_path / "saved"))
    own, exact = (load_embedder(str(tmp_path / "saved"), p) for p in ("bf16", "f32"))
    assert own._engine.name == "native"  # type: ignore[attr-defined]
    texts = [d for _, d in PAIRS]
    cosines = (own.embed(texts, "document") * exact.embed(texts, "document")).sum(axis=1)
    assert cosines.min() > 0.998  # random weights are not robust


@pytest.mark.parametrize("out", [16, 64])
def test_late_interaction(tmp_path: Path, out: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its projection is the kernel's where it fits; its filled-up queries are longer than what is attended to."""
    monkeypatch.setattr(vector_checkpoints, "WIDTH", 128)
    monkeypatch.setattr(vector_checkpoints, "OUT", out)
    folder = vector_checkpoints.stanford(tmp_path)
    own, exact = scores(folder, "native", "bf16"), scores(folder, "openvino", "f32")
    assert 0 < np.abs(own - exact).max() < 0.05 * np.ptp(exact)


def test_its_products_are_those_of_the_graph(bert: Path) -> None:
    found = []
    for engine in ("native", "openvino"):
        seen: list[NativeEngine | OpenVINOEngine] = []
        resift.load(bert, engine=engine).scorer.with_engine(lambda e, seen=seen: seen.append(e) or e)  # type: ignore[arg-type, misc]
        shapes = shapes_of(seen[0])
        found.append((sorted(shapes.weights), shapes.layers, shapes.width))
    assert found[0] == found[1]


def test_the_engine_is_taken_where_it_can_be(bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert resift.load(bert).scorer.info.runs_on == "native bf16"
    assert resift.load(bert, precision="f32").scorer.info.runs_on == "openvino f32"
    other = edited(Path(shutil.copytree(bert, tmp_path / "relu")), hidden_act="relu")
    assert resift.load(other).scorer.info.runs_on == "openvino bf16"
    with pytest.raises(UnknownFamily, match=r"no activation 'relu'.*engine='openvino'"):
        resift.load(other, engine="native")
    with pytest.raises(UnknownFamily, match="runs at bf16, int8, not at f32"):
        resift.load(bert, engine="native", precision="f32")
    monkeypatch.setattr(encoder_kernel, "_library", lambda: None)
    assert resift.load(Path(shutil.copytree(bert, tmp_path / "copy"))).scorer.info.runs_on == "openvino bf16"
    with pytest.raises(UnknownFamily, match="AVX-512 BF16 and a C compiler"):
        resift.load(tmp_path / "copy", engine="native")


@pytest.mark.parametrize(("change", "said"), [
    ({"model_type": "modernbert"}, "model_type 'modernbert'"),
    ({"position_embedding_type": "relative_key"}, "position_embedding_type 'relative_key'"),
    ({"hidden_size": None}, "a config.json without hidden_size"),
    ({"hidden_size": 96}, "a hidden size of 96 in 2 heads, 192 between"),
    ({"num_attention_heads": 8}, "a hidden size of 128 in 8 heads, 192 between"),
    ({"embedding_size": 64}, "embeddings of another size than the layers"),
])  # fmt: skip
def test_what_the_kernel_does_not_have(change: dict[str, object], said: str) -> None:
    config = {"model_type": "bert", "hidden_act": "gelu", **SIZES}
    assert unsupported(config) == ""
    assert unsupported({**config, **change}) == said


def test_tensors_of_onnx_are_those_that_the_package_reads() -> None:
    path = find_model("resift-mini-en") / "model.onnx"
    found = read_onnx_weights(path)
    stored = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}
    name = "model.bert.encoder.layer.3.output.dense"
    wide = stored[f"{name}.weight_transposed_int8"].astype(np.float32) * stored[f"{name}.weight_transposed_scale"]
    np.testing.assert_array_equal(found[f"{name}.weight"], wide.T)
    np.testing.assert_array_equal(found[f"{name}.bias"], stored[f"{name}.bias"])
    assert found["query_weights"].shape == (30522, 1)
    assert not [n for n in found if n.endswith(("_int8", "_scale", "_transposed"))]


@settings(max_examples=30, deadline=None)
@given(end=st.integers(0, 60_000))
@example(end=0)
@example(end=19)  # a field ends there
def test_a_damaged_onnx_file_is_named(tmp_path_factory: pytest.TempPathFactory, end: int) -> None:
    path = tmp_path_factory.mktemp("cut") / "model.onnx"
    with (find_model("resift-mini-en") / "model.onnx").open("rb") as file:
        path.write_bytes(file.read(end))
    with pytest.raises(BrokenModel, match="damaged"):
        read_onnx_weights(path)


def test_the_error_function() -> None:
    x = np.linspace(-6, 6, 2001)
    np.testing.assert_allclose(_erf(x), np.vectorize(math.erf)(x), atol=2e-7)
