"""Negatives that are mined again between epochs: which data can, what is exchanged, and that it stays one run."""

import dataclasses
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from resift.cli.main import app
from resift.errors import InputError
from resift.train.data import examples_of
from resift.train.examples import ExampleSet, Labelled, TrainingQuery
from resift.train.neural import run
from resift.train.neural.hard_negatives import exchanged, key_of, negatives_of
from resift.train.neural.plan import Plan, make_plan
from resift.train.neural.run import train
from resift.train.neural.settings import TrainingSettings
from resift.types import Document, Query
from tests.train.neural import tiny
from tests.train.neural.test_resume import assert_equal_weights, going_on, interrupted_at


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.tiny_bert(tmp_path_factory.mktemp("bert"), head=False)


def rows(count: int = 60, negatives: int = 2) -> tuple[list[dict[str, Any]], list[Document]]:
    """Queries of a few words, their relevant documents, and a corpus of documents with like words."""
    draw = random.Random(3)
    words = [*tiny.FILLERS, "lamp", "ferry"]
    corpus = [Document(f"d{i}", f"{' '.join(draw.choices(words, k=8))} {i}") for i in range(200)]
    entries = []
    for i in range(count):
        query = f"{' '.join(draw.choices(tiny.FILLERS, k=4))} {i}"
        positive = f"{' '.join(draw.choices(tiny.FILLERS, k=6))} lamp {query}"
        entries.append({"query": query, "document": positive, "label": 1})
        entries += [{"query": query, "document": draw.choice(corpus).text, "label": 0} for _ in range(negatives)]
    return entries, corpus


def data(count: int = 60, negatives: int = 2) -> ExampleSet:
    entries, corpus = rows(count, negatives)
    return dataclasses.replace(examples_of(entries), corpus=corpus)


def settings(base: Path, **changes: Any) -> TrainingSettings:
    values = {
        "learning_rate": 1e-3, "epochs": 3.0, "evaluations": 4, "patience": 20, "precision": "f32", "batch": 24,
        "interpolate": 1.0, "force": True, "remine": 1, "depth": 20, **changes,
    }  # fmt: skip
    return TrainingSettings(str(base), **values)


