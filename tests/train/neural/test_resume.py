"""A training that was interrupted and goes on ends with the weights of one that was not."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from resift.errors import BrokenModel, InputError
from resift.train.neural import kept_plan, run
from resift.train.neural.plan import Plan, make_plan
from resift.train.neural.progress import ShownProgress
from resift.train.neural.report import TrainingReport
from resift.train.neural.run import train
from resift.train.neural.settings import TrainingSettings, checkpoints_of
from tests.train.neural import tiny

KINDS = {
    "reranker": {"losses": ("bce",), "candidates": "given"},
    "reranker of lists": {"losses": ("group-softmax",), "candidates": "given", "accumulation": 2},
    "reranker with adapters": {"losses": ("bce",), "candidates": "given", "lora": 2, "learning_rate": 1e-2},
    "late": {"task": "late", "losses": ("mnrl",), "dims": 16},
    "embedder": {"task": "embedder", "losses": ("mnrl",)},
}


class Interrupted(Exception):
    """Stands for a crash."""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.tiny_bert(tmp_path_factory.mktemp("bert"), head=False)


def plan_of(base: Path, **changes: Any) -> Plan:
    values = {
        "learning_rate": 1e-3, "epochs": 4.0, "evaluations": 6, "patience": 20, "precision": "f32", "batch": 32,
        "interpolate": 1.0, "force": True, **changes,
    }  # fmt: skip
    return make_plan([tiny.examples(80)], TrainingSettings(str(base), **values))


def interrupted_at(step: int, plan: Plan, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Train until a step, and fail there."""

    def interrupt(self: object, args: object, state: Any, control: object, **kwargs: object) -> None:
        if state.global_step == step:
            raise Interrupted

    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(ShownProgress, "on_step_end", interrupt)
        train(plan, out)


def going_on(plan: Plan, out: Path) -> TrainingReport:
    """The same command with --resume."""
    return train(dataclasses.replace(plan, settings=dataclasses.replace(plan.settings, resume=True)), out)


def assert_equal_weights(first: Path, second: Path) -> None:
    files = sorted(path.relative_to(first) for path in first.rglob("*.safetensors"))
    assert files
    for name in files:
        before, after = load_file(first / name), load_file(second / name)
        for key, value in before.items():
            torch.testing.assert_close(after[key], value, atol=1e-6, rtol=0.0)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_those_of_an_uninterrupted_training(
    kind: str, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "load_state", lambda model, folder: None)  # what is written are the last weights
    plan = plan_of(base, **KINDS[kind])
    step = 3 * plan.steps // 4  # in an epoch after the first, past a checkpoint
    whole = train(plan, tmp_path / "whole")
    interrupted_at(step, plan, tmp_path / "again", monkeypatch)
    saved = max(int(path.name.split("-")[1]) for path in checkpoints_of(tmp_path / "again").glob("checkpoint-*"))
    assert 0 < saved < step
    again = going_on(plan, tmp_path / "again")
    assert (again.steps, again.best_step, again.dev) == (whole.steps, whole.best_step, whole.dev)
    assert_equal_weights(tmp_path / "whole", tmp_path / "again")


def test_no_other_training_goes_on_from_checkpoints(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(base, **KINDS["embedder"])
    interrupted_at(plan.every + 1, plan, tmp_path / "out", monkeypatch)
    with pytest.raises(InputError, match="a training with other learning_rate, warmup; --resume goes on"):
        going_on(plan_of(base, **KINDS["embedder"], warmup=0.2, learning_rate=1e-4), tmp_path / "out")
    with pytest.raises(InputError, match="with other data, measured lists;"):
        going_on(make_plan([tiny.examples(79)], plan.settings), tmp_path / "out")
    with pytest.raises(InputError, match="with other measured lists;"):
        going_on(dataclasses.replace(plan, dev=plan.test), tmp_path / "out")
    (checkpoints_of(tmp_path / "out") / kept_plan.FILE).write_text("{")
    with pytest.raises(BrokenModel, match="can't be read .* begins anew"):
        going_on(plan, tmp_path / "out")


def test_a_whole_number_of_numpy_is_a_setting(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_of(base, **KINDS["embedder"], batch=np.int64(32))
    interrupted_at(plan.every + 1, plan, tmp_path / "out", monkeypatch)
    assert going_on(plan, tmp_path / "out").steps == plan.steps


def test_patience_counts_what_was_measured_before_the_interruption(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No step changes anything, so that the second evaluation is the first without progress."""
    plan = plan_of(base, **KINDS["embedder"], learning_rate=0.0, patience=2)
    whole = train(plan, tmp_path / "whole")
    interrupted_at(2 * plan.every + 1, plan, tmp_path / "again", monkeypatch)
    again = going_on(plan, tmp_path / "again")
    assert whole.stopped == again.stopped == "no progress at 2 evaluations in a row"
    assert whole.steps == again.steps == 3 * plan.every


@pytest.mark.parametrize("patience", [20, 1])
def test_a_training_that_was_over_makes_no_more_steps(
    patience: int, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It made its last step, or was stopped early, and failed before the model was written."""

    def fail(*_: object) -> None:
        raise Interrupted

    plan = plan_of(base, **KINDS["embedder"], patience=patience, **({} if patience > 1 else {"learning_rate": 0.0}))
    whole = train(plan, tmp_path / "whole")
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(run, "_comparisons", fail)
        train(plan, tmp_path / "again")
    again = going_on(plan, tmp_path / "again")
    assert bool(whole.stopped) == (patience == 1)
    assert (again.steps, again.best_step, again.dev) == (whole.steps, whole.best_step, whole.dev)
    assert (again.stopped, again.alarm) == (whole.stopped, whole.alarm)
    assert_equal_weights(tmp_path / "whole", tmp_path / "again")
