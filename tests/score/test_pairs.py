"""How work is cut and overlapped."""

import subprocess
import sys
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resift.score.pairs import overlapping, slices


@given(st.lists(st.integers(1, 1 << 21), max_size=40), st.sampled_from([100, 1 << 16, 1 << 20]))
def test_slices_are_neighbours_and_small(sizes: list[int], most: int) -> None:
    found = list(slices(sizes, most))
    assert [i for part in found for i in part] == list(range(len(sizes)))
    assert all(sum(sizes[i] for i in part) <= most or len(part) == 1 for part in found)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(), max_size=9))
def test_overlapping_keeps_order_and_holds_few(numbers: list[int]) -> None:
    held, most = 0, 0

    def prepare(n: int) -> int:
        nonlocal held, most
        held += 1
        most = max(most, held)
        return n + 1

    def finish(ready: int, computed: int) -> tuple[int, int]:
        nonlocal held
        held -= 1
        return ready, computed

    found = list(overlapping(numbers, prepare, lambda ready: ready * 2, finish))
    assert found == [(n + 1, (n + 1) * 2) for n in numbers]
    assert most <= 2 and held == 0


def test_one_is_prepared_while_another_is_computed() -> None:
    computing = threading.Event()
    seen = []

    def prepare(n: int) -> int:
        if n:
            seen.append(computing.wait(5))
        return n

    def compute(n: int) -> int:
        computing.set()
        time.sleep(0.05)
        return n

    assert list(overlapping([0, 1], prepare, compute, lambda _, n: n)) == [0, 1]
    assert seen == [True]


def test_after_an_error_nothing_more_is_begun() -> None:
    begun = []

    def compute(n: int) -> int:
        begun.append(n)
        raise ValueError(f"part {n}")

    for parts in ([0], [0, 1, 2]):
        begun.clear()
        with pytest.raises(ValueError, match="part 0"):
            list(overlapping(parts, int, compute, lambda _, n: n))
        assert begun == [0]


def test_a_part_that_hangs_does_not_keep_the_process() -> None:
    code = (
        "import threading, time; from resift.score.pairs import overlapping\n"
        "hangs = threading.Event()\n"
        "work = overlapping([0, 1], int, lambda n: hangs.set() or time.sleep(600), lambda _, n: n)\n"
        "threading.Thread(target=list, args=(work,), daemon=True).start(); hangs.wait()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
