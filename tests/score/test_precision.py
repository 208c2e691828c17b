"""Which precision a model runs at when nobody says, and what int8 does to scores."""

import json
from pathlib import Path

import numpy as np
import pytest

import resift
from resift.engine import openvino
from resift.engine.openvino import fastest_float, has_int8
from resift.errors import InputError
from resift.inspection.agreement import agreement, grid
from resift.score.precision import default_precision, remember
from tests.checkpoints import cross_encoder
from tests.contract.test_scorers import pairs

needs_int8 = pytest.mark.skipif(not has_int8(), reason="this CPU gains nothing by int8")


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RESIFT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def vnni(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU that gains by int8, as far as the choice is concerned."""
    monkeypatch.setattr(openvino, "has_int8", lambda: True)


def test_the_contract_and_the_cpu_decide(own_cache: Path, vnni: None, monkeypatch: pytest.MonkeyPatch) -> None:
    bears = resift.load("resift-mini-en").scorer.contract
    assert bears.int8 and default_precision(bears, "weights") == "int8"
    monkeypatch.setattr(openvino, "has_int8", lambda: False)
    assert default_precision(bears, "weights") == fastest_float()


def test_a_model_that_says_nothing_is_never_rounded_to_int8(own_cache: Path, vnni: None, tmp_path: Path) -> None:
    scorer = resift.load(cross_encoder(tmp_path / "model", "bert")).scorer
    assert not scorer.contract.int8 and scorer.info.runs_on == f"openvino {fastest_float()}"


def test_what_was_picked_is_remembered_per_model(own_cache: Path, tmp_path: Path) -> None:
    folder = cross_encoder(tmp_path / "model", "bert")
    before = resift.load(folder).scorer
    assert remember(before.info.fingerprint, "f32") == own_cache / "precisions.json"
    remember("another", "bf16")
    after = resift.load(folder).scorer
    assert after.info.runs_on == "openvino f32"
    assert default_precision(after.contract, "another") == "bf16"
    assert default_precision(after.contract, "a third") == fastest_float()
    assert not list(own_cache.glob("*.part"))


@pytest.mark.parametrize("content", ["{", "[1]", '{"weights on this CPU": "f64"}'])
def test_a_damaged_memory_is_named(own_cache: Path, tmp_path: Path, content: str) -> None:
    own_cache.mkdir()
    (own_cache / "precisions.json").write_text(content)
    with pytest.raises(InputError, match=r"precisions\.json can't be read .* delete it"):
        resift.load(cross_encoder(tmp_path / "model", "bert"))


def test_int8_is_refused_where_activations_would_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino, "has_int8", lambda: False)
    with pytest.raises(InputError, match="AVX-512 VNNI"):
        resift.load("resift-mini-en", precision="int8")


@needs_int8
def test_int8_rounds_and_keeps_the_order(mini: resift.Reranker) -> None:
    rounded = resift.load("resift-mini-en", precision="int8").scorer
    exact, found = grid(mini.scorer, "en"), grid(rounded, "en")
    same = agreement(exact, found)
    # The stated spread at int8: 2 % of the range of scores.
    assert 0.001 * np.ptp(exact) < same.max_delta < 0.02 * np.ptp(exact)  # above what bf16 alone does
    assert same.tau > 0.97 and same.top10 >= 0.98


@needs_int8
def test_at_int8_batch_mates_do_not_matter() -> None:
    """Each token has scales of its own."""
    scorer = resift.load("resift-mini-en", precision="int8").scorer
    together = scorer.score(pairs()).values
    np.testing.assert_allclose(together, [scorer.score([p]).values[0] for p in pairs()], atol=1e-5)


@needs_int8
def test_stored_weights_of_int8_come_out_as_they_were() -> None:
    """At int8 the bundled model differs from f32 by its activations alone: its weights were int8 in the file."""
    given = openvino.read_model(Path(resift.__file__).parent / "bundled/resift-mini-en/model.onnx")
    stored = [np.array(n.data) for n in given.get_ordered_ops() if n.get_type_name() == "Constant"]
    matrices = [turned for v in stored if v.ndim == 2 and v.size >= 4096 for turned in (v, v.T)]
    found = 0
    for node in openvino._with_int8(given).get_ordered_ops():
        if node.get_type_name() != "Multiply":
            continue
        left, right = (node.input_value(i).get_node() for i in (0, 1))
        if left.get_type_name() == "Convert" and left.input_value(0).get_node().get_type_name() == "Constant":
            value = left.input_value(0).get_node().data.astype(np.float32) * right.data
            assert any(m.shape == value.shape and np.allclose(m, value, rtol=1e-6, atol=0) for m in matrices)
            found += 1
    assert found > 30


def test_precisions_json_names_the_cpu(own_cache: Path) -> None:
    from resift.machine import processor

    remember("weights", "f32")
    assert list(json.loads((own_cache / "precisions.json").read_text())) == [f"weights on {processor()}"]
