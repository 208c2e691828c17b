"""`resift calibrate` and what uses its file, from a shell."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import resift
from resift.errors import InputError, NotCalibrated

WORDS = "lamp bread ferry tower garden violin harbour engine orchard glacier market saddle".split()


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 queries with one document that answers and three that don't."""
    rows = []
    for i in range(60):
        word, place = WORDS[i % 12], WORDS[(i * 5 + 1 + i // 12) % 12]
        query = f"who made the {word} of the {place} number {i}"
        texts = [f"The {word} of the {place} number {i} was made by Ada."]
        texts += [f"A {WORDS[(i + j) % 12]} stands near the sea {i + j}." for j in (2, 5, 7)]
        rows += [{"query_id": f"q{i}", "query": query, "document": t, "grade": int(not j)} for j, t in enumerate(texts)]
    path = tmp_path_factory.mktemp("labels") / "labels.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


@pytest.fixture(scope="module", autouse=True)
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("data")
        patch.setenv("XDG_DATA_HOME", str(folder))
        yield folder


def run(*arguments: str | Path, stdin: str = "", code: int = 0) -> str:
    command = [sys.executable, "-m", "resift.cli.main", *map(str, arguments)]
    environment = os.environ | {"COLUMNS": "100"}
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, env=environment)
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


@pytest.fixture(scope="module")
def calibrated(labels: Path, data_folder: Path) -> dict[str, Any]:
    plot = data_folder / "plot.svg"
    value: dict[str, Any] = json.loads(
        run("calibrate", labels, "--min-precision", "0.8", "--curve", "platt", "--plot", plot, "--json")
    )
    return value


def test_the_report(calibrated: dict[str, Any], data_folder: Path) -> None:
    assert calibrated["file"] == str(data_folder / "resift" / "calibrations" / "resift-mini-en" / "calibration.json")
    assert calibrated["data"]["queries"] == 60 and not calibrated["data"]["cross_fitted"]
    assert [(t["aim"], t["limit"]) for t in calibrated["thresholds"]] == [
        ("min_precision", 0.8),
        ("min_precision", 0.9),
        ("min_recall", 0.9),
    ]
    plot = (data_folder / "plot.svg").read_text()
    assert plot.startswith("<svg") and plot.count("<circle") == len(calibrated["reliability"]) and "href" not in plot


def test_the_tables(labels: Path, tmp_path: Path) -> None:
    text = run("calibrate", labels, "--out", tmp_path)
    assert "240 pairs of 60 queries, 60 relevant; 120 pairs fitted, 120 of other queries measured" in text
    for word in (
        "curve ",
        "AUC",
        "Brier score",
        "if exactly right",
        "min_recall 0.9",
        "levels:",
        "clean separation",
    ):
        assert word in text
    assert (tmp_path / "calibration.json").exists()


def test_a_search_with_a_threshold(calibrated: dict[str, Any], corpus: Path) -> None:
    query = "how is sourdough bread baked"
    plain = json.loads(run("search", query, corpus, "--json", "--top", "50"))
    every = json.loads(run("search", query, corpus, "--json", "--top", "50", "--calibrated"))
    assert [r["id"] for r in every["results"]] == [r["id"] for r in plain["results"]]
    assert "left_out" not in every and {r["level"] for r in every["results"]} <= {"high", "some", "none"}
    probabilities = sorted(r["probability"] for r in every["results"])
    middle = probabilities[len(probabilities) // 2]
    cut = json.loads(run("search", query, corpus, "--json", "--top", "50", "--min-relevance", str(middle)))
    assert {r["id"] for r in cut["results"]} == {r["id"] for r in every["results"] if r["probability"] >= middle}
    assert len(cut["left_out"]) == len(every["results"]) - len(cut["results"]) > 0
    assert cut["reason"].startswith(f"{len(cut['left_out'])} of {len(every['results'])} candidates are left out")
    nothing = run("search", "zebra quantum", corpus, "--min-relevance", "1")
    assert nothing.startswith("nothing relevant") and "all" in nothing
    shown = run("search", query, corpus, "--calibrated")
    assert "probability" in shown and "relevance: " in shown


def test_requests_with_a_threshold(calibrated: dict[str, Any]) -> None:
    request = json.dumps({"query": "capital of Norway", "documents": ["Bread is baked.", "Oslo is the capital."]})
    answer = json.loads(run("rerank", "--calibrated", stdin=request))
    assert {r["score"]["kind"] for r in answer["results"]} == {"probability"}
    assert all(r["score"]["value"] == r["probability"] for r in answer["results"])
    least = answer["results"][0]["probability"]
    cut = run("rerank", "--min-relevance", str(least), stdin=request)
    assert [r["id"] for r in json.loads(cut)["results"]] == ["1"]
    again = json.loads(run("rerank", stdin=cut))  # a line of output is a request
    assert [r["id"] for r in again["results"]] == ["1"]


def test_what_is_refused(labels: Path, calibrated: dict[str, Any], corpus: Path, tmp_path: Path) -> None:
    assert "no-rerank" in run("search", "q", corpus, "--no-rerank", "--calibrated", code=3)
    assert "high or some; not 'lots'" in run("search", "q", corpus, "--min-relevance", "lots", code=3)
    assert "above 0 and below 1" in run("calibrate", labels, "--min-precision", "90", code=3)
    assert "no such file" in run("calibrate", tmp_path / "none.jsonl", code=3)
    assert "--relevant-from" in run("calibrate", labels, "--relevant-from", "2", code=3)
    with pytest.raises(NotCalibrated, match="engine and precision"):
        resift.load(precision="f32", calibrated=True)
    with pytest.raises(NotCalibrated, match="long documents"):
        resift.load(long_documents="truncate", calibrated=True)
    with pytest.raises(InputError, match="is not calibrated"):
        resift.load(calibrated=tmp_path)


def test_the_library(calibrated: dict[str, Any], corpus: Path) -> None:
    reranker = resift.load(calibrated=calibrated["file"])
    assert reranker.score([("capital of Norway", "Oslo")]).kind == "probability"
    index = resift.Index.of(resift.files.read_paths([corpus]))
    ranking = index.search("how is sourdough bread baked", None, min_relevance=0.2)
    by_text = index.run("resift-mini-en >> blend >> relevant(least=0.2)", "how is sourdough bread baked")
    assert [c.document.id for c in by_text] == [c.document.id for c in ranking] and ranking.left_out
    with pytest.raises(InputError, match="needs a reranker"):
        index.search("bread", reranker=False, min_relevance=0.5)
    with pytest.raises(InputError, match="without a calibration"):
        index.search("bread", reranker=resift.load(), min_relevance=0.5)


def test_a_calibration_does_not_change_the_model(tmp_path: Path) -> None:
    from resift.models.folder import ModelFolder

    (tmp_path / "config.json").write_text("{}")
    before = ModelFolder(tmp_path).fingerprint
    (tmp_path / "calibration.json").write_text("{}")
    assert ModelFolder(tmp_path).fingerprint == before