KINDS = {
    "reranker": {"losses": ("group-softmax",)},
    "late": {"task": "late", "losses": ("mnrl",), "dims": 16, "negatives": 2},
    "embedder": {"task": "embedder", "losses": ("mnrl",), "negatives": 2},
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_of_rounds_is_one_run_and_goes_on_where_it_was_interrupted(
    kind: str, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "load_state", lambda model, folder: None)  # what is written are the last weights
    plan = make_plan([data()], settings(base, **KINDS[kind]))
    assert any("mined again 2 times" in note for note in plan.notes)
    trained_on: list[Plan] = []
    real = run.make_trainer
    monkeypatch.setattr(run, "make_trainer", lambda plan, *rest: trained_on.append(plan) or real(plan, *rest))
    whole = train(plan, tmp_path / "whole")
    assert whole.steps == plan.steps == 3 * plan.round_steps
    assert [each.step for each in whole.rounds] == [plan.round_steps, 2 * plan.round_steps]
    assert whole.rounds[0].changed > 0 and "positives score mostly" in whole.rounds[0].sentence
    queries = {q.query.text for q in plan.sets[0].queries}
    for round_plan in trained_on:
        assert {q.query.text for q in round_plan.sets[0].queries} == queries  # those that are held out never train
        assert round_plan.sets[0].rows.count == plan.sets[0].rows.count
    assert trained_on[1].sets[0].rows.columns != plan.sets[0].rows.columns
    monkeypatch.setattr(run, "make_trainer", real)
    interrupted_at(plan.round_steps + plan.round_steps // 2 + 1, plan, tmp_path / "again", monkeypatch)
    again = going_on(plan, tmp_path / "again")
    assert (again.dev, again.rounds) == (whole.dev, whole.rounds)
    assert_equal_weights(tmp_path / "whole", tmp_path / "again")


def test_an_interruption_while_mining_loses_nothing(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model of the checkpoint mines what the model in memory would have mined."""
    from resift.train.neural import remining

    plan = make_plan([data()], settings(base, losses=("bce",)))
    whole = train(plan, tmp_path / "whole")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(remining, "mine", interrupt)
        train(plan, tmp_path / "again")
    again = going_on(plan, tmp_path / "again")
    assert (again.dev, again.rounds) == (whole.dev, whole.rounds)
    assert "Negatives mined again: after step" in (tmp_path / "again" / "MODEL_CARD.md").read_text()


def test_positives_alone_get_first_negatives_of_bm25(base: Path) -> None:
    plan = make_plan([data(negatives=0)], settings(base, task="embedder", losses=("mnrl",), negatives=3))
    counts = [len(negatives_of(q)) for q in plan.sets[0].queries]
    assert sorted(set(counts)) in ([3], [0, 3]) and counts.count(3) > len(counts) / 2
    assert "negative_3" in plan.sets[0].rows.columns


@pytest.mark.parametrize(
    ("changes", "examples", "words"),
    [
        ({}, dataclasses.replace(data(), corpus=None), "brings no corpus"),
        ({"losses": ("teacher-kl",)}, None, "nobody has scored the negatives"),
        ({"steps": 3}, data(), "and the training has 3"),
    ],
)
def test_what_cannot_be_mined_again_is_refused(
    base: Path, changes: dict[str, Any], examples: ExampleSet | None, words: str
) -> None:
    if examples is None:
        examples = dataclasses.replace(data(), queries=[_taught(q) for q in data().queries])
    with pytest.raises(InputError, match=words):
        make_plan([examples], settings(base, **changes))


def _taught(query: TrainingQuery) -> TrainingQuery:
    candidates = tuple(dataclasses.replace(c, teacher=float(i)) for i, c in enumerate(query.candidates))
    return dataclasses.replace(query, candidates=candidates)


def test_one_epoch_has_nothing_between(base: Path) -> None:
    with pytest.raises(InputError, match="between epochs: 1 epochs have nothing after every 1"):
        settings(base, epochs=1.0)


def test_labels_without_negatives_are_refused(base: Path) -> None:
    numbers = [dataclasses.replace(c, label=(c.label or 0) + 0.5) for q in data().queries for c in q.candidates]
    queries = [
        dataclasses.replace(q, candidates=tuple(numbers[3 * i : 3 * i + 3])) for i, q in enumerate(data().queries)
    ]
    examples = dataclasses.replace(data(), queries=queries)
    with pytest.raises(InputError, match="has no negatives"):
        make_plan([examples], settings(base, losses=("mse",)))


@given(st.lists(st.integers(0, 9), max_size=6, unique=True), st.lists(st.integers(0, 9), max_size=6, unique=True))
def test_a_query_keeps_the_number_of_its_negatives(old: list[int], new: list[int]) -> None:
    documents = [Document(f"d{i}", f"text {i}") for i in range(10)]
    positive = Labelled(Document("p", "the answer"), 1.0)
    query = TrainingQuery(Query("q"), (positive, *(Labelled(documents[i], 0.0) for i in old)))
    result = exchanged([query], {key_of(query): [Labelled(documents[i], 0.0) for i in new]})
    (after,) = result.queries
    ids = {c.document.id for c in negatives_of(after)}
    assert positive in after.candidates and len(ids) == len(old) == result.negatives
    assert ids >= {f"d{i}" for i in new[: len(old)]} and ids <= {f"d{i}" for i in {*old, *new}}
    assert result.changed == len(set(new[: len(old)]) - set(old))


def test_the_command_mines_again_in_a_corpus_of_its_own(base: Path, tmp_path: Path) -> None:
    entries, corpus = rows()
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in entries))
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps({"id": d.id, "text": d.text}) + "\n" for d in corpus))
    command = ["train", "embedder", str(tmp_path / "data.jsonl"), "--base", str(base), "--epochs", "2", "--remine", "1"]
    more = ["--corpus", str(tmp_path / "corpus.jsonl"), "--output", str(tmp_path / "out"), "--lr", "1e-3", "--force"]
    result = CliRunner().invoke(app, [*command, *more, "--precision", "f32", "--json"])
    assert result.exit_code == 0, result.output
    (done,) = json.loads(result.stdout)["rounds"]
    assert 0 < done["changed"] <= done["negatives"]
