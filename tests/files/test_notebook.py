import json
from pathlib import Path
from typing import Any

import pytest

from resift import InputError, files


def write(path: Path, *cells: tuple[str, Any]) -> Path:
    content = [{"cell_type": kind, "source": source, "outputs": [{"text": "output"}]} for kind, source in cells]
    path.write_text(json.dumps({"nbformat": 4, "cells": content}))
    return path


def test_cells_stand_under_the_headings_above_them(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.ipynb",
        ("markdown", ["# Boats\n", "\n", "All of them."]),
        ("markdown", "## Loading"),
        ("code", ["# not a heading\n", "boats = load()"]),
        ("raw", "raw text"),
        ("code", ""),
        ("code", "boats.plot()"),
        ("markdown", "# Ends\n## Here"),
    )
    found = list(files.read_file(path))
    assert [(d.metadata["cell"], d.title, d.text) for d in found] == [
        (1, "Boats", "All of them."),
        (3, "Boats > Loading", "# not a heading\nboats = load()"),
        (6, "Boats > Loading", "boats.plot()"),
        (7, "Ends", "Here"),
    ]
    assert found[0].metadata == {"path": str(path), "cell": 1}
    assert len({d.id for d in found}) == 4


def test_a_heading_is_said_once(tmp_path: Path) -> None:
    path = write(tmp_path / "a.ipynb", ("markdown", "# A\n## B\n"), ("markdown", "## C\ntext"), ("code", "x"))
    found = [(d.title, d.text) for d in files.read_file(path)]
    assert found == [("A", "B"), ("A > C", "text"), ("A > C", "x")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "broken notebook"),
        ('{"cells": [', "broken notebook"),
        ("[" * 100_000, "broken notebook"),
        ("[]", "format 4"),
        ('{"worksheets": []}', "format 4"),
        ('{"cells": [3]}', "cell 1 has no source"),
        ('{"cells": [{"cell_type": "code", "source": [3]}]}', "cell 1 has no source"),
    ],
)
def test_bad_files_get_a_sentence(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "bad.ipynb").write_text(content)
    with pytest.raises(InputError, match=message):
        list(files.read_file(tmp_path / "bad.ipynb"))
