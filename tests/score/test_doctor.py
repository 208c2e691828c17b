"""The doctor passes what is sound, and names what is wrong with five broken folders."""

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
from transformers import AutoModel

import resift
from resift.inspection.doctor import Finding, _golden, _scored, examine
from resift.inspection.export import export
from resift.inspection.scorer_checks import published_scores_check
from resift.models import registry
from resift.models.published import PublishedScore
from resift.score.load import find_model
from resift.types import Candidate, Document, Query
from tests.checkpoints import cross_encoder, edited
from tests.published import save
from tests.vector_checkpoints import nested, pylate, stanford


def found(name: object) -> dict[str, Finding]:
    return {f.check: f for f in examine(str(name))}


def failed(name: object) -> dict[str, str]:
    return {f.check: f.message for f in examine(str(name)) if f.status == "fail"}


def one(name: object, check: str) -> Finding:
    """The first finding of a check; those behind it are not made."""
    return next(f for f in examine(str(name)) if f.check == check)


def changed(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> Path:
    """Alter a folder's tensors."""
    path = folder / "model.safetensors"
    tensors = safetensors.torch.load_file(path)
    change(tensors)
    safetensors.torch.save_file(tensors, path)
    return folder


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return cross_encoder(tmp_path / "tiny", "bert", limit=512)


def test_the_bundled_model_is_sound() -> None:
    findings = found("resift-mini-en")
    assert {f.status for f in findings.values()} == {"ok", "note"}
    assert findings["probes en"].message.startswith("12 of 12")
    assert findings["golden"].status == findings["invariance"].status == findings["onnx f32"].status == "ok"
    assert "does not fit" in findings["vocabulary zh"].message and findings["vocabulary zh"].status == "note"


def test_an_untrained_encoder_fails_for_what_it_is_and_no_more(tiny: Path) -> None:
    findings = found(tiny)
    assert {c for c, f in findings.items() if f.status == "fail"} <= {
        *(f"probes {x}" for x in ("en", "vi", "zh", "ja")), "openvino bf16", "torch bf16", "torch fp16",
    }  # fmt: skip
    assert findings["probes en"].status == "fail"  # random weights answer nothing
    for check in ("pair encoding", "pad", "truncation", "spread", "invariance", "torch f32"):
        assert findings[check].status == "ok", findings[check]
    assert findings["golden"].status == "note" and "published" not in findings  # its folder has no known id


@pytest.mark.parametrize("make", [stanford, pylate, lambda folder: nested(pylate(folder))], ids=["s", "p", "nested"])
def test_late_interaction_of_others(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    """Wherever the encoder's files lie; random weights fail for what they answer alone."""
    findings = found(make(tmp_path / "m"))
    for check in ("family", "files", "tokenizer", "head", "weights", "finite", "pad", "truncation", "invariance"):
        assert findings[check].status == "ok", findings[check]
    assert "of family late, score maxsim_sum" in findings["family"].message
    assert all(c.startswith(("probes", "openvino bf16")) for c, f in findings.items() if f.status == "fail")


def test_an_embedder_given_as_a_reranker(tiny: Path) -> None:
    AutoModel.from_pretrained(tiny).save_pretrained(tiny)
    assert "no classification head" in failed(tiny)["family"]
    assert "embedder" in failed("resift-static-en")["family"]


def test_a_fresh_head(tiny: Path) -> None:
    def remove(t: dict[str, torch.Tensor]) -> None:
        for name in [n for n in t if n.startswith("classifier")]:
            del t[name]

    changed(tiny, remove)
    assert "scores would be random" in failed(tiny)["head"]


def test_a_missing_tokenizer(tiny: Path) -> None:
    (tiny / "tokenizer.json").unlink()
    assert failed(tiny).keys() == {"tokenizer"} and "tokenizer.json" in failed(tiny)["tokenizer"]


def test_numbers_that_overflow_in_fp16(tiny: Path) -> None:
    # ReLU lets a factor through, so that the scores at f32 stay; between the two matrices values pass 65,504.
    edited(tiny, hidden_act="relu")

    def overflow(t: dict[str, torch.Tensor]) -> None:
        for name in t:
            if "intermediate.dense" in name:
                t[name] *= 1e6
            elif "layer.1.output.dense.weight" in name or "layer.0.output.dense.weight" in name:
                t[name] /= 1e6 if "attention" not in name else 1

    sound = resift.load(tiny, precision="fp16", engine="torch").score([("lamp", "bread")])
    assert sound.values[0] is not None
    after = found(changed(tiny, overflow))
    assert after["torch fp16"].status == "fail" and "NaN or infinity at fp16" in after["torch fp16"].message
    assert after["finite"].status == after["torch f32"].status == "ok"


def test_a_constant_head(tiny: Path) -> None:
    changed(tiny, lambda t: t.update({"classifier.weight": torch.zeros(1, 48)}))
    assert "the head is constant" in failed(tiny)["spread"]
    assert failed(tiny).keys() == {"spread"}


def test_saturated_scores(tiny: Path) -> None:
    def level(t: dict[str, torch.Tensor]) -> None:
        t["bert.pooler.dense.weight"] *= 1e4  # the hyperbolic tangent then gives -1 or 1
        t["classifier.weight"][:, 1:] = 0

    assert "% of the scores are distinct: they are saturated" in failed(changed(tiny, level))["spread"]


def test_files_that_changed(tiny: Path, tmp_path: Path) -> None:
    export(str(tiny), tmp_path / "out", "openvino", "f32")
    assert one(tmp_path / "out", "files").message.endswith("files with the listed hashes")
    with (tmp_path / "out" / "openvino_model.bin").open("r+b") as file:
        file.write(b"\0\1\2\3")
    assert "openvino_model.bin" in failed(tmp_path / "out")["files"]


def test_golden_pairs_that_are_no_longer_met(tiny: Path, tmp_path: Path) -> None:
    export(str(tiny), tmp_path / "out", "openvino", "f32")
    assert found(tmp_path / "out")["golden"].status == "ok"
    path = tmp_path / "out" / "contract.json"
    contract = json.loads(path.read_text())
    contract["golden"][0]["score"] += 1
    path.write_text(json.dumps(contract))
    (tmp_path / "out" / "SHA256SUMS").unlink()
    assert "weights or tokenizer were changed" in failed(tmp_path / "out")["golden"]


def test_a_tokenizer_of_another_model(tiny: Path) -> None:
    edited(tiny, vocab_size=40)
    assert "they are of different models" in failed(tiny)["tokenizer"]


def test_segments_that_the_weights_do_not_know(tiny: Path) -> None:
    edited(tiny, type_vocab_size=1)
    assert "marks the second text with segment 1" in failed(tiny)["tokenizer"]


def test_a_padding_id_of_another_model(tmp_path: Path) -> None:
    folder = cross_encoder(tmp_path / "m", "roberta", limit=512)
    assert one(folder, "pad").status == "ok"
    wrong = one(edited(folder, pad_token_id=1), "pad")
    assert wrong.status == "fail" and "the tokenizer pads with 0" in wrong.message


def test_nothing_there() -> None:
    assert "no model 'no-such-model'" in failed("no-such-model")["folder"]


def test_probes_of_a_language_that_the_vocabulary_can_not_read_claim_nothing() -> None:
    findings = found("resift-mini-en")
    assert findings["probes zh"].status == findings["probes ja"].status == findings["probes vi"].status == "note"
    assert findings["probes zh"].message.startswith("nothing can be said: 63% of the texts are unknown")
    assert findings["probes vi"].message.endswith("; the model does not claim it")


def test_a_claimed_language_that_the_vocabulary_can_not_read_is_a_warning(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    shutil.copytree(find_model("resift-mini-en"), folder)
    contract = json.loads((folder / "contract.json").read_text())
    (folder / "contract.json").write_text(json.dumps(contract | {"languages": ["zh"]}))
    (folder / "SHA256SUMS").unlink(missing_ok=True)
    finding = found(folder)["probes zh"]
    assert finding.status == "warn" and finding.message.startswith("nothing can be said: 63%")


def test_published_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint by the hub's id whose weights are random misses them, and meets those that were made with it."""
    folder = save(tmp_path, "BAAI/bge-reranker-base")
    row = registry.rows()["BAAI/bge-reranker-base"]
    case = _scored(str(folder))
    wrong, _ = _golden(case)
    assert (wrong.check, wrong.status) == ("published", "fail")
    assert "test_pretrained.py at d48522c has 0" in wrong.message
    assert "(probability at f32, within 0.01): weights, tokenizer or config are not" in wrong.message
    logits = resift.load(folder, precision="f32").score([(g.query, g.document) for g in row.golden]).values
    scores = [1 / (1 + math.exp(-v)) for v in logits if v is not None]
    golden = tuple(replace(g, score=score + 0.009) for g, score in zip(row.golden, scores, strict=True))
    monkeypatch.setattr(registry, "rows", lambda: {row.id: replace(row, golden=golden)})
    right, _ = _golden(case)
    message = f"4 pairs as {golden[0].source} has them (probability at f32, within 0.01)"
    assert right == Finding("published", "ok", message)


def test_published_logits() -> None:
    """A probability is the logistic function of a logit, and a logit is compared as it is."""
    scorer = resift.load("resift-mini-en", precision="f32").scorer
    (value,) = scorer.score([(Query("lamp"), Candidate(Document("0", "a lamp")))]).values
    assert value is not None
    for scale, score in (("logit", value), ("probability", 1 / (1 + math.exp(-value)))):
        fine = PublishedScore("lamp", "a lamp", score, scale, 1e-3, "f32", "a card")  # type: ignore[arg-type]
        assert published_scores_check(scorer, [fine]).status == "ok"
        assert published_scores_check(scorer, [fine, replace(fine, score=score + 2e-3)]).status == "fail"
