"""`resift train ltr`, and learned models in `resift search` and `resift rerank`."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from resift.cli.main import app
from resift.errors import BrokenModel, InputError, ResiftError
from tests.train.small_data import small_data

RUNNER = CliRunner()


def run(*arguments: str | Path) -> str:
    """What a command prints; its errors are raised."""
    result = RUNNER.invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def beir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small data as a folder in the format of BEIR."""
    folder, data = tmp_path_factory.mktemp("beir"), small_data()
    (folder / "qrels").mkdir()
    documents = ({"_id": d.id, "title": d.title, "text": d.text, **d.metadata} for d in data.documents)
    (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, documents)))
    (folder / "queries.jsonl").write_text("\n".join(json.dumps({"_id": q.id, "text": q.text}) for q in data.queries))
    lines = [f"{q}\t{d}\t{grade}" for q, grades in data.qrels.items() for d, grade in grades.items()]
    (folder / "qrels" / "test.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *lines]))
    return folder


@pytest.fixture(scope="module")
def model(beir: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, Path]:
    """A trained folder, what the command printed, and the page."""
    folder = tmp_path_factory.mktemp("models")
    page = folder / "report.html"
    arguments = ("--pipeline", "bm25", "--depth", 30, "--no-search", "--folds", 2, "--cache", folder / "cache")
    text = run("train", "ltr", beir, "-o", folder / "order", *map(str, arguments), "--html", page, "--no-ablate")
    return folder / "order", text, page


def test_the_command_prints_verdict_tables_and_notes(model: tuple[Path, str, Path]) -> None:
    folder, text, page = model
    for words in ("On queries that it did not see", "no reranking", "learned", "signal bm25", "field likes"):
        assert words in text
    assert "candidates were not judged, and count as 0" in " ".join(text.split())
    assert 'ltr(model="' in text and page.read_text().startswith("<!DOCTYPE html>")
    assert {p.name for p in folder.iterdir()} == {
        "model.txt", "features.toml", "statistics.json", "training.json", "contract.json", "MODEL_CARD.md"
    }  # fmt: skip


def test_search_explains_by_features(model: tuple[Path, str, Path], tmp_path: Path) -> None:
    lines = [{"id": d.id, "title": d.title, "text": d.text, **d.metadata} for d in small_data().documents]
    (tmp_path / "documents.jsonl").write_text("\n".join(map(json.dumps, lines)))
    text = run("search", "amber bridge", tmp_path / "documents.jsonl", "-m", model[0], "--explain", "-k", "3")
    assert "1  order: " in text and "likes" in text.split("1  order: ")[1]
    value = json.loads(
        run("search", "amber bridge", tmp_path / "documents.jsonl", "-m", model[0], "--explain", "--json")
    )
    assert value["results"][0]["signals"][-1]["reasons"]
    plain = json.loads(run("search", "amber bridge", tmp_path / "documents.jsonl", "-m", model[0], "--json"))
    assert "reasons" not in plain["results"][0]["signals"][-1]
    assert [r["id"] for r in plain["results"]] == [r["id"] for r in value["results"]]


def test_rerank_gives_reasons_of_a_learned_model_alone(model: tuple[Path, str, Path], tmp_path: Path) -> None:
    request = {
        "query": "amber bridge",
        "documents": [{"text": "copper", "likes": 1}, {"text": "amber bridge", "likes": 90}],
    }
    (tmp_path / "requests.jsonl").write_text(json.dumps(request) + "\n")
    value = json.loads(run("rerank", tmp_path / "requests.jsonl", "-m", model[0], "--explain"))
    assert value["results"][0]["signals"][-1]["reasons"]
    assert "no candidate has a signal of 'bm25'" in value["reason"]
    with pytest.raises(InputError, match="reasons are in the JSON of a learned model"):
        run("rerank", tmp_path / "requests.jsonl", "--explain")


def test_a_matrix_is_trained_and_measured_but_is_no_stage(tmp_path: Path) -> None:
    rows = [f"{(i * j) % 3} qid:{i} 1:{(i * j) % 3 + j / 9} 2:{j}" for i in range(1, 20) for j in range(6)]
    (tmp_path / "rank.svm").write_text("\n".join(rows))
    folder = tmp_path / "order"
    value = json.loads(
        run("train", "ltr", tmp_path / "rank.svm", "-o", folder, "--no-search", "--folds", "2", "--no-ablate",
            "--library", "xgboost", "--gain", "linear", "--monotone", "feature 1=1", "--json")
    )  # fmt: skip
    assert value["settings"]["objective"] == "rank:ndcg"
    assert value["settings"]["gain"] == "label" and value["settings"]["monotone"] == {"feature 1": 1}
    assert [order["name"] for order in value["report"]["orders"]][::2] == ["no reranking", "learned"]
    assert {f["name"] for f in value["features"]} == {"feature 1", "feature 2"}
    assert (folder / "model.json").exists() and not (folder / "features.toml").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--monotone", "likes"), "--monotone takes a feature and 1, 0 or -1"),
        (("--monotone", "likes=2"), "--monotone takes a feature and 1, 0 or -1"),
        (("--out-of-fold", "model"), "--out-of-fold takes MODEL=FOLDER"),
        (("--monotone", "age=1", "--pipeline", "bm25"), "names 'age', which is no feature here"),
        (("--html", "no/such/folder/page.html"), "there is no folder no/such/folder"),
    ],
)
def test_wrong_options_are_refused(beir: Path, tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(ResiftError, match=message):
        run("train", "ltr", beir, "-o", tmp_path / "order", "--no-search", *arguments, "--cache", tmp_path / "cache")
    assert not (tmp_path / "order").exists()


def test_export_refuses_features_that_the_trees_do_not_name(model: tuple[Path, str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(model[0], tmp_path / "order")
    out = tmp_path / "model.json"
    run("export", folder, "--format", "elasticsearch", "-o", out)
    assert out.exists()
    features = folder / "features.toml"
    text = features.read_text()
    place, log = 'name = "place"', 'name = "log"'
    features.write_text(text.replace(place, log, 1).replace(log, place, 1))
    with pytest.raises(
        BrokenModel, match=r"column \d+ is 'place\(likes\)' in features.toml and 'log\(likes\)' in the tr"
    ):
        run("export", folder, "--format", "elasticsearch", "-o", out)
    features.write_text(text.replace("version = 1", "version = 9", 1))
    with pytest.raises(InputError, match="has version 9 of the feature"):
        run("export", folder, "--format", "elasticsearch", "-o", out)
