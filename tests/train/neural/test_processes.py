"""Two processes of torchrun train one model, write it once, and stop together."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from resift.errors import InputError
from resift.train.neural.plan import make_plan
from resift.train.neural.settings import TrainingSettings
from tests.train.neural import tiny


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.tiny_bert(tmp_path_factory.mktemp("bert"))


def settings(base: Path) -> TrainingSettings:
    return TrainingSettings(str(base), losses=("bce",), candidates="given", epochs=2.0)


def torchrun(data: Path, base: Path, out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m",
        "resift.cli.main", "train", "reranker", data, "--base", base, "--output", out, "--candidates", "given",
        "--epochs", "4", "--loss", "group-softmax", "--learning-rate", "1e-3", "--evaluations", "4", "--json", *more,
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*map(str, command)], capture_output=True, text=True, timeout=240, env=environment, check=False
    )


def test_two_processes_write_one_model(base: Path, tmp_path: Path) -> None:
    data = tmp_path / "data.jsonl"
    rows = [
        {"query": q.query.text, "documents": [c.document.text for c in q.candidates],
         "labels": [c.label for c in q.candidates]}
        for q in tiny.examples(80).queries
    ]  # fmt: skip
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = torchrun(data, base, tmp_path / "out", "--interpolate", "1")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)  # one report, not two
    assert report["out"] and max(report["reload_delta"].values()) < 1e-4
    assert report["comparisons"][0]["trained"] > report["comparisons"][0]["base"]
    assert report["steps"] == report["planned_steps"] and not report["stopped"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.jsonl", "out"]
    stopped = torchrun(data, base, tmp_path / "no", "--learning-rate", "0", "--patience", "1", "--force")
    assert stopped.returncode == 0, stopped.stderr
    report = json.loads(stopped.stdout)
    assert report["stopped"] == "no progress at 1 evaluations in a row" and report["steps"] < report["planned_steps"]


def test_a_batch_is_shared_out(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = make_plan([tiny.examples(80)], settings(base))
    rows, steps = one.sets[0].rows_per_batch, one.steps
    for name, value in (("LOCAL_RANK", "0"), ("RANK", "0"), ("WORLD_SIZE", "2")):
        monkeypatch.setenv(name, value)
    two = make_plan([tiny.examples(80)], settings(base))
    assert two.sets[0].rows_per_batch * 2 == rows and two.steps == steps
    with pytest.raises(InputError, match="one process alone mines"):
        make_plan([tiny.examples(80)], dataclasses.replace(settings(base), remine=1))
