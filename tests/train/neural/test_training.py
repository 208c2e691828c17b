"""A whole training: measured on real lists before and after, stopped by its guard, written only when it is better."""

import dataclasses
import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from resift.errors import BrokenModel, InputError
from resift.evaluate import Dataset, named_measures
from resift.train.data import examples_of
from resift.train.examples import ExampleSet, Labelled, TrainingQuery
from resift.train.near_duplicates import normal
from resift.train.neural import run, splits
from resift.train.neural.cross_encoder import TRAINABLE, open_base
from resift.train.neural.evaluator import Health, ListEvaluator, health_of
from resift.train.neural.guard import alarm
from resift.train.neural.plan import make_plan
from resift.train.neural.ranking_lists import Judgement, Pool, RankingList, RankingLists, grade, measured
from resift.train.neural.run import train
from resift.train.neural.settings import TrainingSettings, checkpoints_of
from resift.train.neural.suspicions import suspicions
from resift.types import Document, Query
from tests.train.neural import tiny

FAST = {
    "learning_rate": 3e-3, "batch": 32, "epochs": 6.0, "evaluations": 4, "candidates": "given", "precision": "f32",
    "warmup": 0.0, "measures": ("nDCG@10", "RR@10"),
}  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.tiny_bert(tmp_path_factory.mktemp("bert"), head=False)


def settings(base: Path, **changes: object) -> TrainingSettings:
    return TrainingSettings(str(base), **{**FAST, **changes})  # type: ignore[arg-type]


def reversed_labels(data: ExampleSet) -> ExampleSet:
    queries = tuple(
        dataclasses.replace(
            q, candidates=tuple(dataclasses.replace(c, label=1.0 - (c.label or 0)) for c in q.candidates)
        )
        for q in data.queries
    )
    return dataclasses.replace(data, queries=queries)


