"""Tuning boosts: it finds what there is, says so where there is nothing, and its figures are those of an evaluation."""

import json
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

from resift.cli.main import app
from resift.errors import InputError
from resift.evaluate import EvaluationOptions, evaluate
from resift.evaluate.dataset import Dataset
from resift.measures import ndcg
from resift.pipeline import Pipeline
from resift.rerank.boost import BoostRule, Shares, shares
from resift.types import Candidate, Document, Query
from resift.worth.boost_fit import HALF_LIVES, NONE, WEIGHTS, BoostGrid, JudgedRanking, cross_fitted, dcg
from resift.worth.clicks import read_clicks
from resift.worth.splits import folds
from resift.worth.tune_boosts import BoostOptions, as_json, check_pipeline, part_of, sentence, tune_boosts
from tests.evaluate.small import CountingScorer, models

NOW = "2026-11-27"
SUBJECTS = "lamp ferry bread harbour stone letter garden winter signal copper window river".split()
KINDS = "old red cheap heavy small".split()


def collection(useful: bool, queries: int = 60) -> Dataset:
    """Documents of two words; of those with both words of a query one is relevant: the newest, or any of them."""
    rng = random.Random(3)
    texts = [f"{kind} {subject}" for subject in SUBJECTS for kind in KINDS]
    documents, qrels, questions = [], {}, []
    for q, text in enumerate(rng.sample(texts, queries)):
        years = rng.sample(range(1990, 2026), 6)
        relevant = years.index(max(years)) if useful else rng.randrange(6)
        questions.append(Query(text, f"q{q}"))
        for i, year in enumerate(years):
            words = " ".join(rng.sample(["note", "page", "list", "leaf", "card"], 2))
            metadata = {"date": f"{year}-06-01", "votes": str(year - 1989), "year": year, "noise": rng.random()}
            documents.append(Document(f"{q}-{i}", f"{text} {words} number {q} {i}", metadata=metadata))
        qrels[f"q{q}"] = {f"{q}-{i}": int(i == relevant) for i in range(6)}
    return Dataset.of(questions, documents, qrels, name="small")


def tuned(data: Dataset, text: str, **settings: Any) -> Any:
    return tune_boosts(data, check_pipeline(text), BoostOptions(judged_only=True, cache=False, **settings))


@pytest.mark.parametrize(
    "boost",
    [f'boost("date", half_life="9y", now="{NOW}")', 'boost("date")', 'boost("votes")', 'boost("votes", log=false)'],
)
def test_what_helps_is_found(boost: str) -> None:
    result = tuned(collection(useful=True), f"bm25 >> {boost} >> top 5")
    report = result.report
    assert (
        report.better and report.gain.low > 0.03 and report.boosted == pytest.approx(report.plain + report.gain.value)
    )
    assert sentence(result).startswith("boosts help: +0.")
    assert len(report.folds) == 5 and sum(fold.queries for fold in report.folds) == 60
    assert all(fold.rules for fold in report.folds) and report.helped > 2 * report.hurt
    (part,) = [part for part in result.pipeline.stages if part.name == "boost"]
    assert part.value("field") in boost and (part.value("half_life") is None) == ("votes" in boost)
    assert Pipeline.parse(str(result.pipeline)) == result.pipeline and result.pipeline.top_k == 5


def test_nothing_is_said_to_be_as_good() -> None:
    result = tuned(collection(useful=False), f'bm25 >> boost("date", half_life="1y", now="{NOW}") >> boost("votes")')
    assert not result.report.better and sentence(result).startswith("no boost is as good: ")
    assert str(result.pipeline) == "bm25"
    assert as_json(result)["better"] is False


def test_of_two_boosts_the_useless_one_gets_no_weight() -> None:
    data = collection(useful=True)
    result = tuned(data, 'bm25 >> boost("noise") >> boost("votes")')
    assert result.report.better and [rule.field for rule in result.report.rules] == ["votes"]


