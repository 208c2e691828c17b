"""How many threads are started: physical cores, within what a container may use."""

from pathlib import Path

import pytest

from resift.machine import _cores, cores


def machine(root: Path, siblings: list[str], files: dict[str, str]) -> Path:
    topology = {f"sys/devices/system/cpu/cpu{i}/topology/thread_siblings_list": s for i, s in enumerate(siblings)}
    for name, text in {**topology, **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n")
    return root


def test_threads_of_one_core_count_once(tmp_path: Path) -> None:
    root = machine(tmp_path, ["0,4", "1,5", "2,6", "3,7", "0,4", "1,5", "2,6", "3,7"], {})
    assert _cores(frozenset(range(8)), root) == 4
    assert _cores(frozenset({0, 4}), root) == 1
    assert _cores(frozenset({0, 5}), root) == 2


OWN, GROUPS = "proc/self/cgroup", "sys/fs/cgroup"
FIRST = "4:memory:/a\n3:cpu,cpuacct:/docker/b"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 4),
        ({f"{GROUPS}/cpu.max": "max 100000"}, 4),
        ({f"{GROUPS}/cpu.max": "200000 100000"}, 2),
        ({f"{GROUPS}/cpu.max": "150000 100000"}, 2),
        ({f"{GROUPS}/cpu.max": "10000 100000"}, 1),
        ({f"{GROUPS}/cpu.max": "900000 100000"}, 4),
        ({OWN: "0::/a/b", f"{GROUPS}/a/b/cpu.max": "max 100000", f"{GROUPS}/a/cpu.max": "300000 100000"}, 3),
        ({OWN: FIRST, f"{GROUPS}/cpu/cpu.cfs_quota_us": "300000", f"{GROUPS}/cpu/cpu.cfs_period_us": "100000"}, 3),
        ({OWN: FIRST, f"{GROUPS}/cpu/docker/b/cpu.cfs_quota_us": "100000",
          f"{GROUPS}/cpu/docker/b/cpu.cfs_period_us": "100000"}, 1),
        ({OWN: FIRST, f"{GROUPS}/cpu/cpu.cfs_quota_us": "-1", f"{GROUPS}/cpu/cpu.cfs_period_us": "100000"}, 4),
        *(({f"{GROUPS}/cpu.max": odd}, 4) for odd in ("", "max", "1 0", "many 100000")),
    ],
)  # fmt: skip
def test_a_container_s_share_is_the_limit(tmp_path: Path, files: dict[str, str], expected: int) -> None:
    assert _cores(frozenset(range(4)), machine(tmp_path, ["0", "1", "2", "3"], files)) == expected


def test_a_system_that_tells_nothing_has_the_processors_it_names(tmp_path: Path) -> None:
    (tmp_path / OWN).mkdir(parents=True)  # can't be read as a file
    assert _cores(frozenset({0, 1, 2}), tmp_path) == 3
    assert cores() >= 1
