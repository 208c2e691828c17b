"""The command on a real pseudo-terminal, and with keys from a pipe."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from resift.cli.main import app
from resift.evaluate import DataFiles, read_dataset
from tests.interrupts import allow_interrupt

ANSWERS = {"ferry": "ferry leaves", "bread": "bread is baked", "lamp": "lamp was lit"}
TEXTS = [
    "the ferry leaves at nine", "the ferry is blue", "bread is baked by Anna", "bread is dear this winter",
    "the lamp was lit by the keeper", "a lamp of copper", "the harbour is full of stones", "tea with milk",
]  # fmt: skip


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    (tmp_path / "queries.txt").write_text("when does the ferry leave\nwho bakes bread\nwho lit the lamp\n")
    lines = [json.dumps({"id": f"d{i}", "text": text}) for i, text in enumerate(TEXTS)]
    (tmp_path / "corpus.jsonl").write_text("\n".join(lines) + "\n")
    return ["--queries", str(tmp_path / "queries.txt"), "--documents", str(tmp_path / "corpus.jsonl"),
            "--pipeline", "bm25", "--pipeline", "dense", "--pool-depth", "3"]  # fmt: skip


class Terminal:
    """A person at a terminal: sees what is printed, presses keys."""

    def __init__(self, *arguments: str) -> None:
        self.master, slave = pty.openpty()
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        environment = os.environ | {"COLUMNS": "100", "LINES": "40", "TERM": "xterm"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "resift.cli.main", *arguments],
            stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True,
            preexec_fn=allow_interrupt,
        )  # fmt: skip
        self.text = ""

    def wait_for(self, *words: str, timeout: float = 60) -> str:
        """What was printed up to and with one of these words; it is then forgotten."""
        end = time.monotonic() + timeout
        while not (places := [self.text.index(w) + len(w) for w in words if w in self.text]):
            assert time.monotonic() < end, f"{words} did not come: {self.text}"
            if select.select([self.master], [], [], 0.1)[0]:
                data = os.read(self.master, 4096).decode("utf-8", "replace")
                self.text += re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", data)
        seen, self.text = self.text[: min(places)], self.text[min(places) :]
        return seen

    def press(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def end(self) -> int:
        code = self.process.wait(60)
        assert termios.tcgetattr(self.slave)[3] == self.before[3]  # echo and lines are as they were
        os.close(self.slave)
        os.close(self.master)
        return code


def judge_at(terminal: Terminal, most: int = 100) -> int:
    """Judge as ANSWERS say until the command ends or `most` keys were pressed; how many were."""
    for count in range(most):
        shown = terminal.wait_for("q=quit", "everything is judged")
        if shown.endswith("judged"):
            return count
        query, *document = shown.rpartition("? ")[2].splitlines()
        answer = next(ANSWERS[word] for word in ANSWERS if word in query)
        terminal.press("y" if answer in " ".join(document) else "n")
    return most


def test_judging_at_a_terminal(files: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "judged"
    terminal = Terminal("judge", str(folder), *files)
    terminal.wait_for("q=quit")
    terminal.press("y")
    terminal.wait_for("q=quit")
    assert len((folder / "qrels.trec").read_text().splitlines()) == 1  # before any other key
    terminal.press("\x1b[A")  # an arrow key means nothing
    terminal.press("x")
    assert "'x' is no key here" in terminal.wait_for("q=quit")
    terminal.press("u")
    terminal.wait_for("q=quit")
    assert (folder / "qrels.trec").read_text() == ""
    terminal.press("s")
    terminal.wait_for("q=quit")
    terminal.press("q")
    printed = terminal.wait_for("evaluate: ")
    assert "0 of 3 queries judged" in printed and "1 skipped" in printed
    assert "bm25" not in printed.split("go on:")[0] and "dense" not in printed.split("go on:")[0]
    assert terminal.end() == 0

    terminal = Terminal("judge", str(folder))
    pressed = judge_at(terminal)
    terminal.wait_for("evaluate: ")
    assert terminal.end() == 0
    pool = json.loads((folder / "pool.json").read_text())
    pooled = {(q, d) for r in pool["rankings"].values() for q, ids in r.items() for d in ids}
    assert pressed == len(pooled) - 1
    lines = [line.split() for line in (folder / "qrels.trec").read_text().splitlines()]
    assert len(lines) == pressed and all(len(line) == 4 for line in lines)
    data = read_dataset(DataFiles(folder))
    relevant = {(q, d) for q, grades in data.qrels.items() for d, grade in grades.items() if grade}
    assert relevant <= {("q1", "d0"), ("q2", "d2"), ("q3", "d4")} and len(relevant) >= 2


def test_a_killed_process_loses_nothing(files: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "judged"
    terminal = Terminal("judge", str(folder), *files)
    judge_at(terminal, 3)
    terminal.wait_for("q=quit")
    terminal.process.send_signal(signal.SIGKILL)
    terminal.process.wait(60)
    assert len((folder / "qrels.trec").read_text().splitlines()) == 3
    done = CliRunner().invoke(app, ["judge", str(folder)], input="n" * 100)
    assert done.exit_code == 0 and "everything is judged" in done.stdout
    lines = [tuple(line.split()[:3]) for line in (folder / "qrels.trec").read_text().splitlines()]
    assert len(lines) == len(set(lines))


def test_control_c_keeps_what_was_judged(files: list[str], tmp_path: Path) -> None:
    terminal = Terminal("judge", str(tmp_path / "judged"), *files)
    judge_at(terminal, 1)
    terminal.wait_for("q=quit")
    terminal.process.send_signal(signal.SIGINT)
    terminal.wait_for("go on: resift judge")
    assert terminal.end() == 130
    assert len((tmp_path / "judged" / "qrels.trec").read_text().splitlines()) == 1


def cli(*arguments: str, keys: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "resift.cli.main", "judge", *arguments]
    return subprocess.run(command, input=keys, capture_output=True, text=True, timeout=120)


def test_keys_from_a_pipe(files: list[str], tmp_path: Path) -> None:
    folder = str(tmp_path / "judged")
    done = cli(folder, *files, "--grades", keys="3\n0\nk\n")
    assert done.returncode == 0 and "'k' is no key here: 0=not 1 2 3=perfectly" in done.stdout
    grades = [line.split()[3] for line in (tmp_path / "judged" / "qrels.trec").read_text().splitlines()]
    assert grades == ["3", "0"]
    done = cli(folder)
    assert done.returncode == 3 and "no key came from stdin; run it in a terminal" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name the queries to judge: --queries FILE"),
        (["--queries", "QUERIES"], "either a file (--documents) or an index (--index)"),
        (["--queries", "missing.txt", "--documents", "CORPUS"], "no such file: missing.txt"),
        (["--synthetic", "--queries", "QUERIES"], "leave --queries, --pipeline and --grades out"),
        (["--synthetic", "--documents", "CORPUS"], "none of 8 documents has a title"),
    ],
)
def test_refusals(files: list[str], tmp_path: Path, arguments: list[str], message: str) -> None:
    named = {"QUERIES": files[1], "CORPUS": files[3]}
    result = CliRunner().invoke(app, ["judge", str(tmp_path / "new"), *(named.get(a, a) for a in arguments)])
    assert message in str(result.exception) and not (tmp_path / "new").exists()


def test_a_folder_that_was_begun_has_its_queries(files: list[str], tmp_path: Path) -> None:
    folder = str(tmp_path / "judged")
    run = CliRunner()
    assert run.invoke(app, ["judge", folder, *files], input="y").exit_code == 0
    assert "has its queries and documents" in str(run.invoke(app, ["judge", folder, *files]).exception)
    assert "begun with yes and no" in str(run.invoke(app, ["judge", folder, "--grades"]).exception)
    more = run.invoke(app, ["judge", folder, "--pipeline", "bm25 + dense"], input="q")
    assert more.exit_code == 0
    assert json.loads((tmp_path / "judged" / "pool.json").read_text())["pipelines"] == ["bm25", "dense", "bm25 + dense"]


def test_an_index_is_judged(tmp_path: Path, corpus: Path) -> None:
    run = CliRunner()
    assert run.invoke(app, ["index", str(corpus / "lighthouse.md"), "-o", str(tmp_path / "index")]).exit_code == 0
    (tmp_path / "q.txt").write_text("who lit the lamp in the tower\n")
    arguments = ["--queries", str(tmp_path / "q.txt"), "--index", str(tmp_path / "index"), "--pipeline", "bm25"]
    done = run.invoke(app, ["judge", str(tmp_path / "judged"), *arguments], input="y" * 20)
    assert done.exit_code == 0, done.output
    evaluated = run.invoke(app, ["evaluate", str(tmp_path / "judged"), "--pipeline", "bm25", "--json"])
    assert evaluated.exit_code == 0, evaluated.output


def test_synthetic_queries(tmp_path: Path, corpus: Path) -> None:
    run = CliRunner()
    done = run.invoke(app, ["judge", str(tmp_path / "s"), "--synthetic", "--documents", str(corpus / "lighthouse.md")])
    assert done.exit_code == 0 and "synthetic queries" in done.stdout, done.output
    shown = run.invoke(app, ["evaluate", str(tmp_path / "s"), "--pipeline", "bm25"])
    assert "synthetic queries" in shown.stdout