@pytest.fixture(scope="module")
def learned(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has learned to tell lamps from ferries."""
    out = tmp_path_factory.mktemp("learned") / "model"
    plan = make_plan([tiny.examples()], settings(base))
    report = train(plan, out)
    assert report.out == str(out) and not report.refusals
    row = report.comparisons[0]
    assert row.trained > 0.9 > row.base and row.over_base.value > 0.1
    assert report.fresh_head and report.dev[0][0] == 0 and len(report.dev) >= 2
    assert not checkpoints_of(out).exists()
    return out


def test_what_was_trained_is_a_model_of_both_libraries(learned: Path) -> None:
    from sentence_transformers import CrossEncoder

    import resift

    pairs = [("what is the water", "the lamp of the city"), ("what is the water", "the ferry of the city")]
    logits = CrossEncoder(str(learned)).predict(pairs, activation_fn=torch.nn.Identity(), show_progress_bar=False)
    for engine in ("openvino", "torch"):
        scored = resift.load(str(learned), precision="f32", engine=engine).score(pairs)
        assert [j.value for j in scored.judgements] == pytest.approx(logits.tolist(), abs=1e-4)
    assert logits[0] > logits[1]
    card = (learned / "MODEL_CARD.md").read_text()
    assert "no reranker" in card and "held-out" in card
    contract = json.loads((learned / "contract.json").read_text())
    assert contract["name"] == "model" and len(contract["golden"]) == 3


def test_a_plan_keeps_dev_test_and_training_apart(base: Path) -> None:
    data = tiny.examples(60)
    doubled = tuple(
        dataclasses.replace(q, query=Query(f"  {q.query.text.upper()} ", q.query.id + "again")) for q in data.queries
    )
    plan = make_plan([dataclasses.replace(data, queries=(*data.queries, *doubled))], settings(base))
    parts = [
        {normal(item.query) for item in plan.dev.lists},
        {normal(item.query) for item in plan.test.lists},
        {normal(q.query.text) for q in plan.sets[0].queries},
    ]
    assert sum(len(part) for part in parts) == len(set.union(*parts)) == 60
    assert len(plan.dev.lists) >= 10 and len(plan.test.lists) >= 10


def test_the_split_depends_on_texts_alone() -> None:
    data = tiny.examples(50)
    renamed = tuple(
        TrainingQuery(Query(q.query.text, f"x{i}"), q.candidates) for i, q in enumerate(reversed(data.queries))
    )
    first, again, other = (
        {q.query.text for q in splits.split(part, bool, seed).dev}
        for part, seed in ((data, 3), (dataclasses.replace(data, queries=renamed), 3), (data, 4))
    )
    assert first == again != other


def test_leaked_queries_of_general_and_dev_data_do_not_train(base: Path) -> None:
    data = tiny.examples(60)
    leaked = [q.query for q in data.queries[:6]]
    documents = [Document(str(i), "the water of the lamp") for i in range(2)]
    general = Dataset.of(leaked, documents, {q.id: {"0": 1} for q in leaked}, name="general")
    plan = make_plan([data], settings(base), general=general)
    trained = {q.query.text for q in plan.sets[0].queries}
    assert not trained & {q.text for q in leaked}
    assert any("are among those that measure the model" in note for note in plan.notes)
    assert plan.general_test is not None and plan.general_dev is not None


def test_a_positive_that_the_first_stage_misses_is_not_slipped_in() -> None:
    rng = random.Random(1)
    positive = tiny.candidate(rng, 1.0)
    asked = tiny.query(1, (positive, tiny.candidate(rng, 0.0)), text="zzz unheard of")
    other = tiny.query(2, (tiny.candidate(rng, 0.0),), text="water")
    (item,) = Pool([asked, other]).lists("dev", [asked], 5).lists
    assert positive.document.text not in item.documents and list(item.grades.values()).count(1) == 1
    lists = RankingLists("dev", (item,), "BM25")
    (measure,) = named_measures.parse(["R@10"])
    assert measured(lists, [measure], np.arange(float(len(item.documents))))["R@10"].tolist() == [0.0]


def test_measures_are_graded_and_ties_keep_the_first_stage() -> None:
    item = RankingList("q", ("a", "b", "c"), {i: Judgement("", g) for i, g in enumerate((1, 0, 3))})
    lists = RankingLists("dev", (item,), "BM25")
    measures = named_measures.parse(["nDCG@10", "Success@1"])
    first = measured(lists, measures)["nDCG@10"][0]
    assert first == pytest.approx((1 + 3 / 2) / (3 + 1 / np.log2(3)))
    assert measured(lists, measures, np.zeros(3))["nDCG@10"][0] == pytest.approx(first)
    assert measured(lists, measures, np.array([1.0, 0.0, 2.0]))["nDCG@10"][0] == pytest.approx(1.0)


def test_grades_of_labels() -> None:
    assert [grade(x) for x in (None, -1.0, 0.0, 0.4, 0.5, 1.0, 3.0)] == [0, 0, 0, 0, 1, 1, 3]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"measures": ("nDGC@10",)}, "is no measure"),
        ({"losses": ("group-softmaxx",)}, "is no loss"),
        ({"losses": ("bce", "bce")}, "one loss for all"),
    ],
)
def test_wrong_names_fail_before_a_model_is_opened(changes: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        make_plan([tiny.examples()], settings(Path("/nowhere"), **changes))


def test_scores_of_a_teacher_are_no_labels(base: Path) -> None:
    rows = [{"query": f"q{i}", "document": f"d{i}", "score": i / 100} for i in range(100)]
    with pytest.raises(InputError, match="has no labels.* --columns label=COLUMN"):
        make_plan([examples_of(rows)], settings(base))


def test_too_few_queries_are_refused(base: Path) -> None:
    with pytest.raises(InputError, match="12 queries of data have a positive .*training takes 40"):
        make_plan([tiny.examples(12)], settings(base))


def test_collapse_is_provoked_and_stopped(base: Path, tmp_path: Path) -> None:
    """A learning rate that ruins the encoder: all documents get one score, nothing is written, and it says why."""
    plan = make_plan([tiny.examples()], settings(base, learning_rate=1.0, epochs=4.0, evaluations=20))
    report = train(plan, tmp_path / "out")
    assert report.alarm and report.steps < plan.steps
    assert "collapse" in report.stopped or "saturation" in report.stopped
    if not report.out:
        assert not (tmp_path / "out").exists()


def test_alarms() -> None:
    good = Health(0.6, 1.0, 0.0, True)
    assert alarm([good], good) == ""
    assert "collapse" in alarm([dataclasses.replace(good, spread=1e-5)], good)
    new_head = dataclasses.replace(good, spread=1e-4)
    assert alarm([new_head], new_head) == "" and "collapse" in alarm([new_head] * 3, new_head)
    assert "finite" in alarm([dataclasses.replace(good, finite=False)], good)
    assert "saturation" in alarm([dataclasses.replace(good, saturated=0.9)], good)
    worse = dataclasses.replace(good, value=0.5)
    assert alarm([worse, worse], good) == "" and "regression" in alarm([worse] * 3, good)


def test_health_sees_constants_and_saturation() -> None:
    lists = RankingLists("dev", (RankingList("q", ("a", "b"), {0: Judgement("a", 1)}),) * 2, "BM25")
    assert health_of(lists, np.array([3.0, 3.0, -1.0, -1.0]), 0.5).spread == 0
    assert health_of(lists, np.array([30.0, -30.0, 1.0, 2.0]), 0.5).saturated == 0.5
    assert not health_of(lists, np.array([np.nan, 0.0, 1.0, 2.0]), 0.5).finite


def test_no_number_stops_the_training(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Poisoned(torch.nn.Module):
        def __init__(self, loss: torch.nn.Module) -> None:
            super().__init__()
            self.loss, self.model, self.calls = loss, loss.model, 0

        def forward(self, *args: object, **kwargs: object) -> torch.Tensor:
            self.calls += 1
            return self.loss(*args, **kwargs) * (float("nan") if self.calls > 6 else 1.0)

    real = run.loss_modules
    monkeypatch.setattr(run, "loss_modules", lambda *a: {k: Poisoned(v) for k, v in real(*a).items()})
    report = train(make_plan([tiny.examples()], settings(base)), tmp_path / "out")
    assert report.alarm and "no finite number" in report.stopped and report.steps == 7
    assert all(np.isfinite(value) for _, value in report.dev)


def test_reversed_labels_are_noticed(learned: Path, tmp_path: Path) -> None:
    plan = make_plan([reversed_labels(tiny.examples())], settings(learned))
    with pytest.raises(InputError, match="wrong way round"):
        train(plan, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_negatives_that_are_too_hard_are_noticed(learned: Path) -> None:
    """Two of three negatives speak of lamps as the positives do, and of nothing else."""
    rng = random.Random(2)
    hard = Labelled(Document("", "lamp lamp lamp"), 0.0)
    harder = Labelled(Document("", "lamp lamp"), 0.0)
    queries = tuple(
        tiny.query(n, (tiny.candidate(rng, 1.0), hard, harder, tiny.candidate(rng, 0.0))) for n in range(40)
    )
    model = open_base(str(learned), 1, None, "f32")
    (sign,) = suspicions(model, queries)
    assert "very hard" in sign.message and not sign.fatal
    assert suspicions(model, tiny.examples(40).queries) == []


def test_a_worse_model_is_not_written_unless_forced(
    learned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wrong labels that only training knows, and a held-out set that is right."""
    right = tiny.examples(60, name="right")
    documents = [
        Document(f"{q.query.id}-{i}", f"{c.document.text} {q.query.id[1:]}")
        for q in right.queries
        for i, c in enumerate(q.candidates)
    ]
    grades = {q.query.id: {f"{q.query.id}-0": 1} for q in right.queries}
    queries = [Query(f"{q.query.text} city", q.query.id) for q in right.queries]
    dev = Dataset.of(queries, documents, grades, name="right")
    wrong = [reversed_labels(tiny.examples(60))]
    options = settings(learned, force=True, interpolate=1.0, patience=9, depth=8)
    forced = train(make_plan(wrong, options, dev), tmp_path / "forced")
    assert forced.refusals and "worse than the base model" in forced.refusals[0]
    assert "in spite of" in (tmp_path / "forced" / "MODEL_CARD.md").read_text()
    monkeypatch.setattr(run, "suspicions", lambda *a: [])  # so that only the figures speak
    refused = train(make_plan(wrong, dataclasses.replace(options, force=False), dev), tmp_path / "refused")
    assert refused.refusals and refused.out == "" and not (tmp_path / "refused").exists()


def test_interpolation_is_reported_and_mixes(learned: Path, tmp_path: Path) -> None:
    plan = make_plan([tiny.examples(60)], settings(learned, interpolate=0.0))
    report = train(plan, tmp_path / "out")
    assert report.alpha == 0.0
    assert report.comparisons[0].over_base.value == 0.0
    before, after = (open_base(str(p), 1, None, "f32").model.state_dict() for p in (learned, tmp_path / "out"))
    for name, value in before.items():
        torch.testing.assert_close(after[name], value)


def test_training_goes_on_from_a_checkpoint(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from resift.train.neural.progress import ShownProgress

    class Interrupted(Exception):
        pass

    def interrupt(self: object, args: object, state: object, control: object, **kwargs: object) -> None:
        if state.global_step == 2 * plan.every + 1:  # type: ignore[attr-defined]
            raise Interrupted

    plan = make_plan([tiny.examples()], settings(base))
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(ShownProgress, "on_step_end", interrupt)
        train(plan, tmp_path / "out")
    assert any(checkpoints_of(tmp_path / "out").glob("checkpoint-*"))
    steps: list[int] = []
    again = dataclasses.replace(plan, settings=settings(base, resume=True))
    report = train(again, tmp_path / "out", lambda step, n, share: steps.append(n) if step == "steps trained" else None)
    assert steps[0] > 1 and report.steps == plan.steps
    assert [step for step, _ in report.dev][:3] == [0, plan.every, 2 * plan.every]  # those before the interruption too


def test_callbacks_see_the_steps(base: Path, tmp_path: Path) -> None:
    from transformers import TrainerCallback

    class Steps(TrainerCallback):
        count = 0

        def on_step_end(self, args: object, state: object, control: object, **kwargs: object) -> None:
            self.count += 1

    callback = Steps()
    report = train(make_plan([tiny.examples()], settings(base)), tmp_path / "out", callbacks=[callback])
    assert callback.count == report.steps > 1


def test_several_data_sets_have_a_loss_each(base: Path, tmp_path: Path) -> None:
    scored = tiny.examples(60, teacher=(4.0, -1.0, -2.5, -7.0), name="scored")
    scored = dataclasses.replace(
        scored, queries=tuple(dataclasses.replace(q, query=Query(f"how {q.query.text}")) for q in scored.queries)
    )
    plan = make_plan([tiny.examples(60), scored], settings(base, losses=("group-softmax", "teacher-mse"), epochs=1.0))
    assert [each.loss.name for each in plan.sets] == ["group-softmax", "teacher-mse"]
    report = train(plan, tmp_path / "out")
    assert [each["loss"] for each in report.sets] == ["group-softmax", "teacher-mse"] and report.steps == plan.steps


def test_mnrl_trains_without_duplicates_in_a_batch(base: Path, tmp_path: Path) -> None:
    plan = make_plan([tiny.examples(60)], settings(base, losses=("mnrl",), epochs=1.0, force=True))
    assert train(plan, tmp_path / "out").steps > 0


def test_an_encoder_without_weights_and_a_used_folder_are_refused(base: Path, tmp_path: Path) -> None:
    plan = make_plan([tiny.examples()], settings(base))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "file").touch()
    with pytest.raises(InputError, match="there already"):
        train(plan, tmp_path / "out")
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "config.json").write_text("{}")
    with pytest.raises(BrokenModel, match="no weights that torch can train"):
        open_base(str(empty), 1, None, "f32")


def test_the_evaluator_gives_the_measure_that_chooses(base: Path) -> None:
    plan = make_plan([tiny.examples()], settings(base))
    evaluator = ListEvaluator(plan.dev, plan.measures, TRAINABLE)
    model = open_base(str(base), 1, None, "f32").model
    assert set(evaluator(model, steps=3)) == {"nDCG@10", "RR@10"}
    assert evaluator.primary_metric == "nDCG@10" and evaluator.history[0][0] == 3
