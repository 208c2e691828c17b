"""The whole comparison on a small collection: the product's orders, each pair scored once, files and the command."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from resift import Reranker
from resift.cli.main import app
from resift.errors import InputError
from resift.evaluate import Dataset, EvaluationOptions, evaluate
from resift.evaluate.first_stages import FirstStages
from resift.evaluate.plan import retrievers_of
from resift.evaluate.result_cache import Cost, RecordedScorer, ResultCache
from resift.pipeline import Pipeline
from resift.rerank.drive import drive
from resift.retrieve.bm25 import BM25Retriever, Terms, build_matrix
from resift.retrieve.fuse import fusion
from resift.types import Document, ModelInfo, Pair, Query, ScoreKind, Scores
from resift.worth import Word, WorthItOptions, worth_it
from resift.worth.first_stage_grid import FirstStage, FirstStageGrid
from resift.worth.outputs import as_json, markdown
from resift.worth.reranked import ALONE, judged, orders
from tests.evaluate.small import ConstantScorer, CountingScorer, collection, models

DATA = collection(queries=60, documents=120)


class Grades:
    """An oracle, or with a minus its opposite: the score is the grade."""

    def __init__(self, sign: int) -> None:
        self.info, self.sign = ModelInfo("grades", ScoreKind.LOGIT, blend_weight=2.0), sign

    def score(self, pairs: Sequence[Pair]) -> Scores:
        ids = {query.text: query.id for query in DATA.queries}
        grades = (DATA.qrels.get(ids.get(q.text, ""), {}).get(c.document.id, 0) for q, c in pairs)
        return Scores.of(
            (self.sign * grade - len(c.document.text) / 1e4 for grade, (_, c) in zip(grades, pairs, strict=True)),
            self.info,
        )


def options(scorer: Grades | CountingScorer | ConstantScorer, **others: object) -> WorthItOptions:
    base = WorthItOptions(
        "bm25", (scorer.info.name,), (5, 20), cache=False, loaded={scorer.info.name: Reranker(scorer)}
    )
    return replace(base, **others)  # type: ignore[arg-type]


def test_an_oracle_a_constant_and_harm() -> None:
    oracle, constant, harm = (worth_it(DATA, options(s)) for s in (Grades(1), ConstantScorer(), Grades(-1)))
    assert oracle.verdict.word is Word.WORTH_IT and oracle.sentence.startswith("worth it: +")
    assert oracle.pipeline.startswith("grades@20") and oracle.reranked > 0.95 * oracle.ceiling  # repeated texts
    assert constant.verdict.word is Word.NOT_WORTH_IT and constant.verdict.gain.value == 0
    assert constant.pipeline.startswith("constant@5") and "the ceiling at depth 5 is " in constant.sentence
    assert harm.verdict.word is Word.HURTS and harm.sentence.startswith("it hurts: −") and harm.hurt > harm.helped
    assert oracle.tuned == constant.tuned == harm.tuned and oracle.tuned <= oracle.ceiling <= oracle.ideal


def test_each_pair_is_scored_once_and_a_second_run_scores_none(tmp_path: Path) -> None:
    first, second = CountingScorer(), CountingScorer()
    a, b = (worth_it(DATA, options(s, cache=tmp_path)) for s in (first, second))
    assert len(first.pairs) == len(set(first.pairs)) > 0 and not second.pairs
    assert a.verdict == b.verdict and a.rows == b.rows


def test_evaluate_and_worth_it_share_their_judgements(tmp_path: Path) -> None:
    first, second = CountingScorer(), CountingScorer()
    worth_it(DATA, options(first, cache=tmp_path))
    evaluate(DATA, ["bm25 >> overlap@5"], EvaluationOptions(cache=tmp_path, models=models(second)))
    assert len(second.pairs) < 0.5 * 5 * len(DATA.queries)


@pytest.mark.parametrize("weight", [0.2, 0.5, 0.65])
def test_fused_orders_are_those_of_the_product(weight: float) -> None:
    """Every first stage of the grid is what the product's retrievers and fusion give with these parameters."""
    stages = FirstStages(DATA, ResultCache())
    grid = FirstStageGrid(stages, retrievers_of("bm25 + dense"), 30)
    rows = grid.rows(lambda *_: None)
    for f, stage in enumerate(grid.stages):
        if stage.weight in (0.0, 1.0, weight):
            for q in (0, 7):
                ranking = grid.ranking(stage, q)
                expected = [DATA.documents.row(c.document.id) for c in ranking]
                assert rows[f, q, : len(ranking)].tolist() == expected, stage
    assert len({str(stage) for stage in grid.stages}) == len(grid.stages) == 16 + 1 + 16 * 10


