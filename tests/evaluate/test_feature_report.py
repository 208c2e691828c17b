"""What each feature is worth alone: areas by hand, a report of a small collection, the command."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from resift.cli.main import app
from resift.errors import InputError
from resift.evaluate import DataFiles, Dataset, EvaluationOptions, read_dataset
from resift.evaluate.feature_report import feature_report, query_areas
from resift.evaluate.pipeline_rankings import pipeline_rankings
from resift.features import FeatureSet
from resift.pipeline import Pipeline
from resift.types import Document, Query
from tests.evaluate.small import CountingScorer, collection, models

BM25 = Pipeline.parse("bm25")
NO_CACHE = EvaluationOptions(cache=False)


def priced(count: int = 12) -> Dataset:
    """One query a word; of its four documents one is relevant, and it is the cheapest."""
    words = [f"word{chr(97 + i)}" for i in range(count)]
    documents = [
        Document(f"{w}{i}", f"{w} text {'x' * i}", "", {"price": i, "brand": "ab"[i % 2], "odd": [i], "same": 1})
        for w in words
        for i in range(4)
    ]
    return Dataset.of([Query(w, w) for w in words], documents, {w: {f"{w}0": 1} for w in words})


def test_areas_by_hand() -> None:
    nan = math.nan
    values = np.array([[2, 1, 5, nan], [1, 1, 5, 2], [3, 0, 5, nan], [0, 2, 5, nan]], np.float32)
    areas, differ = query_areas(values, np.array([True, False, False, False]))
    np.testing.assert_allclose(areas, [2 / 3, (1 + 0.5) / 3, 0.5, nan])
    assert differ.tolist() == [True, True, False, False]
    areas, _ = query_areas(values, np.array([True, True, False, False]))
    np.testing.assert_allclose(areas[0], (1 + 1) / 4)


def test_a_report_says_what_orders_and_which_way() -> None:
    report = feature_report(priced(), BM25, options=NO_CACHE)
    facts = {fact.name: fact for fact in report.facts}
    price = facts["number(price)"]
    assert (price.missing, price.mean, price.queries) == (0.0, 1.5, 12)
    assert price.auc is not None and (price.auc.value, price.auc.low, price.auc.high) == (0.0, 0.0, 0.0)
    assert facts["query_terms"].auc is None  # the same for all candidates of a query
    assert facts["title_coverage"].missing == 1.0 and facts["title_coverage"].mean is None
    assert (report.queries, report.candidates, report.relevant) == (12, 48, 12)
    assert {"title_coverage", "number(same)", "query_terms"} <= set(report.constant)
    assert [m.name for m in report.missing] == ["title"] and report.missing[0].count == 48
    assert list(report.left_out) == ["odd"] and report.left_out["odd"].startswith("it is a list in 'word")
    assert set(report.without_constant().names) == set(report.features.names) - set(report.constant)


def test_named_fields_alone() -> None:
    report = feature_report(priced(), BM25, ["price"], NO_CACHE)
    assert "number(price)" in report.features.names and "category(brand)" not in report.features.names
    with pytest.raises(InputError, match="the field 'odd' can't be a feature"):
        feature_report(priced(), BM25, ["odd"], NO_CACHE)


def test_a_models_scores_are_features_too() -> None:
    scorer = CountingScorer()
    options = EvaluationOptions(cache=False, models=models(scorer))
    report = feature_report(collection(), Pipeline.parse("bm25 >> overlap@10"), options=options)
    facts = {fact.name: fact for fact in report.facts}
    score = facts["score(overlap)"]
    assert score.auc is not None and score.mean is not None and score.mean > 0.5  # most share a word or two
    assert "score(bm25)" in facts and 0 < score.missing < 1  # it judged ten candidates


def test_rankings_are_those_of_the_pipeline() -> None:
    data = collection(run=True)
    rankings = list(pipeline_rankings(data, Pipeline(), NO_CACHE))
    assert [r.query.id for r in rankings] == [q.id for q in data.queries]
    assert data.run is not None
    assert [tuple(c.document.id for c in r) for r in rankings] == [data.run[q.id] for q in data.queries]
    judged = list(pipeline_rankings(data, BM25, EvaluationOptions(cache=False, judged_only=True)))
    assert [len(r) for r in judged] == [len(data.qrels[r.query.id]) for r in judged]


def test_nothing_can_be_measured_where_no_query_has_both() -> None:
    data = Dataset.of([Query("lamp", "q")], [Document("a", "lamp")], {"q": {"a": 1}})
    with pytest.raises(InputError, match="no query has both a relevant candidate and another one"):
        feature_report(data, BM25, options=NO_CACHE)


def written(folder: Path) -> Path:
    """A file of judged pairs with metadata."""
    path = folder / "pairs.jsonl"
    lines = []
    for word in ("lamp", "ferry", "harbour", "letter"):
        documents = [{"text": f"{word} {i}", "grade": int(i == 0), "price": i, "note": i or "none"} for i in range(4)]
        lines.append(json.dumps({"query": word, "documents": documents}))
    path.write_text("\n".join(lines))
    return path


def test_metadata_of_judged_lines_and_tables_reach_the_documents(tmp_path: Path) -> None:
    data = read_dataset(DataFiles(written(tmp_path)))
    assert sorted(d.metadata["price"] for d in data.documents) == sorted([0, 1, 2, 3] * 4)
    table = tmp_path / "pairs.csv"
    table.write_text("query,document,grade,price\nlamp,a lamp,1,5\nlamp,a ferry,0,7\n")
    assert sorted(str(d.metadata) for d in read_dataset(DataFiles(table)).documents) == [
        "{'price': '5'}",
        "{'price': '7'}",
    ]


def test_the_command_prints_json_and_writes_the_set(tmp_path: Path) -> None:
    path, output = written(tmp_path), tmp_path / "features.toml"
    arguments = ["features", str(path), "--pipeline", "bm25", "--cache", str(tmp_path / "cache")]
    result = CliRunner().invoke(app, [*arguments, "--json", "-o", str(output)], catch_exceptions=False)
    value = json.loads(result.stdout)
    assert value["schema"] == 1 and value["queries"] == 4
    rows = {row["name"]: row for row in value["features"]}
    assert rows["number(price)"]["auc"] == 0.0 and rows["number(price)"]["auc_interval"] == [0.0, 0.0]
    assert "the field 'note' is no feature: it is a number or date in" in result.stderr
    assert f"constant or always missing here, and left out of {output}: " in result.stderr
    names = FeatureSet.read(output).names
    assert "number(price)" in names and "title_coverage" not in names
    table = CliRunner().invoke(app, arguments, catch_exceptions=False, env={"COLUMNS": "120"}).stdout
    assert table.startswith("4 queries, 16 candidates, 4 of them relevant\nfeature")
    assert "0.00 (0.00-0.00)  less" in table


def test_the_command_refuses_what_it_cant_do(tmp_path: Path) -> None:
    arguments = ["features", str(written(tmp_path)), "--pipeline", "bm25", "--cache", str(tmp_path / "cache")]
    result = CliRunner().invoke(app, [*arguments, "--field", "prise"])
    assert isinstance(result.exception, InputError)
    assert str(result.exception) == "the field 'prise' can't be a feature: no document has it"
    result = CliRunner().invoke(app, [*arguments, "-o", str(tmp_path / "none" / "f.toml")])
    assert isinstance(result.exception, InputError) and "make it first" in str(result.exception)
