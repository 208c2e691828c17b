"""The evaluator class of NanoBEIR over a local data set in its layout: nothing is downloaded."""

import json
from pathlib import Path

import pytest

import resift
from resift.adapters.cross_encoder import CrossEncoder
from tests.checkpoints import cross_encoder

pytest.importorskip("datasets", reason="datasets is not installed (comes with the extra mteb)")

from sentence_transformers import CrossEncoder as Reference
from sentence_transformers.cross_encoder.evaluation import CrossEncoderNanoBEIREvaluator

TEXTS = ["the lamp is lit", "bread is baked", "a lighthouse has a lamp", "the ferry leaves", "tea and milk"]
SPLIT = "NanoMSMARCO"


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    rows = {
        "corpus": [{"_id": f"d{i}", "text": text} for i, text in enumerate(TEXTS)],
        "queries": [{"_id": "q1", "text": "a lamp"}, {"_id": "q2", "text": "when does the ferry leave"}],
        "qrels": [{"query-id": q, "corpus-id": d} for q, d in (("q1", "d0"), ("q1", "d2"), ("q2", "d3"))],
        "bm25": [{"query-id": "q1", "corpus-ids": ["d1", "d2", "d0"]}, {"query-id": "q2", "corpus-ids": ["d4", "d3"]}],
    }
    folder, configs = tmp_path / "nano", []
    folder.mkdir()
    for subset, lines in rows.items():
        (folder / f"{subset}.jsonl").write_text("\n".join(map(json.dumps, lines)))
        configs.append(f"- config_name: {subset}\n  data_files:\n  - split: {SPLIT}\n    path: {subset}.jsonl\n")
    (folder / "README.md").write_text("---\nconfigs:\n" + "".join(configs) + "---\n")
    return folder


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_the_evaluator_takes_our_model(data: Path, tmp_path: Path) -> None:
    evaluator = CrossEncoderNanoBEIREvaluator(
        ["msmarco"], dataset_id=str(data), show_progress_bar=False, write_csv=False
    )
    folder = cross_encoder(tmp_path / "ce", "bert")
    ours = evaluator(CrossEncoder(resift.load(folder, precision="f32")))
    theirs = evaluator(Reference(str(folder), device="cpu"))
    assert ours == pytest.approx(theirs, abs=1e-4)
    assert 0 < ours["NanoBEIR_R100_mean_ndcg@10"] <= 1