@pytest.mark.parametrize("text", ["bm25", "dense", "bm25 + dense"])
def test_the_first_of_the_grid_is_the_product(text: str) -> None:
    stages = FirstStages(DATA, ResultCache())
    grid = FirstStageGrid(stages, retrievers_of(text), 30)
    rows = grid.rows(lambda *_: None)
    for q, query in enumerate(DATA.queries[:10]):
        ranking = stages.ranking(retrievers_of(text), query, 30).ranking
        assert rows[0, q, : len(ranking)].tolist() == [DATA.documents.row(c.document.id) for c in ranking]
        assert [c.signals for c in grid.ranking(grid.stages[0], q)] == [c.signals for c in ranking]
    assert fusion(0.0).weights is None


@pytest.mark.parametrize("text", ["bm25", 'bm25 + dense(model="resift-static-en")', "bm25(k1=1.2) + dense(weight=0.3)"])
def test_every_first_stage_of_the_grid_is_a_pipeline(text: str) -> None:
    """What is printed finds what the grid found, in the same order: a tuned first stage can be pasted."""
    stages = FirstStages(DATA, ResultCache())
    grid = FirstStageGrid(stages, retrievers_of(text), 30)
    rows = grid.rows(lambda *_: None)
    for f in range(0, len(grid.stages), 7):
        parts = Pipeline.parse(grid.text(grid.stages[f])).retrievers
        for q, query in enumerate(DATA.queries[:3]):
            ranking = stages.ranking(parts, query, 30).ranking
            assert rows[f, q, : len(ranking)].tolist() == [DATA.documents.row(c.document.id) for c in ranking]
    assert grid.text(grid.stages[0]) == str(Pipeline(retrievers_of(text)))


def test_bm25_with_other_parameters_by_hand() -> None:
    """Without length normalisation and with a tiny k1 a word counts once, however often it stands there."""
    documents = [Document("a", "lamp lamp lamp lamp"), Document("b", "lamp and a very long text about rivers")]
    terms = Terms.read(BM25Retriever(documents).analyzer, documents)
    values = BM25Retriever(documents, index=build_matrix(terms, 1e-9, 0.0)).best_places("lamp", 2)[1]
    assert values[0] == pytest.approx(values[1], abs=1e-6)
    usual = BM25Retriever(documents).best_places("lamp", 2)
    assert usual[0].tolist() == [0, 1] and usual[1][0] > 1.5 * usual[1][1]


@pytest.mark.parametrize("stage", [FirstStage(), FirstStage(weight=0.2, k=10), FirstStage(weight=0.5)])
@pytest.mark.parametrize("weight", [0.5, 2.0, ALONE])
def test_orders_are_those_of_a_pipeline(stage: FirstStage, weight: float) -> None:
    """Also where documents have no score, and where fewer are scored than were found."""

    class Gaps(CountingScorer):
        def score(self, pairs: Sequence[Pair]) -> Scores:
            values = [None if "7" in c.document.text else float(len(c.document.text) % 13) for _, c in pairs]
            return Scores.of(values, self.info)

    scorer = Gaps()
    grid = FirstStageGrid(FirstStages(DATA, ResultCache()), retrievers_of("bm25 + dense"), 30)
    grid.rows(lambda *_: None)
    recorded = RecordedScorer(scorer, ResultCache(), Cost())
    for q, depth in ((0, 3), (1, 10), (2, 100)):
        ranking = grid.ranking(stage, q)
        row = orders(judged(recorded, ranking, 100), depth, [weight], len(ranking))[0]
        blend = "" if weight == ALONE else f" >> blend(weight={weight})"
        (expected,) = drive(Pipeline.parse(f"overlap@{depth}{blend}").stage({"overlap": scorer}.__getitem__), [ranking])
        assert [ranking[i].document.id for i in row] == [c.document.id for c in expected]


