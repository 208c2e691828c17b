"""Training of a cross-encoder with heads at several layers: each head learns, and learns from the last one."""

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import resift
from resift.cli.train_options import layers
from resift.errors import BrokenModel, InputError
from resift.models.inner_heads import HEADS_FILE
from resift.models.layer_names import with_layer
from resift.train.neural import saving
from resift.train.neural.cross_encoder import open_base
from resift.train.neural.grouped import score_pairs
from resift.train.neural.layerwise import LayerwiseCrossEncoder, score_layers
from resift.train.neural.layerwise_loss import LayerwiseLoss, divergence, loss_of
from resift.train.neural.losses import LOSSES, Form, Loss, LossSettings, Values
from resift.train.neural.plan import make_plan
from resift.train.neural.rows import rows_of
from resift.train.neural.run import train
from resift.train.neural.settings import TrainingSettings
from tests.layered_checkpoints import layered
from tests.train.neural import tiny

PAIRS = [("what is water", "the lamp"), ("where is the city", "the ferry in the north of oslo")]
FAST = {
    "learning_rate": 3e-3, "batch": 32, "epochs": 8.0, "evaluations": 3, "candidates": "given", "precision": "f32",
    "warmup": 0.0, "measures": ("nDCG@10", "RR@10"),
}  # fmt: skip


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.tiny_bert(tmp_path_factory.mktemp("bare"), head=False)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.tiny_bert(tmp_path_factory.mktemp("classifier"))


def settings(base: Path, **changes: object) -> TrainingSettings:
    return TrainingSettings(str(base), **{**FAST, **changes})  # type: ignore[arg-type]


def opened(folder: Path, outputs: int = 1) -> LayerwiseCrossEncoder:
    model = open_base(str(folder), outputs, None, "f32", heads=(1,)).model
    assert isinstance(model, LayerwiseCrossEncoder)
    model.eval()  # no dropout, so that values can be compared
    return model


def batch_of(loss: Loss) -> tuple[list[list[str]], object]:
    teacher = (4.0, -1.0, -2.5, -7.0) if loss.values is Values.TEACHER else ()
    rows = rows_of(loss, tiny.examples(8, teacher=teacher).queries)
    columns = [values[:8] for name, values in rows.columns.items() if name != "label"]
    labels = rows.columns.get("label", [0] * 8)[:8]
    as_tensors = [torch.tensor(v) for v in labels] if isinstance(labels[0], list) else torch.tensor(labels)
    return columns, as_tensors


