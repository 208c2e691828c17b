"""What the code must look like: import direction, import cost, public names, sizes."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import resift

SOURCE = Path(resift.__file__).parent

# A module may import from layers above its own; modules of one layer's braces never import each other's folder.
LAYERS = [
    {"types", "errors"},
    {"protocols", "memory", "arguments", "atomic"},
    {"text", "engine"},
    {"files", "retrieve", "score", "rerank"},
    {"index"},
    {"api"},
    {"speed"},
    {"serve", "adapters"},
    {"cli"},
]
# `types` raises errors.
ALLOWED_WITHIN = {("types", "errors")}


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


def test_importing_resift_is_light() -> None:
    code = (
        "import sys, time; t = time.perf_counter(); import resift; s = time.perf_counter() - t;"
        "print(s, sorted({'openvino', 'torch', 'numpy', 'tokenizers', 'typer'} & set(sys.modules)))"
    )
    seconds, heavy = min(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split(" ", 1)
        for _ in range(3)
    )
    assert heavy.strip() == "[]"
    assert float(seconds) < 0.2


def test_help_is_quick() -> None:
    import time

    def once() -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "resift.cli.main", "--help"], capture_output=True, check=True)
        return time.perf_counter() - began

    assert min(once() for _ in range(3)) < 0.5


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
