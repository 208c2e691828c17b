"""What the code must look like: import direction, import cost, public names, sizes."""

import ast
import subprocess
import sys
import time
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import resift

SOURCE = Path(resift.__file__).parent

# A module may import from layers above its own; modules of one layer's braces never import each other's folder.
LAYERS = [
    {"types", "errors", "vocabulary"},
    {"protocols", "machine", "arguments", "atomic", "measures"},
    {"text", "engine", "trees"},
    {"features"},
    {"files", "models", "retrieve", "rerank"},
    {"score", "client"},
    {"pipeline", "index", "calibrate"},
    {"reranker", "testing"},
    {"loading"},
    {"api"},
    {"inspection", "evaluate"},
    {"serve", "adapters", "worth", "judge", "choose", "train"},
    {"tune"},
    {"cli"},
]
# `types` raises errors and is made of words.
ALLOWED_WITHIN = {("types", "errors"), ("types", "vocabulary")}


def package_of(module: str) -> str:
    return module.split(".")[1] if module.count(".") else "__init__"


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "resift":
            names = [f"{node.module}.{a.name}" for a in node.names] if node.module == "resift" else [node.module]
            found |= {package_of(n) for n in names}
        elif isinstance(node, ast.Import):
            found |= {package_of(a.name) for a in node.names if a.name.startswith("resift.")}
    return found


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_flow_one_way(path: Path) -> None:
    own = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    if own == "__init__":
        return
    level = next(i for i, layer in enumerate(LAYERS) if own in layer)
    above = set().union(*LAYERS[:level])
    for imported in imports_of(path) - {own}:
        if own in ("cli", "serve") and imported in resift.__all__ + ["__version__"]:
            continue
        assert imported in above or (own, imported) in ALLOWED_WITHIN, f"{own} must not import {imported}"


def test_no_module_imports_itself_by_a_detour() -> None:
    """No circles of modules, inside folders either; what is imported only for types, or when called, counts too."""
    modules = {
        ".".join(("resift", *path.relative_to(SOURCE).with_suffix("").parts)): path for path in SOURCE.rglob("*.py")
    }
    arrows: dict[str, set[str]] = {}
    for name, path in modules.items():
        arrows[name] = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                named = {f"{node.module}.{alias.name}" for alias in node.names}
                arrows[name] |= (named & modules.keys()) or ({node.module} & modules.keys())
    ordered = TopologicalSorter({name: targets - {name, "resift"} for name, targets in arrows.items()})
    ordered.prepare()  # raises CycleError, which names the circle


def test_importing_resift_is_light() -> None:
    """It takes about as long as a handful of the standard library's modules, measured in the same process."""
    code = (
        "import sys, time; began = time.perf_counter()\n"
        "import asyncio, concurrent.futures, email.message, http.client, sqlite3, unittest.mock, urllib.request\n"
        "between = time.perf_counter(); import resift; ended = time.perf_counter()\n"
        "print((ended - between) / (between - began))\n"
        "print(sorted({'openvino', 'torch', 'numpy', 'tokenizers', 'typer'} & set(sys.modules)))"
    )
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
        for _ in range(3)
    ]
    assert [heavy for _, heavy in runs] == ["[]"] * 3
    assert min(float(ratio) for ratio, _ in runs) < 2  # 0.7 where this was written


def test_help_is_quick() -> None:
    """It takes little more than the libraries that print it."""

    def seconds(*arguments: str) -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, *arguments], capture_output=True, check=True)
        return time.perf_counter() - began

    libraries, helped = ("-c", "import typer, rich.table"), ("-m", "resift.cli.main", "--help")
    assert min(seconds(*helped) / seconds(*libraries) for _ in range(3)) < 4  # 2 where this was written


def test_everything_public_is_exported() -> None:
    public = {
        n
        for n, v in vars(resift).items()
        if not n.startswith("_") and getattr(v, "__module__", "").startswith("resift")
    }
    assert public == set(resift.__all__)


def test_version_and_change_log_agree() -> None:
    log = (SOURCE.parents[1] / "CHANGELOG.md").read_text()
    assert f"## {resift.__version__}" in log


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda p: str(p.relative_to(SOURCE)))
def test_files_and_functions_stay_small(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert node.end_lineno is not None and node.end_lineno - node.lineno <= 60, node.name
