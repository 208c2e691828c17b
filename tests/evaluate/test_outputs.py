"""Tables, TREC runs, and the command."""

import json
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import ir_measures
import pytest
import pytrec_eval
from typer.testing import CliRunner

from resift.cli.main import app
from resift.errors import InputError, ModelError
from resift.evaluate import Evaluation, EvaluationOptions, evaluate
from resift.evaluate.figures import best_reranking, hurt_queries, tables
from resift.evaluate.outputs import markdown, write_runs
from resift.evaluate.plan import matrix, plan, retrievers_of
from resift.pipeline import Pipeline
from tests.evaluate.small import CountingScorer, collection, models
from tests.interrupts import allow_interrupt

OVERLAP = "bm25 >> overlap"


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    return evaluate(collection(), [OVERLAP], EvaluationOptions(cache=False, models=models(CountingScorer())))


def test_trec_runs_are_read_by_others(evaluation: Evaluation, tmp_path: Path) -> None:
    paths = write_runs(evaluation, tmp_path / "runs")
    assert [p.name for p in paths] == ["01-bm25.trec", "02-bm25-overlap.trec"]
    graded = zip(evaluation.queries, evaluation.grades, strict=True)
    qrels = {q.id: {evaluation.documents[i]: g for i, g in grades.items()} for q, grades in graded}
    for path, run in zip(paths, evaluation.pipelines, strict=True):
        names = [ir_measures.parse_measure(name) for name in evaluation.measures]
        theirs = ir_measures.calc_aggregate(names, qrels, ir_measures.read_trec_run(str(path)))
        assert {str(m): v for m, v in theirs.items()} == pytest.approx({m: v.mean() for m, v in run.values.items()})
        with path.open() as file:
            parsed = pytrec_eval.parse_run(file)
        by_query = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.10"}).evaluate(parsed)
        expected = dict(zip((q.id for q in evaluation.queries), run.values["nDCG@10"], strict=True))
        assert {q: v["ndcg_cut_10"] for q, v in by_query.items()} == pytest.approx(expected, abs=1e-6)


def test_ids_with_spaces_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the id 'a [0-9]+' has white space"):
        write_runs(evaluate(collection(prefix="a "), ["bm25"], EvaluationOptions(cache=False)), tmp_path)


def test_tables(evaluation: Evaluation) -> None:
    quality, gains, costs = tables(evaluation)
    assert [row[0] for row in quality.rows] == ["bm25", OVERLAP] and quality.headings[1] == "nDCG@10"
    gain = evaluation.gain(evaluation.run(OVERLAP), "nDCG@10")
    assert gains.rows[0][:2] == (OVERLAP, f"{gain.mean():+.4f}")
    assert [int(cell) for cell in gains.rows[0][4:]] == [(gain > 0).sum(), (gain < 0).sum(), (gain == 0).sum()]
    assert len(costs.rows) == 2 and all(len(row) == len(costs.headings) for row in costs.rows)


def test_the_queries_that_were_hurt_most_are_shown_side_by_side(evaluation: Evaluation) -> None:
    run = evaluation.run(OVERLAP)
    gain = evaluation.gain(run, "nDCG@10")
    hurt = list(hurt_queries(evaluation, run, 2))
    assert len(hurt) == min(2, (gain < 0).sum()) > 0
    assert hurt[0].after - hurt[0].before == pytest.approx(gain.min())
    worst = int(gain.argmin())
    assert hurt[0].query.startswith(evaluation.queries[worst].id)
    first_before = evaluation.ranking(evaluation.run("bm25"), worst)[0]
    assert f"] {first_before} " in hurt[0].table.rows[0][1]
    text = markdown(evaluation)
    assert f"## Hurt most by {OVERLAP}" in text and "| pipeline | nDCG@10 |" in text
    assert all(line.count("|") in (0, *range(4, 12)) for line in text.splitlines())


def test_the_best_pipeline_is_the_one_whose_harm_is_shown(evaluation: Evaluation) -> None:
    best = best_reranking(evaluation)
    assert best is not None and best.pipeline == OVERLAP
    assert best_reranking(replace(evaluation, pipelines=evaluation.pipelines[:1])) is None


def test_the_matrix_of_first_stages_and_models() -> None:
    crossed = matrix(["bm25", "bm25 + BAAI/bge-small-en-v1.5"], ["resift-mini-en@50 >> blend", "./my model"[:4]])
    assert [str(p) for p in crossed] == [
        "bm25 >> resift-mini-en@50 >> blend",
        "bm25 >> ./my",
        'bm25 + dense(model="BAAI/bge-small-en-v1.5") >> resift-mini-en@50 >> blend',
        'bm25 + dense(model="BAAI/bge-small-en-v1.5") >> ./my',
    ]
    assert [Pipeline.parse(str(p)) for p in crossed] == crossed
    assert retrievers_of("dense") == Pipeline.parse("dense").retrievers
    with pytest.raises(InputError, match="has a retriever"):
        matrix(["bm25"], ["dense >> resift-mini-en"])


