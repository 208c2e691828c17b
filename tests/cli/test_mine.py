"""`resift mine` from a shell."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ANSWERS = {
    "when does the ferry leave?": "The ferry leaves at nine in the morning, except on Sundays.",
    "who bakes the bread?": "Anna bakes the bread in the house behind the mill.",
    "why is the harbour closed?": "The harbour is closed because of a storm from the north.",
}
OTHERS = ["The ferry is blue.", "Who knows why the mill is closed?", "When does the bread taste best?", "A tram stops."]


def run(*arguments: str | Path, code: int = 0) -> str:
    command = [sys.executable, "-m", "resift.cli.main", "mine", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"COLUMNS": "100"})
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rows = [{"question": question, "answer": answer, "quality": 1} for question, answer in ANSWERS.items()]
    (tmp_path / "pairs.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "corpus.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in OTHERS))
    return tmp_path


def test_it_writes_negatives_and_a_report(data: Path) -> None:
    output = data / "mined.jsonl"
    options = ("--documents", data / "corpus.jsonl", "--no-margin", "-n", "2", "--format", "triplet", "-o", output)
    printed = run(data / "pairs.jsonl", *options)
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert {row["query"] for row in rows} == set(ANSWERS)
    assert all(row["positive"] == ANSWERS[row["query"]] for row in rows)
    assert {row["negative"] for row in rows} <= {*OTHERS, *ANSWERS.values()}
    assert "pairs.jsonl was read as pairs with binary labels" in printed
    assert "not used: 'quality'" in printed
    assert "verdict: " in printed
    assert f"wrote {output} (triplet)" in printed
    again = output.read_bytes()
    run(data / "pairs.jsonl", *options)
    assert output.read_bytes() == again
    assert not output.with_name("mined.jsonl.mining").exists()  # where an interrupted run would go on


def test_the_report_as_json_with_a_judge(data: Path) -> None:
    output = data / "mined.jsonl"
    options = ("--documents", data / "corpus.jsonl", "--retriever", "bm25", "--rescore", "resift-mini-en", "--scores")
    report: dict[str, Any] = json.loads(
        run(data / "pairs.jsonl", *options, "--format", "flag-embedding", "--random", "1", "-o", output, "--json")
    )
    assert (report["schema"], report["kind"]) == (1, "mining")
    assert report["rankers"] == ["bm25", "resift-mini-en"]
    assert report["judge"] == "resift-mini-en"
    assert report["settings"]["random"] == 1
    assert report["settings"]["retrievers"] == ["bm25"]
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert report["queries"] == len(rows)
    assert all(len(row["pos_scores"]) == 1 and len(row["neg_scores"]) == len(row["neg"]) for row in rows)
    assert sum(len(row["neg"]) for row in rows) == report["mined"] + report["random"]


def test_what_does_not_fit_is_refused(data: Path) -> None:
    pairs = data / "pairs.jsonl"
    assert "name it with --rescore" in run(pairs, "--scores", code=3)
    assert "there is no folder" in run(pairs, "-o", data / "none" / "mined.jsonl", code=3)
    assert "no column 'q'" in run(pairs, "--columns", "query=q", code=3)
    assert "name the data" in run(code=3)
    assert not (data / "mined.jsonl").exists()
