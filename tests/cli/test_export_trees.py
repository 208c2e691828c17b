"""`resift export MODEL --format FORMAT`."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from resift.cli.main import app
from resift.errors import InputError, MissingExtra, NotAModel
from resift.trees import FORMATS
from tests.trees.models import NAMES, boosters, save


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["export", *arguments], env={"COLUMNS": "120"})


@pytest.fixture
def model(tmp_path: Path) -> str:
    folder = tmp_path / "ltr"
    folder.mkdir()
    save(boosters()["lightgbm absent"], folder)
    return str(folder)


def test_every_format_is_offered() -> None:
    from resift.cli.export_trees import TreesFormat

    assert [choice.value for choice in TreesFormat] == list(FORMATS)


def test_the_file_its_features_and_the_comparison(model: str, tmp_path: Path) -> None:
    out, features = tmp_path / "solr.json", tmp_path / "features.json"
    done = run(model, "--format", "solr", "-o", str(out), "--feature-set", str(features), "--field", "title=headline")
    assert done.exit_code == 0, done.output
    written = json.loads(out.read_text())
    assert written["name"] == "ltr" and written["features"] == [{"name": name} for name in NAMES]
    assert json.loads(features.read_text())[0]["params"] == {"q": "{!dismax qf='headline'}${query}"}
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["format", "rows", "compared", "left", "out", "largest", "difference"]
    assert [line.split()[:2] for line in lines[1:4]] == [["solr", kind] for kind in ("random", "threshold", "absent")]
    assert f"written to {out}: 20 trees of lightgbm" in done.stdout
    assert "note: missing values take their own path, which needs Solr 9.2" in done.stderr
    assert "the engine can't compute z(colbert): fill the numeric field z_colbert" in done.stderr


def test_json(model: str, tmp_path: Path) -> None:
    out = tmp_path / "model.json"
    done = run(model, "--format", "elasticsearch", "--output", str(out), "--name", "mine", "--json")
    value = json.loads(done.stdout)
    assert value["schema"] == 1 and value["out"] == str(out) and value["format"] == "elasticsearch"
    assert (value["library"], value["trees"], value["features"]) == ("lightgbm", 20, 4)
    assert [row["rows"] for row in value["parity"]] == ["random", "threshold", "absent"]
    assert sum(row["count"] for row in value["parity"]) == 100
    assert all(row["left_out"] == 0 and row["largest_difference"] < 1e-12 for row in value["parity"])
    assert value["external"] == [{"name": "z(colbert)", "field": "z_colbert"}] and len(value["notes"]) > 2
    assert json.loads(out.read_text())["description"].startswith("mine")
    schema = (Path(__file__).parents[2] / "docs" / "json.md").read_text()
    for field in {*value, *value["parity"][0], *value["external"][0]}:
        assert f"`{field}`" in schema


def test_a_parameter_is_named(tmp_path: Path) -> None:
    file, names = save(boosters()["lightgbm absent"], tmp_path), tmp_path / "names.txt"
    names.write_text("bm25(title)\nscore(colbert)\nquery_terms\nd\n")
    arguments = [str(file), "--format", "elasticsearch", "-o", str(tmp_path / "x.json"), "--features", str(names)]
    arguments += ["--field", "score(colbert)=maxsim"]
    assert "the engine can't compute query_terms: pass it with each search" in run(*arguments).stderr
    assert json.loads(run(*arguments, "--json").stdout)["external"] == [
        {"name": "score(colbert)", "field": "maxsim"},
        {"name": "query_terms", "parameter": "query_terms"},
        {"name": "d", "field": "d"},
    ]


def test_a_bare_file_and_names(tmp_path: Path) -> None:
    file = save(boosters()["xgboost absent"], tmp_path)
    names = tmp_path / "names.txt"
    names.write_text("bm25(headline)\nb\nc\nd\n")
    out = tmp_path / "dump.json"
    done = run(str(file), str(out), "--format", "xgboost-json", "--features", str(names))
    assert done.exit_code == 0, done.output
    assert '"split": "bm25(headline)"' in out.read_text()


def test_a_word_that_nothing_is_missing(tmp_path: Path) -> None:
    file, out = save(boosters()["xgboost complete"], tmp_path), tmp_path / "model.xml"
    refused = run(str(file), "--format", "ranklib", "-o", str(out))
    assert isinstance(refused.exception, InputError) and not out.exists()
    done = run(str(file), "--format", "ranklib", "-o", str(out), "--never-missing")
    assert done.exit_code == 0 and out.read_text().startswith("## LambdaMART\n") and "absent" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        (["--format", "onnx", "-o", "x", "--feature-set", "y"], InputError, "--feature-set is not for onnx"),
        (["--format", "solr", "-o", "nowhere/x"], InputError, "there is no folder nowhere; make it first"),
        (["--format", "solr", "-o", "x", "--feature-set", "nowhere/x"], InputError, "there is no folder nowhere"),
        (["--format", "solr", "-o", "x", "--field", "title"], InputError, "--field is NAME=FIELD, such as text=body"),
        (["--format", "solr", "-o", "x", "--name", "a b"], InputError, "engines take no model called 'a b'"),
        (["--format", "solr", "-o", "x", "--features", "none"], InputError, "can't read none"),
    ],
)
def test_what_is_refused(model: str, arguments: list[str], kind: type[Exception], words: str) -> None:
    done = run(model, *arguments)
    assert type(done.exception) is kind and words in str(done.exception)
    assert not Path("x").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--format", "solr"], "name it with -o FILE"),
        (["out", "--format", "solr", "-o", "other"], "name it with -o FILE"),
        (["--format", "solr", "-o", "x", "--to", "onnx"], "--to"),
        (["--format", "solr", "-o", "x", "--force"], "--force"),
        (["out", "--name", "x"], "--name"),
        (["out", "-o", "x"], "--output"),
        (["out", "--never-missing"], "--never-missing"),
        ([], "OUT"),
        (["--format", "weka", "-o", "x"], "weka"),
    ],
)
def test_options_that_do_not_go_together(model: str, arguments: list[str], words: str) -> None:
    done = run(model, *arguments)
    assert done.exit_code == 2 and words in done.output


def test_no_model_and_no_onnx(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = run(str(tmp_path / "none"), "--format", "solr", "-o", str(tmp_path / "x"))
    assert type(done.exception) is NotAModel
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    done = run(model, "--format", "onnx", "-o", str(tmp_path / "x"))
    assert type(done.exception) is MissingExtra and "writing ONNX files needs" in str(done.exception)
