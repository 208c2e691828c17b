"""Keeps beside the checkpoints what they were trained by, so that no other training goes on from them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from resift import atomic
from resift.errors import BrokenModel, InputError
from resift.score.cache import digest
from resift.train.neural import processes
from resift.train.neural.plan import Plan, TrainingSet

FILE = "training.json"
# Settings that change nothing of the steps: what is done with their weights, and when there are enough of them.
_OTHER = ("resume", "force", "merge", "interpolate", "patience")


def keep(plan: Plan, folder: Path) -> None:
    """Write what a training is into the folder of its checkpoints."""
    with atomic.blaming(folder):
        folder.mkdir(parents=True, exist_ok=True)
    atomic.write(folder / FILE, [json.dumps(_facts(plan), indent=1).encode() + b"\n"])


def check(plan: Plan, folder: Path) -> None:
    """Refuse to go on from the checkpoints of another training.

    Raises:
        InputError: its data or settings were others; the message names them.
        BrokenModel: what it was can't be read.

    """
    path = folder / FILE
    try:
        record = json.loads(path.read_text("utf-8"))
        changes = [name for name, value in _facts(plan).items() if record[name] != value]
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"{path} can't be read ({error}); train without --resume, which begins anew"
        raise BrokenModel(message) from error
    if changes:
        raise InputError(
            f"{folder} has checkpoints of a training with other {', '.join(changes)}; --resume goes on with the same "
            "data and settings, and without it training begins anew"
        )


def _facts(plan: Plan) -> dict[str, Any]:
    settings = {name: value for name, value in asdict(plan.settings).items() if name not in _OTHER}
    data = [digest(each.loss.name, *_texts(each)).hex() for each in plan.sets]
    facts: dict[str, Any] = json.loads(json.dumps({**settings, "data": data, "processes": processes.count()}))
    return facts


def _texts(each: TrainingSet) -> Iterator[str]:
    """All that a data set trains with."""
    for name, values in each.rows.columns.items():
        yield name
        yield from map(repr, values)
