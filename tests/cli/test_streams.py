"""Where output goes and what it is made of: pipes, devices, links, full disks, closed streams, other encodings."""

import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from resift.atomic import write
from resift.errors import InputError

REQUEST = json.dumps({"query": "capital", "documents": ["Bread.", "Ørland 東京"]}, ensure_ascii=False) + "\n"
RESIFT = [sys.executable, "-m", "resift.cli.main"]
ASCII = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}


def sh(command: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run a line of shell in which R is the program."""
    program = " ".join(RESIFT)
    return subprocess.run(
        ["bash", "-c", f"R='{program}'; {command}"], cwd=folder, capture_output=True, env=os.environ | environment
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "r.jsonl").write_text(REQUEST * 2, "utf-8")
    (tmp_path / "d.txt").write_text("Ørland är 東京 🚢 Oslo is the capital of a country in the north.\n", "utf-8")
    return tmp_path


def rows(data: bytes) -> list[str]:
    return [json.loads(line)["results"][0]["text"] for line in data.decode("utf-8").splitlines()]


def test_a_link_stays_and_its_file_is_replaced(folder: Path) -> None:
    (folder / "real").mkdir()
    (folder / "real" / "out.jsonl").write_text("old")
    (folder / "real" / "out.jsonl").chmod(0o640)
    (folder / "link.jsonl").symlink_to("real/out.jsonl")
    done = sh("$R rerank r.jsonl -o link.jsonl", folder)
    assert done.returncode == 0, done.stderr
    assert (folder / "link.jsonl").is_symlink() and len(rows((folder / "real" / "out.jsonl").read_bytes())) == 2
    assert stat.S_IMODE((folder / "real" / "out.jsonl").stat().st_mode) == 0o640
    assert sorted(p.name for p in (folder / "real").iterdir()) == ["out.jsonl"]


def test_a_file_named_part_is_the_user_s(folder: Path) -> None:
    for name in ("out.jsonl.part", "out.part"):
        (folder / name).write_text("mine")
    assert sh("$R rerank r.jsonl -o out.jsonl", folder).returncode == 0
    assert (folder / "out.jsonl.part").read_text() == (folder / "out.part").read_text() == "mine"
    assert len(list(folder.iterdir())) == 5


def test_a_pipe_is_written_to(folder: Path) -> None:
    os.mkfifo(folder / "f")
    heard: list[bytes] = []
    reader = threading.Thread(target=lambda: heard.append((folder / "f").read_bytes()), daemon=True)
    reader.start()
    assert sh("$R rerank r.jsonl -o f", folder).returncode == 0
    reader.join(10)
    assert len(rows(heard[0])) == 2 and stat.S_ISFIFO((folder / "f").stat().st_mode)


def test_devices_are_written_to(folder: Path) -> None:
    before = os.stat("/dev/null")
    assert sh("$R rerank r.jsonl -o /dev/null", folder).returncode == 0
    assert os.path.samestat(os.stat("/dev/null"), before) and stat.S_ISCHR(os.stat("/dev/null").st_mode)
    full = sh("$R rerank r.jsonl -o /dev/full", folder)
    assert (full.returncode, full.stderr) == (3, b"resift: can't write /dev/full: No space left on device\n")


def test_dev_stdout_is_stdout(folder: Path) -> None:
    assert len(rows(sh("$R rerank r.jsonl -o /dev/stdout | cat", folder).stdout)) == 2
    assert sh("echo before > log; $R rerank r.jsonl -o /dev/stdout >> log", folder).returncode == 0
    first, _, rest = (folder / "log").read_bytes().partition(b"\n")
    assert first == b"before" and len(rows(rest)) == 2
    assert sh("$R rerank r.jsonl -o /dev/fd/5 5>five", folder).returncode == 0
    assert len(rows((folder / "five").read_bytes())) == 2


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"

    def failing() -> Iterator[bytes]:
        yield b"one"
        raise OSError("the input broke off")

    write(path, [b"one ", b"two"])
    with pytest.raises(OSError, match="broke off"):  # and no InputError that would blame the output
        write(path, failing())
    assert path.read_bytes() == b"one two" and os.listdir(tmp_path) == ["out.txt"]
    with pytest.raises(InputError, match="can't write"):
        write(tmp_path / "absent" / "out.txt", [b"one"])


def test_a_plot_follows_a_link(folder: Path) -> None:
    (folder / "plot.svg").write_text("old")
    (folder / "link.svg").symlink_to("plot.svg")
    done = sh("$R bench --depths 2 --seconds 0 --lengths 5 --plot link.svg", folder, **ASCII)
    assert done.returncode == 0, done.stderr
    assert (folder / "link.svg").is_symlink() and "<svg" in (folder / "plot.svg").read_text("utf-8")


@pytest.mark.parametrize(
    "environment",
    [{"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "latin-1"}, ASCII],
    ids=["ascii", "latin-1", "C"],
)
def test_json_is_utf_8_and_tables_show_what_they_can(folder: Path, environment: dict[str, str]) -> None:
    assert "Ørland 東京" in {
        r["text"] for r in json.loads(sh("$R rerank r.jsonl | head -1", folder, **environment).stdout)["results"]
    }
    value = json.loads(sh("$R search 'Ørland' d.txt --json --no-rerank", folder, **environment).stdout)
    assert value["query"]["text"] == "Ørland" and "東京 🚢" in value["results"][0]["text"]
    table = sh("$R search 'Oslo capital' d.txt --no-rerank", folder, **environment)
    assert table.returncode == 0 and table.stderr == b"" and "r?land" not in table.stdout.decode("latin-1")
    assert "?? ?" in table.stdout.decode("latin-1")
    missing = sh("$R search q 'Ørland.txt'", folder, **environment)
    assert missing.returncode == 3 and missing.stderr.count(b"\n") == 1 and b"Traceback" not in missing.stderr


@pytest.mark.parametrize(
    "command", ["search Oslo d.txt --no-rerank", "search Oslo d.txt --no-rerank --json", "rerank r.jsonl", "models"]
)
def test_a_full_disk_behind_stdout_is_one_sentence(folder: Path, command: str) -> None:
    done = sh(f"$R {command} > /dev/full", folder)
    assert (done.returncode, done.stderr) == (3, b"resift: can't write to stdout: No space left on device\n")


def test_closed_streams_are_one_sentence(folder: Path) -> None:
    stdin = sh("$R rerank <&-", folder)
    assert (stdin.returncode, stdin.stderr) == (3, b"resift: stdin is closed; give a file, or pipe something in\n")
    stdout = sh("$R rerank r.jsonl >&-", folder)
    assert (stdout.returncode, stdout.stderr) == (3, b"resift: stdout is closed; send it to a file or to /dev/null\n")
    stderr = sh("$R search Oslo nowhere 2>&-", folder)
    assert (stderr.returncode, stderr.stdout) == (3, b"")
    assert sh("$R search Oslo d.txt --no-rerank 2>&-", folder).returncode == 0


def test_completion_that_can_t_be_installed_is_one_sentence(folder: Path) -> None:
    # The shell is told by the processes above; with a second command Bash stays above the first, whoever started it.
    done = sh("$R --install-completion; exit $?", folder, HOME="/dev/null")
    assert done.returncode == 3 and b"Traceback" not in done.stderr
    assert done.stderr.startswith(b"resift: can't install completion (") and done.stderr.count(b"\n") == 1
