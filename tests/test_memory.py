"""Sizes as people write them, and what a process holds."""

import mmap
import sys
from pathlib import Path

import numpy as np
import pytest

from resift import InputError
from resift.machine import held, parse_size, resident


@pytest.mark.parametrize(("text", "size"), [("6GiB", 6 << 30), ("500MB", 500_000_000), ("1000", 1000), ("1.5k", 1500)])
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["six", "GiB", "6 elephants", "", "9" * 400])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(InputError, match="6GiB"):
        parse_size(text)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems don't tell")
def test_mapped_files_are_not_held(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones(1 << 23, np.float32))
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    whole, own = resident(), held()
    assert 0 < own <= whole
    assert mapped.sum() == 1 << 23  # its 32 MiB are read
    assert resident() - whole > 30 << 20
    assert held() - own < 8 << 20
    fresh = mmap.mmap(-1, 32 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)  # an array might lie in freed memory
    fresh.write(bytes(32 << 20))
    assert held() - own > 30 << 20
    fresh.close()
