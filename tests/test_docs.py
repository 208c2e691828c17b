"""README and docs can't rot: their Python runs, their commands run, and what they say of options is the program's."""

import ast
import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.main import get_command

import resift
from resift.cli.main import EXIT_CODES, app
from resift.engine import compiled_models
from resift.machine import LEVELS, VARIABLE
from resift.serve.settings import DEFAULTS, Settings

ROOT = Path(__file__).parent.parent
PACKAGE = Path(resift.__file__).parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
REPEATED = ROOT / "bench" / "results"  # tables that benchmarks write, as wide as their figures


def blocks(language: str) -> list[tuple[str, str]]:
    return [
        (f"{page.name}-{i}", code)
        for page in PAGES
        for i, code in enumerate(re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.S))
    ]


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


def search(command: str) -> dict[str, object]:
    """What `resift search …` prints as JSON."""
    arguments = [word for word in shlex.split(command) if word != "--explain"][1:]
    run = [sys.executable, "-m", "resift.cli.main", *arguments, "--json"]
    value: dict[str, object] = json.loads(subprocess.run(run, cwd=ROOT, capture_output=True, check=True).stdout)
    return value


def test_the_demo_shows_a_gain() -> None:
    """What `make demo` runs: the passage that answers is not the first stage's first, and is first once reranked."""
    (command,) = re.findall(r"^\t\S+/(resift search .*)$", (ROOT / "Makefile").read_text(), re.M)
    value = search(command)
    best = value["results"][0]
    assert value["reranked"] and best["first_rank"] > 1
    assert best["title"].endswith("Pairs that are too long") and "What does not fit" in " ".join(best["text"].split())


def test_no_page_quotes_the_query_of_a_demo() -> None:
    """It would be the best hit, and the demo would show nothing."""
    makefile, readme = (ROOT / "Makefile").read_text(), (ROOT / "README.md").read_text()
    queries = re.findall(r'resift search "([^"]+)" docs', makefile + readme)
    assert len(queries) == 2
    for page in (ROOT / "docs").glob("*.md"):
        assert not [query for query in queries if query in " ".join(page.read_text().split())], page.name


def test_the_first_command_prints_what_the_readme_shows() -> None:
    """The same passages; scores and wrapping depend on processor and terminal."""
    page = (ROOT / "README.md").read_text()
    command, output = re.findall(r"```sh\n(resift search .*)\n```\n\n```text\n(.*?)```", page, re.S)[0]
    value = search(command)
    assert value["results"][0]["first_rank"] > 1
    places = [f"{r['metadata']['path']}:{r['metadata']['line']}  {r['title']}" for r in value["results"]]
    assert re.findall(r"docs/\S+:\d+  .*", output) == places


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_site_builds_and_its_links_are_checked(tmp_path: Path) -> None:
    """Every warning is an error: a page outside of the navigation, a link or an anchor that leads nowhere."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site" / "bench" / "results" / "soak.svg").exists()
    page = (tmp_path / "site" / "index.html").read_text()
    assert "Two stages" not in page and "reranking.html" in page


def test_lines_of_markdown_are_short() -> None:
    folders = ("docs", "src", "packaging", "tests", "bench", "runs")
    pages = [*ROOT.glob("*.md"), *(page for folder in folders for page in (ROOT / folder).rglob("*.md"))]
    for page in pages:
        if REPEATED not in page.parents:
            long = [i for i, line in enumerate(page.read_text().split("\n"), 1) if len(line) > 120]
            assert not long, f"{page.relative_to(ROOT)}: lines {long} have more than 120 characters"


def test_numbers_have_a_digit_before_the_point() -> None:
    for page in PAGES:
        text = re.sub(r"`[^`]*`", "", re.sub(r"```.*?```", "", page.read_text(), flags=re.S))
        assert not re.findall(r"(?<![\w.])\.\d+", text), page.name


def test_the_log_says_question_result_and_consequence() -> None:
    for entry in (ROOT / "docs" / "log.md").read_text().split("\n### ")[1:]:
        title = entry.split("\n")[0]
        words = re.findall(r"^\*\*(Question|Result|Consequence)\.\*\*", entry, re.M)
        assert words == ["Question", "Result", "Consequence"], title


def docs_blocks() -> ModuleType:
    """runs/docs_blocks.py, which writes the generated parts."""
    spec = importlib.util.spec_from_file_location("docs_blocks", ROOT / "runs" / "docs_blocks.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_parts_are_current() -> None:
    """The tree, the import table, options, figures."""
    old = [path.name for path, current, text in docs_blocks().pages() if current != text]
    assert not old, f"{', '.join(old)} out of date; run: make docs-tree"


def test_the_tree_is_complete() -> None:
    tree = (ROOT / "docs" / "architecture.md").read_text().split("<!-- tree -->")[1]
    for path in PACKAGE.rglob("*.py"):
        assert ast.get_docstring(ast.parse(path.read_text())), f"{path} does not say what it is"
        folder = f"### {path.parent.relative_to(PACKAGE.parent)}/\n"
        section = tree.split(folder)[1].split("\n### ")[0]
        assert path.name == "__init__.py" or f"* `{path.name}`: " in section, f"{path} is missing; run: make docs-tree"
    for name in re.findall(r"^\* `([\w./]+)`:", tree, re.M):
        assert list(PACKAGE.rglob(name)), f"{name} is gone; run: make docs-tree"


def test_paths_in_the_docs_exist() -> None:
    """Files of the package that pages name, such as `rerank/drive.py`."""
    for page in PAGES:
        for name in re.findall(
            r"`((?:src/resift/|tests/|bench/|runs/)?[\w/]+/[\w.]+\.(?:py|c|toml|json))`", page.read_text()
        ):
            assert (ROOT / name).exists() or (PACKAGE / name).exists(), f"{page.name} names {name}"


def commands_of(group: Any, words: tuple[str, ...] = ()) -> dict[str, Any]:
    """All commands by their words; those of a group, such as `train reranker`, have two."""
    commands: dict[str, Any] = {}
    for name, command in group.commands.items():
        inner = (*words, name)
        commands |= commands_of(command, inner) if hasattr(command, "commands") else {" ".join(inner): command}
    return commands


def spellings(command: str | None = None) -> set[str]:
    """The long options of a command, or of all; those of `resift` itself belong to each."""
    shared = {"--help", "--version", "--install-completion", "--show-completion"}
    commands = commands_of(get_command(app))
    chosen = [commands[command]] if command else commands.values()
    return shared | {s for c in chosen for p in c.params for s in (*p.opts, *p.secondary_opts) if s.startswith("--")}


def test_options_in_the_docs_are_options() -> None:
    """An option behind `resift COMMAND` is that command's, any other in prose is one of some command."""
    commands = "|".join(commands_of(get_command(app)))
    for page in PAGES:
        text = page.read_text()
        for command, rest in re.findall(rf"resift ({commands})(?![\w-])((?:[^`\n|]|\\\n)*)", text):
            unknown = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", rest)) - spellings(command)
            assert not unknown, f"{page.name}: resift {command} has no {unknown}"
        if page.parent.name == "docs":
            prose = re.sub(r"```.*?```", "", text, flags=re.S)
            alone = set(re.findall(r"`(--[a-z][a-z-]+)", prose)) | set(re.findall(r"\((--[a-z][a-z-]+)", prose))
            assert not alone - spellings(), f"{page.name}: no command has {alone - spellings()}"


