"""Level 3: a function that corrects a pipeline's order, in folds, in a folder, in every command."""

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import resift
from resift import Reranker
from resift.cli.main import app
from resift.errors import InputError
from resift.evaluate import Dataset, EvaluationOptions, evaluate
from resift.pipeline import Pipeline, read_pipeline
from resift.rerank.blend import standardised
from resift.rerank.drive import drive
from resift.rerank.learned import Learned, corrected, open_learned, scored_last
from resift.train.ltr.linear import LinearExamples
from resift.train.ltr.out_of_fold import query_hash
from resift.tune import TuneOptions, tune, write
from resift.tune.learner import FOLDER, RIDGES, Learner, chosen
from resift.types import Candidate, Document, ModelInfo, NoteCode, Pair, Query, Ranking, Score, ScoreKind, Scores
from resift.worth.splits import folds
from tests.tune.test_tune import beir

WORDS = [f"{a}{b}" for a in ("am", "bre", "cop", "del", "em", "fal") for b in ("ber", "on", "ta", "is")]


def likes(queries: int = 60, seed: int = 0) -> Dataset:
    """Ten documents have each query's word; the two that most people like are relevant, which no text says."""
    rng = np.random.default_rng(seed)
    names = [f"{WORDS[i % len(WORDS)]}{i}" for i in range(queries)]
    documents, qrels = [], {}
    for i, name in enumerate(names):
        counts = rng.permutation(100)[:10]
        best = set(np.argsort(-counts)[:2].tolist())
        for j in range(10):
            text = f"{name} " + " ".join(rng.choice(WORDS, 6))
            documents.append({"id": f"{i}-{j}", "text": text, "metadata": {"likes": int(counts[j])}})
        qrels[f"q{i}"] = {f"{i}-{j}": 1 for j in best}
    return Dataset.of([Query(name, f"q{i}") for i, name in enumerate(names)], documents, qrels, name="likes")


class Lengths:
    """A model that knows nothing of what people like."""

    def __init__(self) -> None:
        self.info = ModelInfo("lengths", ScoreKind.LOGIT, blend_weight=1.0)

    def score(self, pairs: Sequence[Pair]) -> Scores:
        return Scores.of([float(len(c.document.text) % 17) for _, c in pairs], self.info)


TEXT = "bm25 >> lengths@20 >> blend"


@pytest.fixture(scope="module")
def data() -> Dataset:
    return likes()


def options(**others: object) -> TuneOptions:
    return replace(TuneOptions(TEXT, cache=False, models={"lengths": Reranker(Lengths())}), **others)  # type: ignore[arg-type]


def test_what_no_weight_can_know_is_learned(data: Dataset, tmp_path: Path) -> None:
    result = tune(data, options())
    assert result.level == 3 and result.sentence.startswith("tuned (learned stage): +") and not result.notes
    level = result.levels[2]
    assert level.gain.low > 0.1 and level.value > result.default_value + 0.2
    assert "-o FOLDER keeps it" in " ".join(result.remarks())
    written = write(result, tmp_path / "tuned")
    correction = (tmp_path / "tuned" / FOLDER).absolute()
    assert written.pipeline.startswith(f'{TEXT} >> ltr(model="{correction}", weight=')
    assert read_pipeline(tmp_path / "tuned") == Pipeline.parse(written.pipeline)
    assert json.loads((tmp_path / "tuned" / "report.json").read_text())["pipeline"] == written.pipeline
    evaluation = evaluate(
        data, [written.pipeline], EvaluationOptions(("nDCG@10",), cache=False, models=options().models)
    )
    assert (
        np.mean(evaluation.run(written.pipeline).values["nDCG@10"]) > level.value - 0.05
    )  # and these queries taught it
    training = json.loads((correction / "training.json").read_text())
    assert training["data"]["query_hashes"] == sorted(query_hash(query) for query in data.queries)
    assert "made by `resift tune`" in (correction / "MODEL_CARD.md").read_text()


def test_nothing_of_the_reported_fold_is_learned_from(data: Dataset) -> None:
    """What four fifths teach, options included, is the same whatever the grades of the last fifth are."""
    learner = Learner(data)
    rankings = list(_rankings(data))
    grades = [data.qrels[query.id] for query in data.queries]
    once = learner(rankings[:48], grades[:48])
    shuffled = replace(data, qrels={**data.qrels, **{q.id: {"0-0": 1} for q in data.queries[48:]}})
    again = Learner(shuffled)(rankings[:48], grades[:48])
    assert isinstance(once.stage, Learned) and isinstance(again.stage, Learned)
    assert once.stage.model.function.content() == again.stage.model.function.content()
    assert once.stage.weight == again.stage.weight
    assert drive(once.stage, rankings[48:]) == drive(again.stage, rankings[48:]) or once.stage.weight


