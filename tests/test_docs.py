"""README and docs can't rot: their Python runs, their commands run, their help is the program's."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(language: str) -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        for i, code in enumerate(re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.S)):
            found.append((f"{page.name}-{i}", code))
    return found


SERVER = "http://localhost:8080"


@pytest.fixture(scope="module")
def served() -> Iterator[str]:
    """The address of a server as `resift serve` starts it."""
    command = [sys.executable, "-m", "resift.cli.main", "serve", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        line = next(line for line in server.stderr if '"listening"' in line)
        yield json.loads(line)["url"]
        server.terminate()


@pytest.mark.parametrize(("name", "code"), blocks("python"))
def test_python_blocks_run(name: str, code: str, request: pytest.FixtureRequest) -> None:
    if SERVER in code:
        code = code.replace(SERVER, request.getfixturevalue("served"))
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("name", "code"), blocks("sh"))
def test_resift_commands_run(name: str, code: str) -> None:
    commands = [line for line in code.splitlines() if line.startswith("resift ") or " | resift " in line]
    for command in commands:
        runnable = command.replace("resift ", f"{shlex.quote(sys.executable)} -m resift.cli.main ")
        done = subprocess.run(runnable, shell=True, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}\n{done.stderr}"


def test_the_demo_shows_a_gain() -> None:
    """What `make demo` runs: the passage that answers is not the first stage's first, and is first once reranked."""
    (command,) = re.findall(r"^\t\S+/resift (search .*)$", (ROOT / "Makefile").read_text(), re.M)
    arguments = [a for a in shlex.split(command) if a != "--explain"]
    run = [sys.executable, "-m", "resift.cli.main", *arguments, "--json"]
    value = json.loads(subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=True).stdout)
    best = value["results"][0]
    assert value["reranked"] and best["first_rank"] > 1
    assert best["title"].endswith("Pairs that are too long") and "What\ndoes not fit" in best["text"]


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
