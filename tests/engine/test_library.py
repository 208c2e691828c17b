"""A compiled library whose records differ from Python's is refused, and what it would do is done without it."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import hatch_build
import numpy as np
import pytest

from resift.engine.maxsim import TokenVectors, maxsim
from resift.engine.native import encoder_library, maxsim_library
from resift.engine.native.native_engine import obstacle

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / hatch_build.FOLDER
# Another layout, of each kind: a field more, a field of another size, fields that changed places, other arguments.
CHANGES = {
    "maxsim.c": [
        ("int64_t n, dims, query_length;", "int64_t version, n, dims, query_length;"),
        ("int level; ", "int64_t level; "),
        ("LAYOUT_FIELD(MaxSimWork, places)", "LAYOUT_FIELD(MaxSimWork, cosines)"),
        ("#define CALLS 1", "#define CALLS 2"),
        ("resift_maxsim_layout", "resift_maxsim_former"),
    ],
    "encoder.c": [
        ("int64_t hidden, heads, layers;", "int64_t hidden, heads, layers, vocabulary;"),
        ("float epsilon;", "double epsilon;"),
        ("int first_only;", "int64_t first_only;"),
        ("#define CALLS 2", "#define CALLS 3"),
        ("int64_t scaled;", "int32_t scaled;"),
        ("resift_encoder_layout", "resift_encoder_former"),
    ],
}
CASES = [(source, *change) for source, changes in CHANGES.items() for change in changes]
REFUSAL = r"is of another version of Resift and is not used: install Resift again .*pip install"


@pytest.fixture(autouse=True)
def reopened() -> Iterator[None]:
    """Libraries are opened once per process: each test opens its own."""
    opened = maxsim_library.kernel, encoder_library._library
    for function in opened:
        function.cache_clear()
    yield
    for function in opened:
        function.cache_clear()


def compiled(folder: Path, source: str, old: str = "", new: str = "") -> Path:
    """A library from a source in which one text is replaced."""
    if not any(map(shutil.which, ("cc", "gcc", "clang"))):
        pytest.skip("there is no C compiler")
    text = (SOURCES / source).read_text()
    assert not old or old in text
    (folder / source).write_text(text.replace(old, new) if old else text)
    shutil.copy(SOURCES / "layout.h", folder)
    library = folder / f"_{source.removesuffix('.c')}.so"
    assert hatch_build.compile_kernel(folder / source, library) == ""
    return library


@pytest.mark.parametrize(("source", "old", "new"), CASES)
def test_another_layout_is_refused(
    tmp_path: Path, source: str, old: str, new: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = compiled(tmp_path, source, old, new)
    if source == "maxsim.c":
        with pytest.warns(UserWarning, match=REFUSAL):
            assert maxsim_library.open_kernel(library) is None
        return
    monkeypatch.setattr(encoder_library, "LIBRARY", library)
    with pytest.warns(UserWarning, match=REFUSAL):
        assert not encoder_library.available()
    assert "compiled encoder" in obstacle(None, "bf16")


@pytest.mark.parametrize("source", CHANGES)
def test_the_layout_of_this_version_is_taken(tmp_path: Path, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    library = compiled(tmp_path, source)
    if source == "maxsim.c":
        assert maxsim_library.open_kernel(library) is not None
        return
    monkeypatch.setattr(encoder_library, "LIBRARY", library)
    encoder_library.available()  # without a warning, whatever the processor is


def test_scores_are_those_without_a_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(6, 16)).astype(np.float32)
    documents = [TokenVectors.quantized(vectors, np.zeros((6, 2), np.int32))]
    weights = np.full(6, 1 / 6, np.float32)
    monkeypatch.setattr(maxsim_library, "LIBRARY", tmp_path / "_none.so")
    pure = maxsim(vectors, weights, documents)
    monkeypatch.setattr(maxsim_library, "LIBRARY", compiled(tmp_path, "maxsim.c", *CHANGES["maxsim.c"][0]))
    maxsim_library.kernel.cache_clear()
    with pytest.warns(UserWarning, match=REFUSAL):
        stale = maxsim(vectors, weights, documents)
    for ours, expected in zip(stale, pure, strict=True):
        np.testing.assert_array_equal(ours, expected)
    maxsim(vectors, weights, documents)  # the warning comes once


def test_what_is_no_library_is_refused(tmp_path: Path) -> None:
    (tmp_path / "_maxsim.so").write_text("text")
    with pytest.warns(UserWarning, match=r"can't be loaded \(.*install Resift again"):
        assert maxsim_library.open_kernel(tmp_path / "_maxsim.so") is None


def test_a_search_goes_on_with_one_sentence(tmp_path: Path) -> None:
    library = compiled(tmp_path, "maxsim.c", *CHANGES["maxsim.c"][0])
    code = (
        "import sys\nfrom pathlib import Path\nfrom resift.engine.native import maxsim_library\n"
        "maxsim_library.LIBRARY = Path(sys.argv.pop(1))\nfrom resift.cli.main import run\nrun()"
    )
    command = [sys.executable, "-c", code, str(library), "search", "who keeps the lamp", "tests/data/corpus", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and '"maxsim"' in done.stdout
    (line,) = done.stderr.splitlines()
    assert re.match(r"resift: .*_maxsim\.so " + REFUSAL, line)
