"""Every loss of the table: what it computes, which data it refuses, and that one real step of it learns."""

import math
import re
from collections import Counter
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sentence_transformers.cross_encoder import losses as reference

from resift.errors import InputError
from resift.train.examples import LabelKind
from resift.train.neural import list_losses as formulas
from resift.train.neural.cross_encoder import open_base
from resift.train.neural.grouped import GroupedCrossEncoder, groups_of, score_pairs
from resift.train.neural.losses import LOSSES, DataFacts, Form, LossSettings, Values, check, choose, kind_of, obstacle
from resift.train.neural.rows import rows_of
from tests.train.neural import tiny

ONES = torch.ones


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.tiny_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def model(folder: Path) -> GroupedCrossEncoder:
    return open_base(str(folder), 1, None, "f32").model


def set_for(name: str):  # noqa: ANN201
    teacher = LOSSES[name].values is Values.TEACHER
    return tiny.examples(8, teacher=(4.0, -1.0, -2.5, -7.0) if teacher else ())


@pytest.mark.parametrize("name", LOSSES)
def test_each_loss_learns_from_rows_of_its_form(name: str, folder: Path) -> None:
    loss = LOSSES[name]
    torch.manual_seed(0)
    model = open_base(
        str(tiny.tiny_bert(folder.parent / name, num_labels=loss.outputs)), loss.outputs, None, "f32"
    ).model
    model.eval()  # no dropout, so that the values before and after can be compared
    rows = rows_of(loss, set_for(name).queries)
    module = loss.make(model, LossSettings(in_batch=2), False)
    columns = [values[:8] for name, values in rows.columns.items() if name != "label"]
    labels = rows.columns.get("label", [0] * 8)[:8]
    as_tensors = [torch.tensor(v) for v in labels] if isinstance(labels[0], list) else torch.tensor(labels)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    values = []
    for _ in range(6):
        torch.manual_seed(1)  # the same negatives of other queries each time
        value = module(columns, as_tensors)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(float(value.detach()))
    assert all(math.isfinite(v) for v in values)
    assert values[-1] < values[0]


def test_no_loss_has_an_activation_before_it(model: GroupedCrossEncoder) -> None:
    """The sigmoid that the library puts into some losses saturates; a logit of 20 must still get a gradient."""
    for loss in LOSSES.values():
        if loss.outputs > 1:
            continue
        module = loss.make(model, LossSettings(), False)
        activation = getattr(module, "activation_fn", None)
        assert activation is None or isinstance(activation, torch.nn.Identity), loss.name


def test_a_sigmoid_in_the_loss_stops_learning_and_ours_does_not(model: GroupedCrossEncoder) -> None:
    logits = [torch.tensor([-20.0], requires_grad=True), torch.tensor([20.0], requires_grad=True)]

    def gradient(module: torch.nn.Module) -> float:
        for logit in logits:
            logit.grad = None
        module.calculate_loss(logits, 1).backward()
        return float(logits[0].grad.abs())

    assert gradient(reference.MultipleNegativesRankingLoss(model)) < 1e-6  # the positive is far below: no way back
    assert gradient(LOSSES["mnrl"].make(model, LossSettings(), False)) > 0.9


def test_group_softmax_by_hand() -> None:
    logits, labels = torch.tensor([1.0, 2.0, 0.0]), torch.tensor([1.0, 0.0, 0.0])
    expected = -1 + math.log(math.exp(1) + math.exp(2) + 1)
    assert float(formulas.group_softmax(logits, labels, ONES(3))) == pytest.approx(expected, rel=1e-6)


def test_group_softmax_learns_every_grade() -> None:
    """A document of grade 1 stands above those of grade 0, and is no rival of its own grade."""
    logits, labels = torch.tensor([0.0, 1.0, 5.0, 0.5]), torch.tensor([2.0, 1.0, 1.0, 0.0])
    top = math.log(math.exp(0) + math.exp(1) + math.exp(5) + math.exp(0.5))
    low = [math.log(math.exp(x) + math.exp(0.5)) - x for x in (1.0, 5.0)]
    assert float(formulas.group_softmax(logits, labels, ONES(4))) == pytest.approx((top + sum(low)) / 3, rel=1e-5)


def test_group_softmax_weights_positives() -> None:
    logits, labels = torch.tensor([0.0, 3.0, 1.0]), torch.tensor([1.0, 1.0, 0.0])
    first, second = (math.log(1 + math.exp(1.0 - x)) for x in (0.0, 3.0))
    weighted = formulas.group_softmax(logits, labels, torch.tensor([3.0, 1.0, 1.0]))
    assert float(weighted) == pytest.approx((3 * first + second) / 4, rel=1e-5)


