"""Late interaction: begins at the encoder's own cosines, learns, and scores the same in both libraries when written."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import resift
from resift.errors import UnknownFamily
from resift.models.contract import Contract
from resift.models.inputs import LateInput
from resift.score.load import load_embedder
from resift.train.data import examples_of
from resift.train.neural import saving
from resift.train.neural.late import TRAINABLE, principal_axes
from resift.train.neural.losses import LossSettings
from resift.train.neural.plan import Plan, make_plan
from resift.train.neural.run import train
from resift.train.neural.settings import TrainingSettings
from resift.train.neural.trainable import BaseModel
from resift.train.neural.vector_losses import LATE_LOSSES
from resift.types import ScoreKind
from tests.train.neural import tiny
from tests.train.neural.test_embedder import TEXTS, by_city


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.tiny_bert(tmp_path_factory.mktemp("bert"), head=False)


def plan_of(base: Path, **changes: object) -> Plan:
    values = {
        "learning_rate": 3e-3, "epochs": 3.0, "evaluations": 2, "precision": "f32", "warmup": 0.0, "batch": 32,
        "negatives": 1, "candidates": "given", "dims": 16, **changes,
    }  # fmt: skip
    rows = [{"query": q, "positive": p, "negative": n} for q, p, n in by_city()]
    return make_plan([examples_of(rows)], TrainingSettings(str(base), "late", **values))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def opened(bare: Path) -> BaseModel:
    return TRAINABLE.open(plan_of(bare), "f32")


def test_what_was_trained_is_a_model_of_both_libraries(bare: Path, tmp_path: Path) -> None:
    from sentence_transformers import MultiVectorEncoder

    report = train(plan_of(bare, force=True), tmp_path / "out")
    assert set(report.reload_delta) == {"sentence-transformers", "resift"}
    assert max(report.reload_delta.values()) < 1e-4 and report.steps > 0
    assert any("16 principal axes" in note for note in report.notes)
    contract = json.loads((tmp_path / "out" / "contract.json").read_text())
    assert (contract["family"], contract["kind"], len(contract["golden"])) == ("late", "maxsim", 3)
    theirs = MultiVectorEncoder(str(tmp_path / "out"))
    q, d = (theirs.encode_query([TEXTS[0][0]]), theirs.encode_document([text for _, text in TEXTS]))
    expected = theirs.similarity(q, d)[0].tolist()
    scores = resift.load(str(tmp_path / "out"), precision="f32").score(TEXTS)
    assert [j.value for j in scores.judgements] == pytest.approx(expected, abs=1e-4)
    golden = contract["golden"][0]
    again = resift.load(str(tmp_path / "out"), precision="f32").score([(golden["query"], golden["document"])])
    assert again.judgements[0].value == pytest.approx(golden["score"], abs=1e-4)
    further = TRAINABLE.open(plan_of(tmp_path / "out"), "f32")
    assert further.notes == () and further.score(TEXTS) == pytest.approx(expected, abs=1e-4)


def test_a_sum_of_cosines_stays_one(bare: Path, tmp_path: Path) -> None:
    from sentence_transformers import MultiVectorEncoder

    model = MultiVectorEncoder(str(bare), local_files_only=True, prompts={"query": "how ", "document": "the "})
    model[0].query_length = 32
    model.save(str(tmp_path / "base"), create_model_card=False)
    base = TRAINABLE.open(plan_of(tmp_path / "base"), "f32")
    assert base.prompts["query"] == "how " and base.notes == ()
    assert max(saving.write(base, tmp_path / "out", TEXTS, {}).values()) < 1e-4
    assert json.loads((tmp_path / "out" / "contract.json").read_text())["kind"] == "maxsim_sum"


def test_scores_are_means_of_best_cosines(opened: BaseModel) -> None:
    (query, document) = TEXTS[0]
    q = opened.model.encode_query([query], convert_to_numpy=True, show_progress_bar=False)[0]
    d = opened.model.encode_document([document], convert_to_numpy=True, show_progress_bar=False)[0]
    assert len(q) == 4 and len(d) == 5  # without the special tokens
    by_hand = np.mean([max(float(a @ b) for b in d) for a in q])
    assert opened.score([(query, document)]) == pytest.approx([by_hand], abs=1e-6)


def test_a_projection_of_all_dimensions_changes_no_cosine(bare: Path) -> None:
    whole = TRAINABLE.open(plan_of(bare, dims=32), "f32")
    half = TRAINABLE.open(plan_of(bare, dims=16), "f32")
    weight = whole.model[1].linear.weight
    torch.testing.assert_close(weight @ weight.T, torch.eye(32), atol=1e-4, rtol=0)
    assert np.abs(half.score(TEXTS) - whole.score(TEXTS)).max() < 0.2
    assert principal_axes(whole.model, ["the lamp of the city"], 3).shape == (3, 32)


def test_the_losses_are_those_of_the_scores(opened: BaseModel) -> None:
    model = opened.model.eval()
    queries, positives, negatives = (list(column) for column in zip(*by_city(4), strict=True))
    sides = ((queries, "query"), (positives, "document"), (negatives, "document"))
    features = [{**model.preprocess(texts, task=task), "task": task} for texts, task in sides]
    scores = 30 * opened.score([(q, d) for q in queries for d in (*positives, *negatives)]).reshape(4, 2, 4)
    logits = torch.from_numpy(scores)
    for name in ("mnrl", "cached-mnrl"):
        loss = LATE_LOSSES[name].make(model, LossSettings(), False)([dict(f) for f in features], None)
        expected = torch.nn.functional.cross_entropy(logits.reshape(4, 8), torch.arange(4))
        assert float(loss.detach()) == pytest.approx(float(expected), rel=1e-3)
    teacher = torch.tensor([[5.0, 1.0], [2.0, 3.0], [0.0, 0.5], [4.0, 4.0]])
    own = torch.stack([logits[range(4), 0, range(4)], logits[range(4), 1, range(4)]], dim=1)
    loss = LATE_LOSSES["margin-mse"].make(model, LossSettings(), False)([dict(f) for f in features], teacher)
    expected = ((own[:, 0] - own[:, 1]) - (teacher[:, 0] - teacher[:, 1])).square().mean()
    assert float(loss.detach()) == pytest.approx(float(expected), rel=1e-3)
    loss = LATE_LOSSES["teacher-kl"].make(model, LossSettings(), False)([dict(f) for f in features], teacher)
    expected = torch.nn.functional.kl_div(
        own.log_softmax(1), teacher.double().log_softmax(1), log_target=True, reduction="batchmean"
    )
    assert float(loss.detach()) == pytest.approx(float(expected), rel=1e-3)


def test_a_teacher_is_learned_from_where_all_candidates_have_its_score(bare: Path, tmp_path: Path) -> None:
    data = tiny.examples(labels=(1.0, 0.0, 0.0), teacher=(3.0, -1.0, 0.5))
    settings = TrainingSettings(
        str(bare), "late", learning_rate=1e-3, evaluations=1, steps=2, precision="bf16", candidates="given",
        negatives=2, dims=16, force=True,
    )  # fmt: skip
    plan = make_plan([data], settings)
    assert plan.sets[0].loss.name == "teacher-kl"
    report = train(plan, tmp_path / "out")
    assert report.steps == 2 and report.precision == "bf16" and max(report.reload_delta.values()) < 1e-4


def own_folder(place: Path, bare: Path, prefix: str = "") -> Path:
    """A folder of Resift's own layout: an encoder and a projection in one file, and a contract."""
    from safetensors.torch import load_file, save_file

    place.mkdir()
    names = ("model_type", "pad_token_id", "hidden_size", "num_hidden_layers", "num_attention_heads",
             "intermediate_size", "hidden_act", "layer_norm_eps", "max_position_embeddings", "type_vocab_size",
             "vocab_size")  # fmt: skip
    config = json.loads((bare / "config.json").read_text())
    (place / "config.json").write_text(json.dumps({name: config[name] for name in names}))
    (place / "tokenizer.json").write_text((bare / "tokenizer.json").read_text())
    torch.manual_seed(9)
    weights = {name: value for name, value in load_file(bare / "model.safetensors").items() if "pooler" not in name}
    save_file({**weights, "linear.weight": torch.randn(16, 32)}, place / "model.safetensors")
    record = LateInput(query_prefix=prefix, document_prefix=prefix, pooled_share=0.4)
    Contract("own", "late", ScoreKind.MAXSIM, 64, 64, record, languages=("en",)).write(place)
    return place


