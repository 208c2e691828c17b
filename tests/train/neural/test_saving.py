"""What is saved scores as what was trained: adapters with their head, merged models, other architectures."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import resift
from resift.errors import BrokenModel, InputError, UnknownFamily
from resift.train.neural import cross_encoder as cross_encoders
from resift.train.neural import saving
from resift.train.neural.adapters import head_names
from resift.train.neural.base_model import quiet
from resift.train.neural.cross_encoder import open_base
from resift.train.neural.grouped import score_pairs
from resift.train.neural.plan import make_plan
from resift.train.neural.run import train
from resift.train.neural.settings import TrainingSettings
from resift.train.neural.trainable import BaseModel
from tests.checkpoints import cross_encoder
from tests.train.neural import tiny

PAIRS = [("what is water", "the lamp"), ("where is the city", "the ferry in the north of oslo")]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.tiny_bert(tmp_path_factory.mktemp("bert"), head=False)


def adapted(folder: Path) -> BaseModel:
    """A model with adapters and a head that are not as they began."""
    opened = open_base(str(folder), 1, None, "f32", lora=4)
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in opened.model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.2)
    return opened


def test_adapters_and_head_are_trained_and_nothing_else(base: Path) -> None:
    model = open_base(str(base), 1, None, "f32", lora=4).model
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert all("lora_" in name or "classifier.modules_to_save" in name for name in trained)
    assert any("classifier.modules_to_save" in name for name in trained)
    assert head_names(open_base(str(base), 1, None, "f32").model) == ["classifier"]


def test_a_head_that_was_trained_with_adapters_comes_back(base: Path, tmp_path: Path) -> None:
    opened = adapted(base)
    expected = score_pairs(opened.model, PAIRS)
    deltas = saving.write(opened, tmp_path / "out", PAIRS, {"MODEL_CARD.md": "x"})
    assert set(deltas) == {"peft", "sentence-transformers", "resift"} and max(deltas.values()) < 1e-4
    assert (tmp_path / "out" / "adapter" / "adapter_model.safetensors").exists()
    for engine in ("openvino", "torch"):
        scores = resift.load(str(tmp_path / "out"), precision="f32", engine=engine).score(PAIRS)
        assert [j.value for j in scores.judgements] == pytest.approx(expected, abs=1e-4)


def test_peft_alone_reads_the_adapter_with_its_head(base: Path, tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    opened = adapted(base)
    expected = score_pairs(opened.model, PAIRS)
    assert set(saving.write(opened, tmp_path / "out", PAIRS, {}, merge=False)) == {"peft"}
    with quiet():  # peft asks for what Transformers calls deprecated
        plain = AutoModelForSequenceClassification.from_pretrained(base, num_labels=1)
        model = PeftModel.from_pretrained(plain, tmp_path / "out").eval()
    tokens = AutoTokenizer.from_pretrained(base)(
        *map(list, zip(*PAIRS, strict=True)), padding=True, return_tensors="pt"
    )
    with torch.no_grad():
        assert model(**tokens).logits[:, 0].numpy() == pytest.approx(expected, abs=1e-4)
    with pytest.raises(UnknownFamily, match="merge it"):
        resift.load(str(tmp_path / "out"))


def test_a_folder_that_scores_otherwise_is_not_left_behind(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = open_base(str(base), 1, None, "f32")
    real = cross_encoders.score_pairs
    monkeypatch.setattr(cross_encoders, "score_pairs", lambda m, pairs: real(m, pairs) + (m is not opened.model) * 0.1)
    with pytest.raises(BrokenModel, match="loaded by sentence-transformers its scores differ by 0.1"):
        saving.write(opened, tmp_path / "out", PAIRS, {})
    assert list(tmp_path.iterdir()) == []


def test_lora_training_is_written_and_better(base: Path, tmp_path: Path) -> None:
    settings = TrainingSettings(
        str(base), learning_rate=2e-2, epochs=6, evaluations=3, candidates="given", precision="f32", lora=8,
        measures=("nDCG@10",), warmup=0.0,
    )  # fmt: skip
    report = train(make_plan([tiny.examples()], settings), tmp_path / "out")
    assert report.comparisons[0].over_base.value > 0 and max(report.reload_delta.values()) < 1e-4
    assert json.loads((tmp_path / "out" / "adapter" / "adapter_config.json").read_text())["r"] == 8


@pytest.mark.parametrize("model_type", ["xlm-roberta", "modernbert", "distilbert", "deberta-v2"])
def test_other_architectures_score_the_same_everywhere(model_type: str, tmp_path: Path) -> None:
    cross_encoder(tmp_path / "base", model_type)
    opened = open_base(str(tmp_path / "base"), 1, None, "f32")
    assert not opened.fresh_head
    deltas = saving.write(opened, tmp_path / "out", PAIRS, {})
    assert set(deltas) == {"sentence-transformers", "resift"} and max(deltas.values()) < 1e-4


def test_two_outputs_are_one_logit(tmp_path: Path) -> None:
    tiny.tiny_bert(tmp_path / "base", num_labels=2)
    opened = open_base(str(tmp_path / "base"), 2, None, "f32")
    deltas = saving.write(opened, tmp_path / "out", PAIRS, {})
    assert max(deltas.values()) < 1e-4
    with pytest.raises(InputError, match="has a head of 2 outputs, and the loss needs 1"):
        open_base(str(tmp_path / "base"), 1, None, "f32")


def test_the_head_is_in_f32_under_bf16(base: Path) -> None:
    model = open_base(str(base), 1, None, "bf16").model
    with torch.autocast("cpu", torch.bfloat16):
        assert model(model.preprocess(PAIRS))["scores"].dtype == torch.float32
    assert np.abs(score_pairs(model, PAIRS, bf16=True) - score_pairs(model, PAIRS)).max() < 0.05


def test_limits_of_length_are_checked(base: Path) -> None:
    with pytest.raises(InputError, match="max_tokens of .* is 16 to 64; not 65"):
        open_base(str(base), 1, 65, "f32")


def test_after_training_in_bf16_the_model_is_measured_and_saved_in_f32(base: Path, tmp_path: Path) -> None:
    """Accelerate leaves the model's forward in bf16, and then no figure would be of the model that is written."""
    settings = TrainingSettings(
        str(base), learning_rate=3e-3, epochs=2, evaluations=2, candidates="given", precision="bf16", force=True,
        measures=("nDCG@10",), warmup=0.0,
    )  # fmt: skip
    report = train(make_plan([tiny.examples()], settings), tmp_path / "out")
    assert report.precision == "bf16" and max(report.reload_delta.values()) < 1e-5