@pytest.fixture(scope="module")
def learned(bare: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose two heads have learned to tell lamps from ferries."""
    out = tmp_path_factory.mktemp("learned") / "model"
    report = train(
        make_plan([tiny.examples()], settings(bare, heads=(1, 2), losses=("group-softmax",), epochs=12.0)), out
    )
    assert report.out == str(out) and report.alpha == 1.0
    assert [head.layer for head in report.heads] == [1, 2]
    assert all(head.values["nDCG@10"] > 0.9 for head in report.heads)
    assert report.heads[1].share == 1.0 and report.heads[1].values["nDCG@10"] == report.comparisons[0].trained
    assert set(report.reload_delta) == {"sentence-transformers", "resift", "resift at layer 1"}
    assert any("heads at layer 1 are new" in note for note in report.notes)
    return out


def test_a_folder_holds_every_head_and_says_how_it_reads(learned: Path) -> None:
    contract = json.loads((learned / "contract.json").read_text())
    assert contract["heads"] == [{"layer": 1, "reads": "mean+max"}, {"layer": 2, "reads": "classifier"}]
    names = {"1.dense.weight", "1.dense.bias", "1.score.weight", "1.score.bias"}
    assert load_file(learned / HEADS_FILE).keys() == names
    assert "| head at layer | nDCG@10 | RR@10 | share of the last |" in (learned / "MODEL_CARD.md").read_text()
    pairs = [("what is the water", f"the {word} of the city") for word in ("lamp", "ferry")]
    for name in (with_layer(str(learned), 1), str(learned)):
        lamp, ferry = resift.load(name, precision="f32").score(pairs).values
        assert lamp is not None and ferry is not None and lamp > ferry + 0.5


def test_a_model_that_has_heads_keeps_them(learned: Path, tmp_path: Path) -> None:
    again = open_base(str(learned), 1, None, "f32")
    assert isinstance(again.model, LayerwiseCrossEncoder) and again.model.layers == (1, 2)
    assert not again.new_layers and not again.notes and not again.fresh_head
    expected = [resift.load(with_layer(str(learned), n), precision="f32").score(PAIRS).values for n in (1, 2)]
    np.testing.assert_allclose(list(score_layers(again.model, PAIRS).values()), expected, atol=1e-4)
    report = train(make_plan([tiny.examples()], settings(learned, interpolate=0.0, epochs=1.0)), tmp_path / "out")
    assert report.alpha == 0.0  # the base's weights, those of its inner heads too
    before, after = (load_file(folder / HEADS_FILE) for folder in (learned, tmp_path / "out"))
    torch.testing.assert_close(after, before)


def test_a_head_goes_on_reading_what_it_read(tmp_path: Path) -> None:
    folder = layered(tmp_path, noise=0.0)
    base = open_base(str(folder), 1, None, "f32")
    assert [head.reads for head in base.model.heads] == ["mean+max", "cls", "classifier"]
    expected = [resift.load(with_layer(str(folder), n), precision="f32").score(PAIRS).values for n in (1, 2, 3)]
    np.testing.assert_allclose(list(score_layers(base.model, PAIRS).values()), expected, atol=1e-4)


def test_a_head_that_is_not_in_the_file_is_no_chance(learned: Path, tmp_path: Path) -> None:
    import shutil

    copy = shutil.copytree(learned, tmp_path / "copy")
    (copy / HEADS_FILE).unlink()
    with pytest.raises(BrokenModel, match="does not hold the head at layer 1"):
        open_base(str(copy), 1, None, "f32")


@pytest.mark.parametrize("name", LOSSES)
def test_each_loss_teaches_each_head(name: str, tmp_path: Path) -> None:
    loss = LOSSES[name]
    torch.manual_seed(0)
    model = opened(tiny.tiny_bert(tmp_path / "base", num_labels=loss.outputs), loss.outputs)
    module = loss_of(loss, model, LossSettings(in_batch=2), False)
    columns, labels = batch_of(loss)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    values = []
    for _ in range(6):
        torch.manual_seed(1)  # the same negatives of other queries each time
        value = module(columns, labels)
        optimizer.zero_grad()
        value.backward()
        heads = [model[-1].inner_heads["1"].score.weight, model[0].model.classifier.weight]
        assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in heads)
        optimizer.step()
        values.append(float(value.detach()))
    assert all(math.isfinite(v) for v in values) and values[-1] < values[0]


@pytest.mark.parametrize("name", ["bce", "mnrl", "margin-mse", "group-softmax", "listnet"])
def test_the_loss_is_that_of_each_head_and_its_distance_from_the_last(name: str, classifier: Path) -> None:
    """Computed anew: each head's logits through the loss of a model with one head, and the divergence by SciPy."""
    from scipy.special import softmax
    from scipy.stats import entropy

    loss, model = LOSSES[name], opened(classifier)
    torch.manual_seed(2)
    with torch.no_grad():  # heads that differ
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    columns, labels = batch_of(loss)
    torch.manual_seed(1)
    total = loss_of(loss, model, LossSettings(in_batch=2), False)(columns, labels).item()
    alone, logits = {}, {}
    for layer in (1, 2):
        torch.manual_seed(1)
        with model.reading(layer), model.recorded() as passes:
            alone[layer] = loss.make(model, LossSettings(in_batch=2), False)(columns, labels).item()
        logits[layer] = [each[layer].detach().numpy()[:, 0] for each in passes]
    if loss.form is Form.LIST:
        ends = np.cumsum([len(documents) for documents in columns[1]])[:-1]
        rows = {layer: np.split(np.concatenate(parts), ends) for layer, parts in logits.items()}
    elif loss.form is Form.PAIR:
        rows = {layer: [np.array([0.0, x]) for x in np.concatenate(parts)] for layer, parts in logits.items()}
    else:
        rows = {layer: list(np.stack(parts, axis=1)) for layer, parts in logits.items()}
    distance = np.mean([entropy(softmax(t), softmax(s)) for s, t in zip(rows[1], rows[2], strict=True)])
    assert total == pytest.approx(alone[2] + alone[1] + distance, rel=1e-4)
    assert distance > 0.01


def test_the_last_head_learns_nothing_from_the_others(classifier: Path) -> None:
    loss, gradients = LOSSES["group-softmax"], []
    for several in (True, False):
        model = opened(classifier)
        module = loss_of(loss, model, LossSettings(), False) if several else loss.make(model, LossSettings(), False)
        module(*batch_of(loss)).backward()
        gradients.append(model[0].model.classifier.weight.grad)
    torch.testing.assert_close(*gradients)


def test_divergence_by_hand() -> None:
    ours, target = torch.tensor([[0.0, math.log(3)]], requires_grad=True), torch.zeros(1, 2, requires_grad=True)
    value = divergence([ours], [target])
    assert value.item() == pytest.approx(0.5 * math.log(4 / 3))  # a half of ln(0.5/0.25) and of ln(0.5/0.75)
    value.backward()
    assert target.grad is None and ours.grad is not None
    both = divergence([torch.zeros(2), torch.tensor([0.0, math.log(3)])], [torch.zeros(2), torch.zeros(2)])
    assert both.item() == pytest.approx(0.25 * math.log(4 / 3))


def test_one_pass_computes_all_heads(classifier: Path) -> None:
    model, calls = opened(classifier), []
    model[0].register_forward_hook(lambda *_: calls.append(1))
    loss = LOSSES["group-softmax"]
    module = loss_of(loss, model, LossSettings(), False)
    assert isinstance(module, LayerwiseLoss)
    module(*batch_of(loss))
    assert len(calls) == 1


def test_groups_of_like_length_change_no_head(classifier: Path) -> None:
    model = opened(classifier)
    pairs = [(f"what is {'water ' * n}", "the lamp " * (1 + n % 5)) for n in range(12)]
    together = score_layers(model, pairs)
    model.token_budget = 40
    for layer, scores in score_layers(model, pairs).items():
        np.testing.assert_allclose(scores, together[layer], atol=1e-5)
    np.testing.assert_array_equal(score_pairs(model, pairs), score_layers(model, pairs)[2])


def test_heads_stay_in_f32_under_bf16(classifier: Path) -> None:
    base = open_base(str(classifier), 1, None, "bf16", heads=(1,))
    inner = {f"1.inner_heads.1.{part}" for part in ("dense", "score")}
    assert inner < set(base.model.keep_in_fp32_modules)
    with torch.autocast("cpu", torch.bfloat16):
        scores = base.model(base.model.preprocess(PAIRS))["layer_scores"]
    assert {value.dtype for value in scores.values()} == {torch.float32}


def test_new_heads_learn_faster_than_the_encoder(classifier: Path, tmp_path: Path) -> None:
    from resift.train.neural.evaluator import Health, ListEvaluator
    from resift.train.neural.guard import Guard
    from resift.train.neural.run import make_trainer

    plan = make_plan([tiny.examples()], settings(classifier, heads=(1,), learning_rate=2e-5))
    base = open_base(str(classifier), 1, None, "f32", heads=(1,))
    evaluator = ListEvaluator(plan.dev, plan.measures, base.kind)
    guard = Guard(evaluator, Health(0.5, 1.0, 0.0, True), 4)
    optimizer = make_trainer(plan, base, evaluator, guard, tmp_path, "f32").create_optimizer()
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    inner = {id(p) for p in base.model[-1].parameters()}
    assert {rates[p] for p in inner} == {1e-3} and {rate for p, rate in rates.items() if p not in inner} == {2e-5}


def test_adapters_go_with_heads(classifier: Path, tmp_path: Path) -> None:
    base = open_base(str(classifier), 1, None, "f32", lora=4, heads=(1,))
    trained = {name for name, p in base.model.named_parameters() if p.requires_grad}
    assert any("inner_heads.1.dense" in name for name in trained) and any("lora_" in name for name in trained)
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in base.model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.2)
    expected = score_layers(base.model, PAIRS)
    deltas = saving.write(base, tmp_path / "out", PAIRS, {})
    assert set(deltas) == {"peft", "sentence-transformers", "resift", "resift at layer 1"}
    for layer in (1, 2):
        scores = resift.load(with_layer(str(tmp_path / "out"), layer), precision="f32").score(PAIRS).values
        np.testing.assert_allclose(scores, expected[layer], atol=1e-4)
    with pytest.raises(InputError, match="an adapter alone has no place for heads"):
        open_base(str(classifier), 1, None, "f32", lora=4, heads=(1,), merge=False)


