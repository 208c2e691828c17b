"""What the computer is: sizes and memory, cores within a container's share, and the level of RESIFT_CPU."""

import json
import mmap
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from resift import InputError
from resift.machine import (
    LEVELS,
    VARIABLE,
    _cores,
    cores,
    features,
    has_amx,
    has_bf16,
    has_vnni,
    held,
    levels,
    parse_size,
    resident,
)

ROOT = Path(__file__).parent.parent


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
    whole, private = resident(), held()
    assert 0 < private <= whole
    assert mapped.sum() == 1 << 23  # its 32 MiB are read
    assert resident() - whole > 30 << 20
    assert held() - private < 8 << 20
    fresh = mmap.mmap(-1, 32 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)  # an array might lie in freed memory
    fresh.write(bytes(32 << 20))
    assert held() - private > 30 << 20
    fresh.close()


# --- cores -----------------------------------------------------------------------------------------------------------


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


GROUP, GROUPS = "proc/self/cgroup", "sys/fs/cgroup"
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
        ({GROUP: "0::/a/b", f"{GROUPS}/a/b/cpu.max": "max 100000", f"{GROUPS}/a/cpu.max": "300000 100000"}, 3),
        ({GROUP: FIRST, f"{GROUPS}/cpu/cpu.cfs_quota_us": "300000", f"{GROUPS}/cpu/cpu.cfs_period_us": "100000"}, 3),
        ({GROUP: FIRST, f"{GROUPS}/cpu/docker/b/cpu.cfs_quota_us": "100000",
          f"{GROUPS}/cpu/docker/b/cpu.cfs_period_us": "100000"}, 1),
        ({GROUP: FIRST, f"{GROUPS}/cpu/cpu.cfs_quota_us": "-1", f"{GROUPS}/cpu/cpu.cfs_period_us": "100000"}, 4),
        *(({f"{GROUPS}/cpu.max": odd}, 4) for odd in ("", "max", "1 0", "many 100000")),
    ],
)  # fmt: skip
def test_a_container_s_share_is_the_limit(tmp_path: Path, files: dict[str, str], expected: int) -> None:
    assert _cores(frozenset(range(4)), machine(tmp_path, ["0", "1", "2", "3"], files)) == expected


def test_a_system_that_tells_nothing_has_the_processors_it_names(tmp_path: Path) -> None:
    (tmp_path / GROUP).mkdir(parents=True)  # can't be read as a file
    assert _cores(frozenset({0, 1, 2}), tmp_path) == 3
    assert cores() >= 1


# --- RESIFT_CPU ------------------------------------------------------------------------------------------------------

# What each level adds that a caller asks for: VNNI, bf16, tiles.
ADDS = {"avx2": [0, 0, 0], "avx512": [0, 0, 0], "vnni": [1, 0, 0], "bf16": [1, 1, 0], "amx": [1, 1, 1]}
FLAGS = frozenset(flag for flags, _ in LEVELS.values() for flag in flags) | {"sse4_2", "avx_vnni", "amx_fp16"}


@pytest.fixture
def everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor that has every level."""
    monkeypatch.setattr("resift.machine._all_flags", lambda: FLAGS)


@pytest.mark.usefixtures("everything")
@pytest.mark.parametrize("level", LEVELS)
def test_a_level_is_all_that_the_processor_has(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, level)
    assert [has_vnni(), has_bf16(), has_amx()] == ADDS[level]
    below = list(LEVELS)[: list(LEVELS).index(level) + 1]
    assert features() == {"sse4_2"} | {flag for name in below for flag in LEVELS[name][0]}
    assert levels() == list(LEVELS)  # what it has stays known


@pytest.mark.usefixtures("everything")
def test_without_a_level_it_has_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert features() == FLAGS
    monkeypatch.setenv(VARIABLE, "")
    assert features() == FLAGS


PROBE = """
import json
import numpy as np
from resift.engine import openvino
from resift.engine.native import encoder_library, maxsim_library
op = openvino.openvino_ops()
x = op.parameter([-1, 256], np.float32, name="x")
graph = openvino.openvino_model([op.exp(op.mvn(x, op.constant(np.array([1])), True, 1e-5, "inside_sqrt"))], [x])
model = openvino._core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
kinds = [node.get_rt_info()["primitiveType"].astype(str) for node in model.get_runtime_model().get_ops()]
kernel = maxsim_library.kernel()
print(json.dumps({
    "maxsim": kernel and kernel.level, "encoder": encoder_library.available(), "float": openvino.fastest_float(),
    "int8": openvino.has_int8(), "avx2": any("avx2" in kind for kind in kinds),
}))
"""


@pytest.mark.parametrize("level", LEVELS)
def test_kernels_keep_to_the_level(level: str, tmp_path: Path) -> None:
    if level not in levels():
        pytest.skip(f"the processor has no {level}")
    environment = os.environ | {VARIABLE: level, "RESIFT_CACHE": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", PROBE], env=environment, capture_output=True, text=True, check=True)
    choices = json.loads(done.stdout)
    vnni, bf16, amx = ADDS[level]
    assert choices["maxsim"] in (None, 3 if vnni else 2)
    assert not choices["encoder"] or bf16
    assert choices["float"] == ("bf16" if bf16 else "f32")
    assert choices["int8"] == (vnni and not amx)
    assert choices["avx2"] == (level == "avx2")


def resift(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {VARIABLE: "fast"}
    command = [sys.executable, "-m", "resift.cli.main", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "arguments",
    [("search", "lamp", "tests/data/corpus"), ("models",), ("doctor", "resift-mini-en"), ("bench",), ("serve",)],
    ids=lambda arguments: arguments[0],
)
def test_a_level_that_is_none_is_refused_in_one_sentence(arguments: tuple[str, ...]) -> None:
    done = resift(*arguments)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == "resift: RESIFT_CPU is one of avx2, avx512, vnni, bf16, amx; not 'fast'\n"


@pytest.mark.parametrize("arguments", [("--help",), ("search", "--help"), ("--version",)])
def test_help_is_printed_whatever_the_level_is(arguments: tuple[str, ...]) -> None:
    done = resift(*arguments)
    assert done.returncode == 0 and not done.stderr