def test_gbce_is_bce_without_calibration_and_weaker_for_positives_with_it() -> None:
    logits, labels = torch.tensor([0.3, -0.2]), torch.tensor([1.0, 0.0])
    plain = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels)
    assert float(formulas.generalised_bce(0.0, 100)(logits, labels, ONES(2))) == pytest.approx(float(plain), rel=1e-6)
    beta = 1 - 0.75 * (1 - 1 / 100)
    expected = (beta * math.log(1 + math.exp(-0.3)) + math.log(1 + math.exp(-0.2))) / 2
    assert float(formulas.generalised_bce(0.75, 100)(logits, labels, ONES(2))) == pytest.approx(expected, rel=1e-5)


def test_teacher_losses_are_zero_at_the_teacher() -> None:
    teacher = torch.tensor([12.0, -3.0, 0.5])
    shifted = teacher + 4  # margins and softmax don't know the level
    assert float(formulas.teacher_kl(2.0)(shifted, teacher, ONES(3))) == pytest.approx(0, abs=1e-6)
    assert float(formulas.teacher_margin(shifted, teacher, ONES(3))) == pytest.approx(0, abs=1e-6)
    reversed_ = formulas.teacher_ranknet(-teacher, teacher, ONES(3))
    assert float(formulas.teacher_ranknet(teacher, teacher, ONES(3))) < 0.02 < float(reversed_)


def test_teacher_margin_and_kl_by_hand() -> None:
    logits, teacher = torch.tensor([1.0, 0.0]), torch.tensor([3.0, 0.0])
    assert float(formulas.teacher_margin(logits, teacher, ONES(2))) == pytest.approx((1 - 3) ** 2)
    p, q = 1 / (1 + math.exp(-3)), 1 / (1 + math.exp(-1))
    expected = p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))
    assert float(formulas.teacher_kl(1.0)(logits, teacher, ONES(2))) == pytest.approx(expected, rel=1e-5)


def test_weights_of_pairs_count(model: GroupedCrossEncoder) -> None:
    inputs = [["what is it", "what is it"], ["the lamp", "the ferry"]]
    one = LOSSES["bce"].make(model, LossSettings(), True)
    plain = LOSSES["bce"].make(model, LossSettings(), False)
    model.eval()
    with torch.no_grad():
        same = one(inputs, [torch.tensor([1.0, 1.0]), torch.tensor([0.0, 1.0])])
        assert float(same) == pytest.approx(float(plain(inputs, torch.tensor([1.0, 0.0]))), rel=1e-6)
        doubled = one(inputs, [torch.tensor([1.0, 2.0]), torch.tensor([0.0, 2.0])])
        assert float(doubled) == pytest.approx(2 * float(same), rel=1e-6)


def test_grouping_changes_neither_scores_nor_gradients(model: GroupedCrossEncoder) -> None:
    model.eval()
    pairs = [("what is it", " ".join(["lamp"] * n)) for n in (1, 30, 2, 17, 5)]
    features = model.preprocess(pairs)

    def run(budget: int) -> tuple[torch.Tensor, list[torch.Tensor]]:
        model.token_budget = budget
        model.zero_grad()
        scores = model(dict(features))["scores"]
        (scores.view(-1) * torch.arange(1.0, 6.0)).sum().backward()
        return scores.detach(), [p.grad.clone() for p in model.parameters() if p.grad is not None]

    scores, gradients = run(1 << 20)
    grouped, others = run(40)
    torch.testing.assert_close(grouped, scores, rtol=1e-5, atol=1e-6)
    for ours, whole in zip(others, gradients, strict=True):
        torch.testing.assert_close(ours, whole, rtol=1e-3, atol=1e-5)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 64), min_size=1, max_size=40), st.integers(1, 256))
def test_groups_hold_each_row_once_within_the_budget(lengths: list[int], budget: int) -> None:
    groups = groups_of(lengths, budget)
    assert sorted(row for group in groups for row in group) == list(range(len(lengths)))
    for group in groups:
        assert len(group) == 1 or len(group) * max(lengths[row] for row in group) <= budget


def test_scores_are_raw_logits_in_the_order_of_the_pairs(model: GroupedCrossEncoder) -> None:
    pairs = [("what is it", "lamp " * n) for n in (9, 1, 4)]
    by_library = model.predict(pairs, activation_fn=torch.nn.Identity(), show_progress_bar=False)
    assert score_pairs(model, pairs) == pytest.approx(by_library, abs=1e-5)


