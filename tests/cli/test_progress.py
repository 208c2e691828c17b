"""What is told of a long run's pace."""

from itertools import pairwise
from pathlib import Path

import pytest

from resift import Index
from resift.cli.progress import Pace, share_of_run
from resift.cli.search import hint


def test_the_time_left_follows_the_share_done() -> None:
    pace = Pace()
    pace.at(0.0, 0, 0.0)
    assert pace.at(10.0, 500, 0.25) == "50/s, 25%, about 30 s left"


def test_what_an_earlier_run_had_done_is_forgotten_after_half_a_minute() -> None:
    pace = Pace()
    pace.at(0.0, 0, 0.0)
    pace.at(0.1, 5000, 0.5)  # taken over in no time
    for second in range(1, 41):
        said = pace.at(float(second), 5000 + 10 * second, 0.5 + second / 1000)
    assert said == "10/s, 54%, about 8 min left"


def test_no_time_is_told_where_the_share_is_unknown() -> None:
    pace = Pace()
    pace.at(0.0, 0, 0.0)
    assert pace.at(2.0, 10, 0.0) == "5/s"


def test_a_step_without_a_count_tells_no_speed() -> None:
    pace = Pace()
    assert pace.at(0.0, 100, 0.0) == pace.at(3.0, 100, 0.0) == ""


def test_the_share_is_of_the_whole_and_never_goes_back() -> None:
    pace, told = Pace(), []
    steps = [("files looked at", 0.0), ("passages", 0.5), ("passages", 1.0), ("passages' words", 0.5)]
    steps += [("passages' words", 1.0), ("words listed", 0.07), ("words listed", 1.0), ("vectors in the graph", 0.0)]
    for second, (step, share) in enumerate(steps):
        pace.new_step()
        told.append(pace.at(float(second), 10, share_of_run(step, share)))
    shares = [int(line.split("%")[0]) for line in told if line]
    assert shares == sorted(shares) and shares[0] == 35 and shares[-1] == 100
    assert told[0] == told[-1] == ""  # neither a list of files nor a graph tells how far it is


@pytest.mark.parametrize("tensors", [False, True])
def test_passages_count_once_they_are_encoded(tmp_path: Path, tensors: bool) -> None:
    lines = "".join(f'{{"text": "Lamp {i} shines over the sea."}}\n' for i in range(300))
    (tmp_path / "a.jsonl").write_text(lines)
    told: list[tuple[str, int, float]] = []
    Index.build(tmp_path / "i", tmp_path / "a.jsonl", tensors=tensors, on_progress=lambda *step: told.append(step))
    passages = [(n, share) for step, n, share in told if step == "passages"]
    assert passages[0] == (0, 0.0) and passages[-1] == (300, 1.0)
    assert all(a <= b for a, b in pairwise(passages))
    assert [n for n, _ in passages if 0 < n < 300] == ([128, 256] if tensors else [])


def test_a_slow_search_tells_once_what_is_faster() -> None:
    folder = Path("my.index")
    assert hint(4.9, 100, None, False) == ""
    assert hint(9.0, 100, None, False).startswith(
        "9 s; faster: --depth 20 (reranks fewer), or `resift index PATH… -o DIR"
    )
    assert hint(9.0, 100, folder, False).endswith("or `resift index PATH… -o my.index --tensors`, once")
    assert hint(9.0, 100, folder, True) == "9 s; faster: --depth 20 (reranks fewer)"
    assert hint(9.0, 20, folder, True) == hint(9.0, 0, folder, False) == ""