def test_every_option_and_its_default_is_in_the_page_of_commands() -> None:
    """Beyond the generated lists: their defaults are those that the command really has."""
    page = (ROOT / "docs" / "cli.md").read_text()
    for name, command in commands_of(get_command(app)).items():
        section = page.split(f"<!-- options of {name} -->")[1].split(f"<!-- /options of {name} -->")[0]
        listed = dict(re.findall(r"^\* `(--[a-z-]+)`(?:, `-[^`]*`)*(?: \(default: `([^`]*)`\))?:", section, re.M))
        for parameter in command.params:
            long = next((spelling for spelling in parameter.opts if spelling.startswith("--")), None)
            if long is None or long == "--help":
                continue
            assert long in listed, f"resift {name}: {long} is missing"
            if isinstance(parameter.default, (int, float)) and not isinstance(parameter.default, bool):
                assert float(listed[long]) == parameter.default, f"resift {name} {long}"


def test_exit_codes_in_the_docs_are_the_programs() -> None:
    table = (ROOT / "docs" / "cli.md").read_text().split("## Exit codes")[1].split("## ")[0]
    rows = [(int(code), error) for code, error in re.findall(r"^\| (\d+) \| (?:`(\w+)` )?\|", table, re.M)]
    assert {(code, error) for code, error in rows if error} == {(c, e.__name__) for e, c in EXIT_CODES.items()}
    assert {code for code, error in rows if not error} == {0, 1, 2, 130}


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        (0, ["models", "--family", "late"]),
        (2, ["search", "lamp", "docs", "--wrong"]),
        (2, ["wrong"]),
        (3, ["search", "lamp", "missing.md"]),
        (4, ["search", "lamp", "docs/index.md", "--model", "./missing"]),
        (1, ["doctor", "./missing"]),
    ],
)
def test_exit_codes_are_given(code: int, arguments: list[str]) -> None:
    run = [sys.executable, "-m", "resift.cli.main", *arguments]
    assert subprocess.run(run, cwd=ROOT, capture_output=True).returncode == code


def test_every_variable_is_in_the_table() -> None:
    page = (ROOT / "docs" / "environment.md").read_text()
    rows = dict(re.findall(r"^\| `(RESIFT_\w+)` \| ([^|]*) \|", page, re.M))
    settings = {f"RESIFT_{field.name.upper()}": getattr(DEFAULTS, field.name) for field in fields(Settings)}
    assert rows.keys() == {compiled_models.VARIABLE, VARIABLE, *settings}
    for name, value in settings.items():
        if value in ("", ()):
            assert not rows[name].startswith("`"), name
        else:
            shown = str(value).lower() if isinstance(value, bool) else f"{value:.10g}" if value != str(value) else value
            assert rows[name].strip() == f"`{shown}`", name
    levels = page.split("`RESIFT_CPU=")[1].split(" holds")[0]
    assert re.findall(r"[a-z]+\d*\b", levels.replace(" or ", " ")) == list(LEVELS)
    mentioned = {n for p in PAGES for n in re.findall(r"RESIFT_[A-Z_]*[A-Z]\b", p.read_text())} - {"RESIFT_DATA"}
    assert mentioned <= rows.keys()