def test_the_figures_are_those_of_an_evaluation() -> None:
    """What the grid calculates is what the pipeline does, with a model and candidates that it did not score."""
    data, scorers = collection(useful=True), models(CountingScorer())
    plain = "bm25 >> overlap@4 >> blend"
    parts = [f'boost(field="date", weight=1.5, half_life="10y", now="{NOW}")', 'boost(field="votes", weight=0.3)']
    result = tuned(data, f"{plain} >> {' >> '.join(parts)}", models=scorers)
    chosen = result.pipeline if result.report.better else Pipeline.parse(f"{plain} >> {parts[0]}")
    options = EvaluationOptions(("nDCG@10",), (), True, False, models=scorers)
    evaluation = evaluate(data, [plain, chosen], options)
    assert evaluation.run(plain).values["nDCG@10"].mean() == pytest.approx(result.report.plain)
    assert result.report.better
    values = [evaluation.run(text).values["nDCG@10"].mean() for text in (plain, str(chosen))]
    # Those who choose see what they chose by; the report is of queries that did not choose.
    assert values[1] > values[0] and values[1] == pytest.approx(result.report.boosted, abs=0.1)


def ranking(*gains: float, entries: list[dict[str, Any]], behind: tuple[float, ...] = ()) -> JudgedRanking:
    head = [Candidate(Document(f"d{i}", "", metadata=entry)) for i, entry in enumerate(entries)]
    scores = [1.0 - i for i in range(len(head))]
    return JudgedRanking(head, scores, [*gains, *behind], dcg(sorted([*gains, *behind], reverse=True)))


def test_the_grid_by_hand() -> None:
    votes = [{"votes": 0}, {"votes": 9}, {}]
    grid = BoostGrid([ranking(0.0, 1.0, 0.0, entries=votes, behind=(1.0,))], [BoostRule("votes")], 0.0)
    ideal = 1 + 1 / math.log2(3)
    assert grid.values([NONE])[0] == pytest.approx((1 / math.log2(3) + 1 / math.log2(5)) / ideal)
    # 1.0 - 0.75 = 0.25 against 0.0 + 0.75: the second is first; what lies behind stays behind.
    assert grid.values([(0, 1.5)])[0] == pytest.approx((1 + 1 / math.log2(5)) / ideal)
    # A weight of 0.75 makes 0.625 and 0.375, and changes nothing.
    assert grid.values([(0, 0.75)])[0] == grid.values([NONE])[0]
    assert grid.rules([(1, 0.5)]) == (BoostRule("votes", 0.5, log=False),) and grid.rules([NONE]) == ()


def test_dcg_is_that_of_the_measures() -> None:
    rng = random.Random(5)
    for _ in range(50):
        grades = {str(i): rng.randrange(3) for i in range(rng.randrange(1, 25))}
        order = rng.sample(sorted(grades), len(grades))
        ideal = dcg(sorted(grades.values(), reverse=True))
        assert (dcg([grades[i] for i in order]) / ideal if ideal else 0.0) == pytest.approx(ndcg(order, grades, 10))


def test_useless_boosts_are_seldom_called_better() -> None:
    """Chosen from the whole grid on the same queries they would nearly always be."""
    rng = np.random.default_rng(0)
    parts = folds([Query(f"text {i}", str(i)) for i in range(60)])
    better, seeming = 0, 0
    for _ in range(20):
        rankings = []
        for _ in range(60):
            gains = rng.permutation([1.0, 0, 0, 0, 0, 0, 0, 0])
            rankings.append(ranking(*gains, entries=[{"x": float(v)} for v in rng.random(8)]))
        grid = BoostGrid(rankings, [BoostRule("x")], 0.0)
        better += cross_fitted(grid, parts).better
        best = max(grid.values([(shape, weight)]).mean() for shape in (0, 1) for weight in WEIGHTS)
        seeming += best > grid.values([NONE]).mean()
    assert better <= 2 and seeming >= 10


