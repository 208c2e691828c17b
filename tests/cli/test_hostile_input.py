"""Input of commands that measure which nobody prepared: refused before anything is scored, or counted and named."""

import json
import os
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from resift.atomic import check_file, check_folder
from resift.cli.main import app
from resift.cli.progress import resumable
from resift.errors import InputError, ResiftError

invoke = CliRunner().invoke


@pytest.fixture
def judged(tmp_path: Path) -> Path:
    """A file of eight judged queries."""
    rows = [
        {"query": f"when does ferry {i} leave", "documents": [{"text": f"The ferry {i} leaves at nine.", "grade": 1}]}
        for i in range(8)
    ]
    path = tmp_path / "judged.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def refused(*arguments: object) -> str:
    """What a command says that ends with an error of Resift, without an output."""
    done = invoke(app, [*map(str, arguments)])
    assert isinstance(done.exception, ResiftError), done.output
    assert done.stdout == ""
    return str(done.exception)


def test_a_place_that_cannot_be_written_is_refused_before_anything_is_scored(judged: Path, tmp_path: Path) -> None:
    """A model that is not there would be asked for next."""
    model = ("--reranker", "./missing")
    for option in ("--output", "--markdown"):
        for command in ("evaluate", "worth-it"):
            assert "it is a folder" in refused(command, judged, *model, option, tmp_path)
    assert "it is a folder" in refused("evaluate", judged, *model, "--html", tmp_path)
    assert "is no folder" in refused("evaluate", judged, *model, "--runs", judged)
    assert "is no folder" in refused("evaluate", judged, *model, "--runs", judged / "runs")
    assert "it is a folder" in refused("when", judged, "--pipeline", "bm25 >> ./missing", "--output", tmp_path)
    judge = ("judge", judged, "--queries", judged, "--documents", judged, "--pipeline", "bm25 >> ./missing")
    assert "is no folder" in refused(*judge)
    calibrate = ("calibrate", judged, "--model", "./missing")
    assert "it is a folder" in refused(*calibrate, "--plot", tmp_path)
    assert "there is no folder" in refused(*calibrate, "--plot", tmp_path / "none" / "plot.svg")
    assert "is no folder" in refused(*calibrate, "--out", judged)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_folder_that_is_read_only(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="can't be written"):
        check_file(tmp_path / "file")
    with pytest.raises(InputError, match="can't be written"):
        check_folder(tmp_path / "a" / "b")


def test_places_that_can_be_written(tmp_path: Path) -> None:
    check_file(tmp_path / "file")
    check_file(Path("/dev/null"))
    check_folder(tmp_path / "a" / "b")
    check_folder(tmp_path)


def test_numbers_that_mean_nothing(judged: Path, tmp_path: Path) -> None:
    assert "more than 0 milliseconds" in refused("choose", judged, "--max-ms", "-1")
    assert "max_ms is a number" in refused("choose", judged, "--max-ms", "nan")
    assert "relevant_from is a number" in refused("calibrate", judged, "--relevant-from", "nan")
    for least in ("nan", "-1", "1"):
        assert "least is " in refused("when", judged, "--least", least, "--pipeline", "bm25 >> ./missing")


def test_a_command_that_is_stopped_says_that_it_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as stopped, resumable():
        raise KeyboardInterrupt
    assert stopped.value.exit_code == 130 and "what was scored is kept" in capsys.readouterr().err


def test_files_without_anything(tmp_path: Path) -> None:
    empty, corpus, qrels = tmp_path / "empty.jsonl", tmp_path / "corpus.jsonl", tmp_path / "qrels.txt"
    empty.write_text("")
    corpus.write_text('{"id": "d", "text": "a ferry"}\n')
    qrels.write_text("q 0 d 1\n")
    documents = ("--documents", corpus, "--qrels", qrels)
    assert "there are no queries" in refused("evaluate", "--queries", empty, *documents)
    assert "there are no queries" in refused("calibrate", "--queries", empty, *documents)
    queries = tmp_path / "queries.jsonl"
    queries.write_text('{"id": "q", "text": "ferry"}\n')
    assert "the run is empty" in refused("evaluate", "--queries", queries, *documents, "--run", empty)
    assert "has no judgement" in refused("evaluate", "--queries", queries, "--documents", corpus, "--qrels", empty)
    assert "no documents" in refused("evaluate", "--queries", queries, "--documents", empty, "--qrels", qrels)


def test_repeated_queries_of_a_sample_are_counted(tmp_path: Path) -> None:
    queries, documents = tmp_path / "queries.txt", tmp_path / "corpus.jsonl"
    queries.write_text("ferry\r\nferry\r\nbread\r\n")
    documents.write_text("".join(f'{{"id": "{i}", "text": "The ferry {i} leaves at nine."}}\n' for i in range(3)))
    arguments = ["choose", "--queries", queries, "--documents", documents, "--lang", "en", "--max-memory", "1"]
    done = invoke(app, [*map(str, arguments)])
    assert done.exit_code == 0, done.output
    assert "resift: 1 queries came more than once, and count once" in done.stderr