@pytest.mark.parametrize("prefix", ["", "water "])
def test_a_folder_of_resift_is_trained_further(bare: Path, tmp_path: Path, prefix: str) -> None:
    """Its base scores as Resift scores it, up to what rounding does, and so does what is written."""
    folder = own_folder(tmp_path / "own", bare, prefix)
    before = resift.load(str(folder), precision="f32").score(TEXTS)
    base = TRAINABLE.open(plan_of(folder), "f32")
    assert base.score(TEXTS) == pytest.approx([j.value for j in before.judgements], abs=0.01)
    with torch.no_grad():
        base.model[2].linear.weight.mul_(torch.linspace(0.5, 1.5, 16)[:, None])
    deltas = saving.write(base, tmp_path / "out", TEXTS, {})
    assert set(deltas) == ({"resift"} if prefix else {"resift", "sentence-transformers"})
    assert max(deltas.values()) < 1e-4
    loaded = resift.load(str(tmp_path / "out"), precision="f32")
    contract = json.loads((tmp_path / "out" / "contract.json").read_text())
    assert contract["tokens"]["pooled_share"] == 0.4 and contract["tokens"]["rounded"] and contract["name"] == "out"
    for pair, golden in zip(TEXTS, contract["golden"], strict=True):
        assert loaded.score([pair]).judgements[0].value == pytest.approx(golden["score"], abs=1e-4)
    assert load_embedder(str(tmp_path / "out")).dims == 32


def test_a_folder_of_resift_learns(bare: Path, tmp_path: Path) -> None:
    folder = own_folder(tmp_path / "own", bare)
    report = train(plan_of(folder, force=True, steps=4, evaluations=1), tmp_path / "out")
    assert report.steps == 4 and max(report.reload_delta.values()) < 1e-4
    assert any("rounded" in note for note in report.notes)


def test_what_a_folder_of_resift_has_and_training_has_not_is_refused(bare: Path, tmp_path: Path) -> None:
    folder = own_folder(tmp_path / "own", bare)
    contract = json.loads((folder / "contract.json").read_text())
    contract["tokens"]["query_marker"] = "[CLS]"
    (folder / "contract.json").write_text(json.dumps(contract))
    with pytest.raises(UnknownFamily, match="without markers and expansion"):
        TRAINABLE.open(plan_of(folder), "f32")