def test_candidates_of_a_run_are_not_tuned() -> None:
    data = collection(queries=60, run=True)
    result = worth_it(data, options(CountingScorer(), retrievers=None))
    assert result.first_stage == "run" and result.default == result.tuned and result.first_ms == 0


def test_repeated_queries_stay_together_and_one_text_is_refused() -> None:
    documents = [Document("a", "lamp"), Document("b", "oil")]
    data = Dataset.of([Query("lamp", "1"), Query("Lamp ", "2")], documents, {"1": {"a": 1}, "2": {"a": 1}})
    with pytest.raises(InputError, match="all queries have the same text.*label at least two"):
        worth_it(data, options(CountingScorer()))


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ({"least": 0}, "above 0 and below 1; not 0"),
        ({"least": float("nan")}, "least is a number"),
        ({"depths": ()}, "no depth is named"),
        ({"depths": (0,)}, "depth"),
        ({"measure": "nDGC@10"}, "is no measure"),
        ({"retrievers": "bm25 + bm25"}, "each retriever once"),
    ],
)
def test_what_can_not_be_compared_is_refused(others: dict[str, object], message: str) -> None:
    scorer = CountingScorer()
    with pytest.raises(InputError, match=message):
        worth_it(DATA, options(scorer, **others))
    assert not scorer.pairs


def test_the_result_as_json_and_markdown() -> None:
    result = worth_it(DATA, options(CountingScorer()))
    value = json.loads(json.dumps(as_json(result), allow_nan=False))
    assert (value["schema"], value["kind"], value["verdict"]["word"]) == (1, "worth_it", result.verdict.word)
    assert value["verdict"]["sentence"] == result.sentence and value["statistics"]["stretch"] >= 1
    assert len(value["rows"]) == 2 and len(value["choices"]) == 5
    page = markdown(result)
    assert page.startswith("# Is reranking worth it?\n") and "| overlap@20 |" in page and "rule: worth it where" in page


def beir(folder: Path) -> Path:
    (folder / "qrels").mkdir(parents=True)
    lines = [json.dumps({"_id": d.id, "text": d.text}) for d in DATA.documents]
    (folder / "corpus.jsonl").write_text("\n".join(lines))
    (folder / "queries.jsonl").write_text("\n".join(json.dumps({"_id": q.id, "text": q.text}) for q in DATA.queries))
    rows = [f"{q.id}\t{i}\t{g}" for q in DATA.queries for i, g in DATA.qrels[q.id].items()]
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "\n".join(rows))
    return folder


def test_the_command(tmp_path: Path) -> None:
    folder, out = beir(tmp_path / "data"), tmp_path / "out.json"
    command = ["worth-it", str(folder), "--retriever", "bm25", "--depths", "5,10", "--limit", "50"]
    command += ["--cache", str(tmp_path / "cache"), "-o", str(out), "--markdown", str(tmp_path / "out.md")]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    sentence = json.loads(out.read_text())["verdict"]["sentence"]
    assert " ".join(sentence.split()) in " ".join(done.output.split()) and (tmp_path / "out.md").exists()
    again = CliRunner().invoke(app, [*command, "--json"])
    assert json.loads(again.stdout)["verdict"]["sentence"] == sentence
    with pytest.raises(InputError, match="no folder"):
        CliRunner().invoke(app, [*command, "-o", str(tmp_path / "none" / "x.json")], catch_exceptions=False)


def test_values_are_finite() -> None:
    result = worth_it(DATA, options(CountingScorer(), measure="RR@10"))
    assert all(np.isfinite([row.value, row.gain.low, row.gain.high, row.ms_p50]).all() for row in result.rows)
    assert "RR@10" in result.sentence