def test_the_plan() -> None:
    steps = plan([Pipeline.parse(t) for t in ("bm25 >> a@50 >> b@5", "dense >> a >> top 7", "bm25 >> c")], (10, 20))
    assert [str(s.pipeline) for s in steps] == [
        "bm25", "bm25 >> a@10 >> b@5", "bm25 >> a@20 >> b@5", "bm25 >> c@10", "bm25 >> c@20",
        "dense", "dense >> a@10 >> top 7", "dense >> a@20 >> top 7",
    ]  # fmt: skip
    assert [s.depth for s in steps] == [100, 10, 20, 10, 20, 100, 10, 20]
    assert [s.executed.top_k for s in steps[-2:]] == [7, 7]
    assert [s.candidates for s in steps[-3:]] == [100, 10, 20]


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    run = [sys.executable, "-W", "error", "-m", "resift.cli.main", "evaluate", *arguments]
    return subprocess.run(run, capture_output=True, text=True)


def judged(path: Path) -> Path:
    lines = [
        {"query": "red lamp", "documents": [{"text": "a red lamp", "grade": 2}, {"text": "a red door", "grade": 0}]},
        {"query": "ferry", "documents": [{"text": "the ferry", "grade": 1}, {"text": "a boat or a ferry", "grade": 0}]},
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_the_command(tmp_path: Path) -> None:
    data, output, table = judged(tmp_path / "judged.jsonl"), tmp_path / "e.json", tmp_path / "e.md"
    done = command(
        str(data), "--retriever", "bm25", "--reranker", "resift-mini-en", "--depths", "1,2", "--measure", "MRR@5",
        "--output", str(output), "--markdown", str(table), "--runs", str(tmp_path / "runs"), "--cache", str(tmp_path),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "RR@5" in done.stdout and "bm25 >> resift-mini-en@2" in done.stdout and "only 2 queries" in done.stdout
    value = json.loads(output.read_text())
    assert [p["pipeline"] for p in value["pipelines"]] == [
        "bm25", "bm25 >> resift-mini-en@1", "bm25 >> resift-mini-en@2",
    ]  # fmt: skip
    assert table.read_text().startswith("# Evaluation\n") and len(list((tmp_path / "runs").iterdir())) == 3


def test_the_command_prints_json(tmp_path: Path) -> None:
    done = command(str(judged(tmp_path / "judged.jsonl")), "--pipeline", "bm25", "--json", "--limit", "1")
    value = json.loads(done.stdout)
    assert (value["schema"], value["kind"], len(value["queries"])) == (1, "evaluation", 1)
    assert value["data"]["issues"][-1]["code"] == "queries_sampled"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["missing.jsonl"], InputError, "no such file"),
        ([], InputError, "--qrels and --queries and --documents missing"),
        (["DATA", "--split", "test"], InputError, "leave --split out"),
        (["DATA", "--depths", "ten"], InputError, "--depths takes whole numbers"),
        (["DATA", "--measure", "quality"], InputError, "is no measure"),
        (["DATA", "--output", "nowhere/e.json"], InputError, "there is no folder nowhere"),
        (["DATA", "--pipeline", "bm25 >> ./missing"], ModelError, "./missing"),
    ],
)
def test_what_the_command_refuses(tmp_path: Path, arguments: list[str], error: type, message: str) -> None:
    """`main.run` prints such an error as one sentence and ends with its exit code."""
    data = str(judged(tmp_path / "judged.jsonl"))
    result = CliRunner().invoke(app, ["evaluate", *(data if a == "DATA" else a for a in arguments)])
    assert isinstance(result.exception, error) and message in str(result.exception)


def test_a_command_that_is_stopped_says_that_it_can_go_on(tmp_path: Path) -> None:
    lines = []
    for q in range(60):  # each query has documents of its own: what was encoded once would take no time
        texts = (" ".join(f"lamp {q} {i} {j}" for j in range(25)) for i in range(20))
        documents = [{"text": text, "grade": int(i == 0)} for i, text in enumerate(texts)]
        lines.append(json.dumps({"query": f"lamp {q}", "documents": documents}) + "\n")
    (tmp_path / "judged.jsonl").write_text("".join(lines))
    arguments = [str(tmp_path / "judged.jsonl"), "--pipeline", "bm25 >> resift-mini-en", "--cache", str(tmp_path)]
    run = [sys.executable, "-m", "resift.cli.main", "evaluate", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(run, **pipes, text=True, preexec_fn=allow_interrupt) as process:
        until = time.monotonic() + 60
        while process.poll() is None and not scored(tmp_path / "results.sqlite") and time.monotonic() < until:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        output, message = process.communicate(timeout=60)
    assert (process.returncode, output) == (130, "") and "goes on from there" in message
    assert scored(tmp_path / "results.sqlite")


def scored(path: Path) -> int:
    """How many judgements a cache holds."""
    if not path.exists():
        return 0
    with closing(sqlite3.connect(path, timeout=10)) as file:
        tables = [name for (name,) in file.execute("SELECT name FROM sqlite_master")]
        return int(file.execute("SELECT count(*) FROM judgements").fetchone()[0]) if "judgements" in tables else 0
