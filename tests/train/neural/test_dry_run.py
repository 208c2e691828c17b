"""What is shown before anything is trained, and the command."""

import json
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner

from resift.cli.main import app
from resift.errors import InputError
from resift.evaluate.dataset import Dataset
from resift.train.neural.cross_encoder import open_base
from resift.train.neural.dry_run import dry_run
from resift.train.neural.plan import make_plan
from resift.train.neural.seen import seen_together
from resift.train.neural.settings import TrainingSettings
from resift.types import Document, Query
from tests.train.neural import tiny


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.tiny_bert(tmp_path_factory.mktemp("bert"), head=False)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "pairs.jsonl"
    rows = [
        {"query": q.query.text, "document": c.document.text, "label": int(c.label or 0)}
        for q in tiny.examples().queries
        for c in q.candidates
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_examples_are_shown_as_the_model_sees_them(base: Path) -> None:
    model = open_base(str(base), 1, 16, "f32").model
    example = seen_together(model, ("what is water", "lamp of the city"))
    assert example.text == "[CLS] what is water [SEP] lamp of the city [SEP]"
    assert (example.tokens, example.cut) == (10, 0)
    long = seen_together(model, ("what is water", "lamp " * 30))
    assert long.tokens == 16 and long.cut == 36 - 16
    assert long.text == "[CLS] what is water [SEP] lamp lamp lamp lamp lamp lamp lamp lamp lamp lamp [SEP]"
    wide = seen_together(open_base(str(base), 1, 40, "f32").model, ("what is water", "lamp " * 30))
    assert "lamp …18… lamp" in wide.text


def test_a_dry_run_says_what_would_happen_and_writes_nothing(base: Path, tmp_path: Path) -> None:
    settings = TrainingSettings(str(base), precision="f32", measures=("nDCG@10",), evaluations=2)
    look = dry_run(make_plan([tiny.examples()], settings))
    (entry,) = look.sets
    assert entry["loss"] == "bce" and entry["reason"] and entry["queries"] == 40
    assert look.held_out == (10, 10) and "BM25 over" in look.first_stage
    assert len(look.examples) == 3 and set(look.before) == {"no reranker", "base"}
    assert look.step_seconds > 0 and look.memory_gb > 0 and look.loss > 0
    assert look.steps == 5
    assert look.evaluations == 1 + 2 + 2  # of the base, of the training, and of what is reported before and after
    assert json.loads(json.dumps(look.as_json()))["trained"] == look.parameters
    assert any("head is new" in note for note in look.notes)


def test_evaluations_of_mixed_weights_and_of_general_data_are_counted(tmp_path: Path) -> None:
    base = tiny.tiny_bert(tmp_path / "bert")
    documents = [Document(str(i), f"water of lamp {i}") for i in range(30)]
    queries = [Query(f"water {i}", str(i)) for i in range(20)]
    general = Dataset.of(queries, documents, {q.id: {q.id: 1} for q in queries}, name="general")
    settings = TrainingSettings(str(base), precision="f32", evaluations=2)
    look = dry_run(make_plan([tiny.examples()], settings, general=general))
    assert look.held_out == (10, 10) and not any("head is new" in note for note in look.notes)
    lists = 10  # of dev, of test, and of each half of the general data, 30 documents each
    assert look.evaluations == (lists * (1 + 2 + 4) + lists * 2 + lists * 4 + lists * 2) / lists


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["train", "reranker", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout


def test_the_command_looks_first_and_then_trains(base: Path, data: Path, tmp_path: Path) -> None:
    common = (
        data, "--base", base, "--candidates", "given", "--precision", "f32", "--lr", "3e-3", "--epochs", 4,
        "--measure", "MRR@10", "--evaluations", 3,
    )  # fmt: skip
    code, text = run(*common, "--dry-run")
    assert code == 0 and "Loss bce" in text and "[CLS]" in text and "One step: loss" in text
    code, text = run(*common, "--output", tmp_path / "out", "--json")
    report = json.loads(text)
    assert code == 0 and report["comparisons"][0]["measure"] == "RR@10"
    assert report["comparisons"][0]["trained"] > report["comparisons"][0]["base"]
    assert max(report["reload_delta"].values()) < 1e-4
    assert (tmp_path / "out" / "contract.json").exists()


def test_the_command_needs_a_place_for_the_model(base: Path, data: Path) -> None:
    with pytest.raises(InputError, match="--output"):
        run(data, "--base", base)
    with pytest.raises(InputError, match="is no measure"):
        run(data, "--base", base, "--measure", "nDGC@10", "--output", "x")


def test_the_command_reads_databases_and_judgements_with_a_run(base: Path, tmp_path: Path) -> None:
    rows = [(q.query.text, c.document.text, int(c.label or 0)) for q in tiny.examples().queries for c in q.candidates]
    with sqlite3.connect(tmp_path / "pairs.db") as connection:
        connection.execute("create table pairs (query text, document text, label integer)")
        connection.executemany("insert into pairs values (?, ?, ?)", rows)
    connection.close()
    look = ("--base", base, "--precision", "f32", "--measure", "nDCG@10", "--dry-run", "--json")
    code, text = run(f"sqlite:///{tmp_path}/pairs.db", "--sql", "pairs", *look)
    assert code == 0 and json.loads(text)["sets"][0]["queries"] == 40
    files = {name: (tmp_path / name).open("w") for name in ("queries.jsonl", "corpus.jsonl", "qrels", "run")}
    numbers = {query: number for number, query in enumerate(dict.fromkeys(query for query, _, _ in rows))}
    for query, number in numbers.items():
        print(json.dumps({"_id": f"q{number}", "text": query}), file=files["queries.jsonl"])
    for place, (query, document, label) in enumerate(rows):
        print(json.dumps({"_id": f"d{place}", "text": document}), file=files["corpus.jsonl"])
        print(f"q{numbers[query]} 0 d{place} {label}", file=files["qrels"])
        print(f"q{numbers[query]} Q0 d{place} {place} {-place} x", file=files["run"])
    for file in files.values():
        file.close()
    judged = [
        *("--queries", tmp_path / "queries.jsonl", "--corpus", tmp_path / "corpus.jsonl"),
        *("--qrels", tmp_path / "qrels", "--run", tmp_path / "run"),
    ]
    code, text = run(*judged, *look)
    result = json.loads(text)
    assert code == 0 and result["first_stage"] == "the run given" and result["sets"][0]["queries"] == 40
    assert result["before"]["no reranker"]["nDCG@10"] == 1.0  # the run has the relevant document first
    with pytest.raises(InputError, match="of one data set, and 2 are named"):
        run("a", "b", *judged, *look)