def test_cached_mnrl_has_the_gradients_of_mnrl(model: GroupedCrossEncoder) -> None:
    model.eval()
    queries, positives = ["what is", "how is", "where is"], ["the lamp", "the city", "bread"]

    def gradients(name: str) -> list[torch.Tensor]:
        torch.manual_seed(4)
        model.zero_grad()
        LOSSES[name].make(model, LossSettings(in_batch=2), False)([queries, positives], None).backward()
        return [p.grad.clone() for p in model.parameters() if p.grad is not None]

    for cached, plain in zip(gradients("cached-mnrl"), gradients("mnrl"), strict=True):
        torch.testing.assert_close(cached, plain, rtol=1e-3, atol=1e-6)


def facts(**changes: object) -> DataFacts:
    return DataFacts.of(tiny.examples(4, **changes).queries)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("teacher-mse", {}, "teacher's scores"),
        ("teacher-kl", {"teacher": (1.0, 1.0, 1.0, 1.0)}, "scores differently"),
        ("margin-mse", {"teacher": (1.0, None, None, None)}, "both scored"),
        ("bce", {"labels": (3.0, 0.0)}, "from 0 to 1"),
        ("bce", {"labels": (1.0, 1.0)}, "positives alone"),
        ("ce", {"labels": (2.0, 0.0)}, "graded"),
        ("lambda", {"labels": (1.0, 1.0)}, "different labels"),
        ("group-softmax", {"labels": (0.7, 0.2)}, "continuous"),
        ("mnrl", {"labels": (0.0, 0.0)}, "no query has a positive"),
        ("listnet", {"labels": (None, None)}, "no candidate has one"),
        ("lambda", {"weights": (2.0, 1.0, 1.0, 1.0)}, "weights"),
    ],
)
def test_a_loss_refuses_data_that_do_not_fit_and_says_what_does(name: str, changes: dict, words: str) -> None:
    with pytest.raises(InputError, match=words) as error:
        check(name, facts(**changes))
    assert "with these data take" in str(error.value) or "mine negatives" in str(error.value)


def test_a_wrong_name_gets_a_hint() -> None:
    with pytest.raises(InputError, match="group-softmax"):
        check("group-sofmax", facts())


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "bce"),
        ({"labels": (2.0, 1.0, 0.0)}, "lambda"),
        ({"labels": (0.7, 0.2)}, "bce"),
        ({"labels": (7.5, -2.0)}, "mse"),
        ({"labels": (1.0,)}, "mnrl"),
        ({"teacher": (4.0, -1.0, -2.5, -7.0)}, "teacher-mse"),
        ({"weights": (2.0, 1.0, 1.0, 1.0)}, "group-softmax"),
    ],
)
def test_the_loss_that_is_chosen_fits(changes: dict, name: str) -> None:
    loss, reason = choose(facts(**changes))
    assert loss.name == name and reason and not obstacle(loss, facts(**changes))


def test_kinds_of_labels() -> None:
    kinds = [kind_of(labels) for labels in ([], [0.0, 1.0], [0.0, 3.0], [0.5], [-1.0])]
    assert kinds == [
        LabelKind.NONE, LabelKind.BINARY, LabelKind.GRADED, LabelKind.CONTINUOUS, LabelKind.CONTINUOUS,
    ]  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 5), st.integers(1, 20), st.integers(2, 8))
def test_rows_use_every_candidate_and_hold_both_sides(positives: int, negatives: int, size: int) -> None:
    data = tiny.examples(1, labels=(1.0,) * positives + (0.0,) * negatives)
    texts = {c.document.text for c in data.queries[0].candidates}
    lists = rows_of(LOSSES["lambda"], data.queries, list_size=size).columns
    assert {text for documents in lists["documents"] for text in documents} == texts
    assert all(len(documents) <= size and len(set(documents)) == len(documents) for documents in lists["documents"])
    assert all(len(set(values)) == 2 for values in lists["label"])
    tuples = rows_of(LOSSES["mnrl"], data.queries, negatives=size).columns
    assert {text for name, column in tuples.items() if name != "query" for text in column} == texts


def test_what_is_left_out_is_counted() -> None:
    data = tiny.examples(2, labels=(1.0, 0.0, None))
    assert rows_of(LOSSES["bce"], data.queries).left_out == Counter({"candidates without a label": 2})
    alike = (*data.queries, tiny.query(9, tuple(c for c in data.queries[0].candidates if c.label == 1)))
    assert rows_of(LOSSES["lambda"], alike).left_out["queries whose candidates are all alike"] == 1
    assert LOSSES["lambda"].form is Form.LIST


def test_the_page_names_every_loss() -> None:
    page = (Path(__file__).parents[3] / "docs" / "train.md").read_text()
    table = page[page.index("## Losses") :].split("`auto` takes")[0]
    assert {name for name in re.findall(r"`([\w-]+)`", table)} == set(LOSSES)
