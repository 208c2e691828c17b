"""Exported folders: the same scores, smaller files, a report, a refusal when the order suffers."""

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest

import resift
from resift.errors import BrokenModel, InputError, ScoreError
from resift.inspection import export as exporting
from resift.inspection.agreement import agreement, grid, probes
from resift.inspection.export import FileFormat, WeightFormat, export
from resift.models.folder import ModelFolder
from resift.models.integrity import wrong_hashes
from resift.score.load import find_model
from tests.checkpoints import cross_encoder
from tests.vector_checkpoints import nested, pylate

# How far a score of the tiny random encoder may move, as a share of the range of scores.
MOVES: dict[WeightFormat, float] = {"f32": 1e-5, "fp16": 0.01, "int8": 0.15}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cross_encoder(tmp_path_factory.mktemp("tiny") / "tiny", "bert", limit=512)


@pytest.mark.filterwarnings("ignore:.*change the order of their source")  # random weights at int8, by force
@pytest.mark.parametrize(("to", "weights"), list(product(["openvino", "onnx"], ["f32", "fp16", "int8"])))
def test_an_exported_folder_scores_as_its_source(
    tiny: Path, tmp_path: Path, to: FileFormat, weights: WeightFormat
) -> None:
    report = export(str(tiny), tmp_path / "out", to, weights, force=True)
    exact = grid(resift.load(tiny, precision="f32").scorer, "en")
    made = resift.load(tmp_path / "out", precision="f32")
    moved = np.abs(grid(made.scorer, "en") - exact).max()
    assert moved <= MOVES[weights] * np.ptp(exact)
    assert (moved > 0) == (weights != "f32" or to == "onnx")
    assert report.max_delta >= moved * (1 - 1e-6) and report.pairs == 4 * 144
    assert json.loads((tmp_path / "out" / "agreement.json").read_text())["tau"] == report.tau
    golden = made.scorer.contract.golden
    assert len(golden) == 24
    np.testing.assert_allclose(
        made.score([(g.query, g.document) for g in golden]).values, [g.score for g in golden], atol=1e-4
    )
    assert not wrong_hashes(ModelFolder(tmp_path / "out")) and not (tmp_path / "out.part").exists()


def test_smaller_weights_are_smaller(tiny: Path, tmp_path: Path) -> None:
    half, small = (export("resift-mini-en", tmp_path / w, "openvino", w) for w in ("fp16", "int8"))  # type: ignore[arg-type]
    assert small.bytes * 1.9 < half.bytes < 50_000_000
    assert half.passed and small.passed and small.tau > 0.99  # its int8 weights are rounded to the same int8 again
    mini = resift.load(tmp_path / "int8", precision="f32")
    assert mini.scorer.contract.name == "resift-mini-en" and len(mini.scorer.contract.golden) == 6
    assert mini.rerank("lamp", ["bread", "a lamp"])[0].document.text == "a lamp"


def cased(folder: Path, lower: bool) -> Path:
    """A nested ColBERT whose tokenizer keeps the case of letters, and whose settings may take it away."""
    nested(pylate(folder))
    inner = folder / "0_Transformer"
    tokenizer = json.loads((inner / "tokenizer.json").read_text())
    tokenizer["normalizer"]["lowercase"] = False
    (inner / "tokenizer.json").write_text(json.dumps(tokenizer))
    (inner / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 23, "do_lower_case": lower}))
    return folder


@pytest.mark.filterwarnings("ignore:.*change the order of their source")
@pytest.mark.parametrize("lower", [True, False])
def test_a_nested_folder_and_the_case_of_letters(tmp_path: Path, lower: bool) -> None:
    folder = cased(tmp_path / "m", lower)
    report = export(str(folder), tmp_path / "out", "openvino", "f32", force=True)
    assert report.source_bytes > 50_000 and report.tau > 0.999
    pairs = [("What is the CAPITAL?", t) for t in ("Oslo is the Capital", "OSLO", "oslo", "BREAD and a lamp")]
    source, made = (resift.load(f, precision="f32").score(pairs).values for f in (folder, tmp_path / "out"))
    np.testing.assert_allclose(np.array(made, float), np.array(source, float), atol=1e-4)
    assert (source[1] == source[2]) == lower


def test_an_order_that_changed_too_much_is_refused(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resift.inspection.agreement.LEAST_TAU", 0.999)
    with pytest.raises(ScoreError, match="int8 weights change the order: tau .*--weights fp16"):
        export(str(tiny), tmp_path / "out", "openvino", "int8")
    assert list(tmp_path.iterdir()) == []
    assert not export(str(tiny), tmp_path / "out", "openvino", "int8", force=True).passed


def test_nothing_is_overwritten(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious").write_text("x")
    with pytest.raises(InputError, match="is there already"):
        export(str(tiny), tmp_path / "out")
    with pytest.raises(InputError, match="can't write"):
        export(str(tiny), tmp_path / "out" / "precious" / "deeper")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["precious"]


def test_what_lies_beside_is_left_alone(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out.part").mkdir()
    (tmp_path / "out.part" / "precious").write_text("x")
    export(str(tiny), tmp_path / "out", "openvino", "f32")
    assert (tmp_path / "out.part" / "precious").read_text() == "x"
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    export(str(tiny), Path(), "openvino", "f32")
    assert (tmp_path / "here" / "contract.json").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["here", "out", "out.part"]


def test_half_an_exported_folder_is_refused(tiny: Path, tmp_path: Path) -> None:
    export(str(tiny), tmp_path / "out", "openvino", "f32")
    (tmp_path / "out" / "openvino_model.bin").unlink()
    with pytest.raises(BrokenModel, match=r"lacks openvino_model\.bin, listed"):
        resift.load(tmp_path / "out")
    (tmp_path / "out" / "SHA256SUMS").unlink()
    with pytest.raises(BrokenModel, match=r"has no openvino_model\.bin"):
        resift.load(tmp_path / "out").score([("a", "b")])


def test_a_list_of_hashes_that_is_none(tiny: Path, tmp_path: Path) -> None:
    export(str(tiny), tmp_path / "out", "openvino", "f32")
    (tmp_path / "out" / "SHA256SUMS").write_text("0" * 64 + "  ../../etc/passwd\n")
    with pytest.raises(BrokenModel, match="sha256sum would not write"):
        resift.load(tmp_path / "out")


def test_the_probes_are_a_dozen_of_each_language() -> None:
    assert set(probes()) == {"en", "vi", "zh", "ja"}
    for found in probes().values():
        texts = [t for p in found for t in (p.query, p.relevant, p.irrelevant)]
        assert len(found) == 12 and len(set(texts)) == 36


def test_agreement_of_a_list_with_itself_and_its_reverse() -> None:
    scores = np.arange(48.0).reshape(2, 24)
    same, turned = agreement(scores, scores), agreement(scores, -scores)
    assert (same.tau, same.top10, same.max_delta, same.good) == (1, 1, 0, True)
    assert (turned.tau, turned.top10, turned.good) == (-1, 0, False)


def test_settings_are_checked(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="export to"):
        export(str(tiny), tmp_path / "out", "csv")  # type: ignore[arg-type]
    assert exporting.REPORT == "agreement.json"
    assert find_model("resift-mini-en").exists()