@pytest.mark.parametrize("heads", [(3,), (0,), (2,), (1, 5)])
def test_layers_that_a_model_does_not_have_are_refused(classifier: Path, heads: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="has 2 layers, and its own head behind the last one; heads are at some of"):
        open_base(str(classifier), 1, None, "f32", heads=heads)


def test_heads_are_those_of_rerankers_and_each_once(classifier: Path) -> None:
    with pytest.raises(InputError, match="a late-interaction model is trained without heads"):
        settings(classifier, task="late", heads=(1,))
    with pytest.raises(InputError, match="each layer has one head"):
        settings(classifier, heads=(1, 1))


def test_a_layer_of_a_base_is_refused(learned: Path) -> None:
    with pytest.raises(InputError, match="a whole model is trained"):
        open_base(with_layer(str(learned), 1), 1, None, "f32")


def test_layers_on_the_command_line() -> None:
    assert layers("2,4, 6") == (2, 4, 6) and layers(None) == ()
    with pytest.raises(InputError, match="--heads takes numbers of layers"):
        layers("2;4")


def test_training_goes_on_with_its_heads(bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from resift.train.neural.progress import ShownProgress

    class Interrupted(Exception):
        pass

    def interrupt(self: object, args: object, state: object, control: object, **kwargs: object) -> None:
        if state.global_step == plan.every + 1:  # type: ignore[attr-defined]
            raise Interrupted

    plan = make_plan([tiny.examples()], settings(bare, heads=(1,), epochs=3.0))
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(ShownProgress, "on_step_end", interrupt)
        train(plan, tmp_path / "out")
    again = dataclasses.replace(plan, settings=settings(bare, heads=(1,), epochs=3.0, resume=True))
    report = train(again, tmp_path / "out")
    assert report.steps == plan.steps and [step for step, _ in report.dev][:2] == [0, plan.every]