def test_shapes_of_a_date_are_half_lives() -> None:
    grid = BoostGrid([ranking(1.0, entries=[{"date": NOW}])], [BoostRule("date", half_life="33d", now=NOW)], 0.0)
    assert [rule.half_life for rule in grid.shapes[0]] == [*HALF_LIVES, "33d"]
    assert {rule.now for rule in grid.shapes[0]} == {NOW}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "name a pipeline with its boosts, such as"),
        ("bm25 >> overlap", "has no boost; end it with one"),
        ('bm25 >> boost("x") >> overlap', "stands behind all models"),
        ('bm25 >> when("f") >> overlap >> boost("x")', "leave when and relevant out"),
        ('bm25 >> overlap >> boost("x") >> relevant', "leave when and relevant out"),
    ],
)
def test_pipelines_that_can_not_be_tuned(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_pipeline(text)


def test_data_that_can_not_tune() -> None:
    with pytest.raises(InputError, match="can't be tuned on 12 judged queries; label at least 38 more"):
        tuned(collection(useful=True, queries=12), 'bm25 >> boost("votes")')
    data = collection(useful=True)
    with pytest.raises(
        InputError, match="no candidate has a 'views' at all; there is 'date', 'votes', 'year', 'noise'"
    ):
        tuned(data, 'bm25 >> boost("views")')
    with pytest.raises(InputError, match="no candidate has a 'votes' that can be read"):
        tuned(data, 'bm25 >> boost("votes", half_life="1y")')


def test_notes_count_what_could_not_be_read() -> None:
    data = collection(useful=True)
    result = tuned(data, 'bm25 >> boost("year", half_life="5y", now="2020") >> boost("votes")')
    late = sum(year > 2020 for document in data.documents for year in [document.metadata["year"]])
    assert result.notes == (
        f"'year': dates of 360 candidates; {late} lie in the future",
        "'votes': numbers of 360 candidates",
    )


def test_parts_say_what_is_not_by_default() -> None:
    texts = ['boost(field="x", weight=0.3)', 'boost(field="x", weight=2, log=false)',
             'boost(field="x", weight=0.3, half_life="9d", unit="s", now="2026")']  # fmt: skip
    rules = [BoostRule("x"), BoostRule("x", 2.0, log=False), BoostRule("x", half_life="9d", unit="s", now="2026")]
    assert [str(part_of(rule)) for rule in rules] == texts


def test_shares_are_public() -> None:
    assert shares(BoostRule("x"), [], 0.0) == Shares(())


DOCUMENTS = [{"_id": f"d{i}", "text": f"the ferry number {i}", "votes": i} for i in range(4)]


@pytest.fixture
def corpus_file(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.jsonl"
    path.write_text("".join(json.dumps(document) + "\n" for document in DOCUMENTS))
    return path


def test_clicks(corpus_file: Path, tmp_path: Path) -> None:
    lines = [
        {"query": "ferry", "document": "d1", "clicked": 0, "position": 1},
        {"query": "ferry", "document": "d2", "clicked": True, "position": 3},
        {"query": "ferry ", "document": "d2", "clicked": "1", "position": 40},
        {"query": "ferry", "document": "d3", "clicked": 1},
        {"query": "nothing", "document": "d3", "clicked": False},
    ]
    jsonl, table = tmp_path / "clicks.jsonl", tmp_path / "clicks.csv"
    jsonl.write_text("\n".join(map(json.dumps, lines)))
    rows = [f"{v['query']},{v['document']},{v['clicked']},{v.get('position', '')}" for v in lines]
    table.write_text("\n".join(["Query,doc_id,click,rank", *rows]))
    for path in (jsonl, table):
        clicks = read_clicks(path, corpus_file)
        (query,) = clicks.data.queries
        assert (query.text, clicks.lines) == ("ferry", 5)
        assert clicks.gains[query.id] == {"d1": 0.0, "d2": 13.0, "d3": 1.0}  # 3, and 10 at most
        assert clicks.data.qrels[query.id] == {"d1": 0, "d2": 1, "d3": 1}
        assert any("relevant" in str(issue) for issue in clicks.data.issues)  # the query without a click is counted


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "has no line"),
        ("[1]", ":1: no object"),
        ("{", ":1: not a JSON value"),
        ('{"document": "d1", "clicked": 1}', ":1: no query"),
        ('{"query": "x", "clicked": 1}', ":1: no document"),
        ('{"query": "x", "document": "d1"}', ":1: no clicked"),
        ('{"query": " ", "document": "d1", "clicked": 1}', "is no text"),
        ('{"query": "x", "document": 1.5, "clicked": 1}', "is no id"),
        ('{"query": "x", "document": "d1", "clicked": 2}', "write 0 or 1"),
        ('{"query": "x", "document": "d1", "clicked": 1, "position": 0}', "no whole number from 1"),
        ('{"query": "x", "document": "d1", "clicked": 1, "position": true}', "no whole number from 1"),
        ('{"query": "x", "document": "e9", "clicked": 1}', "none of 1 judged documents"),
    ],
)
def test_clicks_that_are_refused(line: str, message: str, corpus_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "clicks.jsonl"
    path.write_text(line)
    with pytest.raises(InputError, match=message):
        read_clicks(path, corpus_file)


def written(data: Dataset, folder: Path) -> Path:
    """A data set as a BEIR folder."""
    (folder / "qrels").mkdir()
    documents = [{"_id": d.id, "text": d.text} | dict(d.metadata) for d in data.documents]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(d) + "\n" for d in documents))
    (folder / "queries.jsonl").write_text(
        "".join(json.dumps({"_id": q.id, "text": q.text}) + "\n" for q in data.queries)
    )
    rows = [f"{q}\t{d}\t{grade}\n" for q, grades in data.qrels.items() for d, grade in grades.items()]
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(rows))
    return folder


