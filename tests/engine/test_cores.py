"""How many threads are started: physical cores, within what a container may use."""

from pathlib import Path

import pytest

from resift.engine.native import _cores, cores


def machine(root: Path, siblings: list[str], **groups: str) -> Path:
    for cpu, text in enumerate(siblings):
        folder = root / f"devices/system/cpu/cpu{cpu}/topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(text + "\n")
    for name, text in groups.items():
        path = root / "fs/cgroup" / name.replace("__", "/").replace("_max", ".max").replace("cfs", "cpu.cfs")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


def test_threads_of_one_core_count_once(tmp_path: Path) -> None:
    root = machine(tmp_path, ["0,4", "1,5", "2,6", "3,7", "0,4", "1,5", "2,6", "3,7"])
    assert _cores(frozenset(range(8)), root) == 4
    assert _cores(frozenset({0, 4}), root) == 1
    assert _cores(frozenset({0, 5}), root) == 2


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ({"cpu_max": "max 100000"}, 4), ({"cpu_max": "200000 100000"}, 2), ({"cpu_max": "150000 100000"}, 2),
        ({"cpu_max": "10000 100000"}, 1), ({"cpu_max": "900000 100000"}, 4),
        ({"cpu__cfs_quota_us": "300000", "cpu__cfs_period_us": "100000"}, 3),
        ({"cpu__cfs_quota_us": "-1", "cpu__cfs_period_us": "100000"}, 4), ({}, 4),
    ],
)  # fmt: skip
def test_a_container_s_share_is_the_limit(tmp_path: Path, groups: dict[str, str], expected: int) -> None:
    assert _cores(frozenset(range(4)), machine(tmp_path, ["0", "1", "2", "3"], **groups)) == expected


def test_a_system_without_sysfs_has_the_processors_it_names(tmp_path: Path) -> None:
    assert _cores(frozenset({0, 1, 2}), tmp_path) == 3
    assert cores() >= 1