def _rankings(data: Dataset) -> list[Ranking]:
    from resift.evaluate.pipeline_rankings import pipeline_rankings

    return list(pipeline_rankings(data, Pipeline.parse(TEXT), EvaluationOptions(cache=False, models=options().models)))


def test_where_labels_are_luck_the_order_stays(data: Dataset) -> None:
    rng = np.random.default_rng(3)
    luck = {q.id: {f"{i}-{j}": 1 for j in rng.choice(10, 2, replace=False)} for q in data.queries for i in [q.id[1:]]}
    result = tune(replace(data, qrels=luck), options())
    assert result.level == 0 and abs(result.levels[2].gain.value) < 0.03


def test_the_choice_of_the_ridge_sees_no_reported_fold(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a fold's learner is handed, and what the ridge is chosen on, are the queries of the other folds."""
    handed: list[set[str]] = []

    def watched(examples: LinearExamples, seed: int) -> tuple[float, float]:
        handed.append(set(examples.rows.queries))
        return chosen(examples, seed)

    monkeypatch.setattr("resift.tune.learner.chosen", watched)
    tune(data, options())
    everything = {query.id for query in data.queries}
    parts = [{data.queries[int(q)].id for q in np.flatnonzero(f.report)} for f in folds(data.queries, 0)]
    assert [everything - part for part in handed[:-1]] == parts and handed[-1] == everything


def test_it_needs_no_trees(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)  # as if it were not installed
    result = tune(data, options())
    assert result.level == 3 and not result.notes


def test_labels_that_teach_no_order(data: Dataset) -> None:
    absent = {q.id: {"0-0": 1} for q in data.queries}
    result = tune(replace(data, qrels=absent), options())
    assert "level 3, a learned stage, was left out" in result.notes[0] and "to learn from" in result.notes[0]


@pytest.fixture(scope="module")
def stage(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Learned, Path]:
    """What all queries teach, and its folder."""
    learned = Learner(data)(list(_rankings(data)), [data.qrels[query.id] for query in data.queries])
    assert isinstance(learned.stage, Learned)
    part = learned.save(folder := tmp_path_factory.mktemp("tuned"))
    assert part.value("weight") == learned.stage.weight == 1
    return learned.stage, folder / FOLDER


def test_the_folder_gives_the_same_orders(data: Dataset, stage: tuple[Learned, Path]) -> None:
    """As a stage with its weight and without one, and as a model over candidates with scores."""
    learned, folder = stage
    rankings = _rankings(data)[:5]
    expected = [[c.document.id for c in r] for r in drive(learned, rankings)]
    for again in (Learned(open_learned(folder)), Learned(open_learned(folder), weight=1.0)):
        assert [[c.document.id for c in r] for r in drive(again, rankings)] == expected
    assert expected != [[c.document.id for c in r] for r in rankings]
    model = resift.load(folder)
    head = rankings[0].candidates[:10]
    scores = model.judge.score([(rankings[0].query, c) for c in head])
    values = [judgement.value for judgement in scores.judgements]
    assert [head[i].document.id for i in np.argsort(-np.array(values, float), kind="stable")] == expected[0][:10]
    with pytest.raises(InputError, match="linear corrects scores, and some candidates have none"):
        model.judge.score([(rankings[0].query, replace(head[0], score=None))])
    card = (folder / "MODEL_CARD.md").read_text()
    assert "A linear correction of scores (softmax cross-entropy) over" in card and "a ridge of" in card
    assert "a missing value is the mean of training" in card and "whose ridge was chosen on these queries" in card
    training = json.loads((folder / "training.json").read_text())
    assert training["library"] == "linear" and training["settings"]["ridge"] in RIDGES
    assert sum(row["gain"] for row in training["features"]) == pytest.approx(1)


def test_why(data: Dataset, stage: tuple[Learned, Path]) -> None:
    """Reasons are weight x standardised value, and add up to what is added to the score in front."""
    learned, folder = stage
    (before,) = _rankings(data)[:1]
    (after,) = drive(Learned(open_learned(folder), explain=True), [before])
    head = scored_last(before)
    matrix = learned.model.matrix(Ranking(before.query, head)).values
    rows = learned.model.usable(matrix)
    added = dict(zip([c.document.id for c in head], learned.model.function.predict(rows), strict=True))
    for candidate in after.candidates[: len(head)]:
        reasons = candidate.signals[-1].reasons
        assert sum(r.contribution for r in reasons) == pytest.approx(added[candidate.document.id])
    best = after[0].signals[-1].reasons[0]
    assert "likes" in best.feature and "likes" in best.words and best.contribution > 0


def test_values_that_training_did_not_see_are_noted(data: Dataset, stage: tuple[Learned, Path]) -> None:
    learned, _ = stage
    (before,) = _rankings(data)[:1]

    def rich(candidate: Candidate) -> Candidate:
        return replace(candidate, document=replace(candidate.document, metadata={"likes": 10_000}))

    (after,) = drive(learned, [replace(before, candidates=tuple(map(rich, before.candidates)))])
    assert [note.code for note in after.trace.notes if "likes" in note.message] == [NoteCode.DRIFT]
    poor = [replace(c, document=replace(c.document, metadata={})) for c in before.candidates]
    (after,) = drive(learned, [replace(before, candidates=tuple(poor))])
    assert [note.code for note in after.trace.notes if "likes" in note.message] == [NoteCode.MISSING]


def candidates(*scores: tuple[float, int] | None) -> tuple[Candidate, ...]:
    return tuple(
        Candidate(Document(str(i), "text"), s and Score(s[0], ScoreKind.LOGIT, "m", s[1])) for i, s in enumerate(scores)
    )


def test_the_weight_by_hand() -> None:
    """z of 3, 2, 1 is 1.22, 0, -1.22; so is z of 5, 7, 9 from the other end: the weight 2 turns the order round."""
    three = candidates((3.0, 1), (2.0, 1), (1.0, 1))
    z = standardised([3.0, 2.0, 1.0])
    assert corrected(three, np.array([5.0, 7.0, 9.0]), 2.0) == pytest.approx([-z[0], 0, z[0]])
    assert corrected(three, np.array([5.0, 7.0, 9.0]), 0.5) == pytest.approx([z[0] / 2, 0, -z[0] / 2])
    assert corrected(three, np.ones(3), 9.0) == pytest.approx(z)  # trees that say nothing change nothing
    assert corrected(three, np.array([0.0, 3.0, 0.0]), 0.5, as_they_are=True) == pytest.approx([z[0], 1.5, -z[0]])
    mixed = Ranking(Query("a"), candidates((3.0, 2), (2.0, 2), (1.0, 1), None))
    assert [c.document.id for c in scored_last(mixed)] == ["0", "1"]
    assert len(scored_last(mixed, 1)) == 1 and not scored_last(Ranking(Query("a"), candidates(None)))


@pytest.mark.parametrize("text", ['ltr(model="m", weight=-1)', 'ltr(model="m", weight=true)'])
def test_a_weight_that_is_none(text: str) -> None:
    with pytest.raises(InputError, match="the weight of ltr is a finite number of 0 or more"):
        Pipeline.parse(text)


def test_the_commands(tmp_path: Path) -> None:
    """The folder of `tune` in search, evaluate and the library; the names of the documents say nothing."""
    folder = beir(tmp_path / "data", plain := likes(40))
    lines = [
        json.dumps({"_id": d.id, "text": d.text, **d.metadata})
        for d in (plain.documents[i] for i in range(len(plain.documents)))
    ]
    (folder / "corpus.jsonl").write_text("\n".join(lines) + "\n")
    cache = ["--cache", str(tmp_path / "cache")]
    text = "bm25 >> resift-mini-en@10 >> blend"
    command = ["tune", str(folder), *cache, "--pipeline", text, "-o", str(tmp_path / "tuned"), "--json"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["level"] == 3 and ' >> ltr(model="' in report["pipeline"]
    tuned = str(tmp_path / "tuned")
    compared = CliRunner().invoke(
        app, ["evaluate", str(folder), *cache, "--pipeline", tuned, "--pipeline", text, "--json"]
    )
    assert compared.exit_code == 0, compared.output
    query = plain.queries[0].text
    command = ["search", query, str(folder / "corpus.jsonl"), "--pipeline", tuned, "--json"]
    shown = CliRunner().invoke(app, command)
    assert shown.exit_code == 0, shown.output
    results = resift.search(query, str(folder / "corpus.jsonl"), pipeline=tuned)
    assert {c.document.id for c in results[:2]} == plain.qrels[plain.queries[0].id].keys()


def test_clicks(tmp_path: Path) -> None:
    """A click further down counts more; what was only shown counts 0."""
    folder = beir(tmp_path / "data", plain := likes(24))
    lines = [
        {"query": q.text, "document": f"{i}-{j}", "position": j + 1, "clicked": f"{i}-{j}" in plain.qrels[q.id]}
        for q in plain.queries
        for i in [q.id[1:]]
        for j in range(10)
    ]
    clicks = tmp_path / "clicks.jsonl"
    clicks.write_text("".join(json.dumps(line) + "\n" for line in lines))
    command = ["tune", str(folder), "--clicks", str(clicks), "--cache", str(tmp_path / "cache"), "--json"]
    result = CliRunner().invoke(app, [*command, "--pipeline", "bm25 >> resift-mini-en@10 >> blend"])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["queries"] == 24 and len(report["levels"]) == 3
    with_qrels = CliRunner().invoke(app, [*command, "--split", "test"])
    assert isinstance(with_qrels.exception, InputError) and "clicks have queries and judgements" in str(
        with_qrels.exception
    )