def cli(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["tune-boosts", *arguments], catch_exceptions=False)


def test_the_command(tmp_path: Path) -> None:
    data = collection(useful=True)
    folder = str(written(data, tmp_path))
    common = ["--judged-only", "--pipeline", 'bm25 >> boost("votes")', "--cache", str(tmp_path / "cache")]
    result = cli(folder, *common)
    assert result.exit_code == 0
    assert result.stdout.startswith("boosts help: +0.") and 'bm25 >> boost(field="votes", weight=' in result.stdout
    value = json.loads(cli(folder, *common, "--json").stdout)
    assert (value["schema"], value["kind"], value["queries"], value["better"]) == (1, "tune_boosts", 60, True)
    assert {"plain", "boosted", "gain", "helped", "hurt", "folds", "rules", "notes", "issues"} <= value.keys()
    assert value["pipeline"] == f"bm25 >> {value['rules'][0]}" and len(value["folds"]) == 5
    clicks = tmp_path / "clicks.jsonl"
    lines = [
        {"query": query.text, "document": document, "clicked": grade}
        for query in data.queries
        for document, grade in data.qrels[query.id].items()
    ]
    clicks.write_text("\n".join(map(json.dumps, lines)))
    clicked = json.loads(cli(folder, *common, "--clicks", str(clicks), "--json").stdout)
    assert clicked["better"] and clicked["plain"] == pytest.approx(value["plain"])
    corpus = str(tmp_path / "corpus.jsonl")
    same = json.loads(cli("--documents", corpus, *common, "--clicks", str(clicks), "--json").stdout)
    assert same["gain"] == clicked["gain"]
    for arguments, message in (
        ([folder, *common, "--clicks", str(clicks), "--split", "test"], "leave --queries"),
        ([*common, "--clicks", str(clicks)], "give the documents with --documents"),
    ):
        with pytest.raises(InputError, match=message):
            cli(*arguments)
