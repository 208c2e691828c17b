"""Tables at the widths of terminals: no word and no number is broken, whatever the width."""

import io
import os
import subprocess
import sys

import pytest
from rich.console import Console

from resift.cli.left_out import LeftOut
from resift.cli.show import print_explanation, print_rows, print_table
from resift.files import Skip, Skipped
from resift.models.registry import rows
from resift.types import Candidate, Document, Query, Ranking, Score, ScoreKind, Signal, Step, Trace

HEADINGS = ("name", "languages", "window", "licence")
ROWS = [["owner/a-model-with-a-rather-long-name", "en fr de", "8192", "apache-2.0 on a base"], ["b", "en", "512", ""]]


def printed(width: int, headings: tuple[str, ...] = HEADINGS) -> list[str]:
    out = io.StringIO()
    print_rows(Console(file=out, width=width), headings, ROWS)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_a_table_that_fits_is_a_table() -> None:
    heading, first, second = printed(120)
    assert heading.split() == list(HEADINGS)
    assert first.index("8192") == second.index("512") == heading.index("window")


def test_a_table_that_does_not_fit_becomes_lines() -> None:
    assert printed(40) == [
        "owner/a-model-with-a-rather-long-name",
        "  languages en fr de, window 8192,",
        "  licence apache-2.0 on a base",
        "b",
        "  languages en, window 512",
    ]


@pytest.mark.parametrize("width", [10, 80, 120, 200])
def test_models_are_readable_at_any_width(width: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "resift.cli.main", "models"], capture_output=True, text=True,
        env=os.environ | {"COLUMNS": str(width)}, check=True,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    known = [*rows().values()]
    for row in known:
        assert any(line.startswith(row.id) for line in lines), row.id
    words = {w.strip(",") for w in done.stdout.split()}
    assert {"languages", "parameters", "commercial", "licence", "8192", "logit"} <= words
    longest = max(len(row.id) for row in known)
    assert width < 80 or max(map(len, lines)) <= max(width, longest)


@pytest.mark.parametrize("width", [40, 80, 200])
def test_scores_and_stages_are_not_broken(width: int) -> None:
    score = Score(-12.345, ScoreKind.MAXSIM_SUM, "a-model-with-a-long-name", 1)
    signals = tuple(Signal(f"retriever-number-{i}", i, Score(0.5, ScoreKind.COSINE, "x")) for i in range(1, 6))
    ranking = Ranking(
        Query("lamp"),
        (Candidate(Document("an-id", "a lamp"), score, signals),),
        Trace((Step("a-model-with-a-long-name", 1234.5, 100, 12345, 100, 100),), True),
    )
    out = io.StringIO()
    print_table(ranking, Console(file=out, width=width))
    print_explanation(ranking, Console(file=out, width=width))
    for whole in ("-12.345 maxsim_sum", "a-model-with-a-long-name", "1234.5", "12345", "retriever-number-5"):
        assert whole in out.getvalue()
    assert out.getvalue().count("(0.500 cosine)") == 5


def test_what_was_left_out_is_counted_by_its_kind() -> None:
    """A message about a file may hold the words of another kind."""
    lines: list[str] = []
    left_out = LeftOut()
    left_out.add(Skipped("a.png", "type .png is not read", Skip.TYPE))
    left_out.add(Skipped("b.jsonl", "type int in line 1 is not read", Skip.CONTENT))
    left_out.report(lines.append)
    assert lines == [
        "left out 1 files of types that are not read, most of them .png",
        "skipped b.jsonl: type int in line 1 is not read",
    ]
