"""Keeps beside the checkpoints what they were trained by, so that no other training goes on from them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

from resift import atomic
from resift.errors import BrokenModel, InputError
from resift.train.neural import processes
from resift.train.neural.plan import Plan

FILE = "training.json"
# Settings that change nothing of the steps: what is done with their weights, and when there are enough of them.
_OTHER = ("resume", "force", "merge", "interpolate", "patience")


def keep(plan: Plan, folder: Path) -> None:
    """Empty the folder of the checkpoints, and write into it what the training is.

    Raises:
        InputError: the folder can't be written.

    """
    facts = json.dumps(_facts(plan), indent=1)
    shutil.rmtree(folder, ignore_errors=True)
    with atomic.blaming(folder):
        folder.mkdir(parents=True, exist_ok=True)
    atomic.write(folder / FILE, [facts.encode() + b"\n"])


def check(plan: Plan, folder: Path) -> None:
    """Refuse to go on from the checkpoints of another training.

    Raises:
        InputError: its data or settings were others; the message names them.
        BrokenModel: what it was can't be read.

    """
    path, facts = folder / FILE, _facts(plan)
    try:
        record: dict[str, Any] = dict(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError) as error:
        message = f"{path} can't be read ({error}); train without --resume, which begins anew"
        raise BrokenModel(message) from error
    changes = [name for name in {**facts, **record} if facts.get(name) != record.get(name)]
    if changes:
        raise InputError(
            f"{folder} has checkpoints of a training with other {', '.join(changes)}; --resume goes on with the same "
            "data and settings, and without it training begins anew"
        )


def _facts(plan: Plan) -> dict[str, Any]:
    """Settings, and digests of what trains, of what measures, and of what is mined in."""
    settings = {name: value for name, value in asdict(plan.settings).items() if name not in _OTHER}
    lists = [each for each in (plan.dev, plan.test, plan.general_dev, plan.general_test) if each]
    corpora = [each.examples.corpus or () for each in plan.sets] if plan.settings.remine else []
    facts = {
        **settings,
        "data": _digest(_values(plan)),
        "measured lists": _digest((item.query, item.documents, item.grades) for each in lists for item in each.lists),
        "corpus": _digest((d.id, d.title, d.text) for corpus in corpora for d in corpus),
        "processes": processes.count(),
    }
    values: dict[str, Any] = json.loads(json.dumps(facts, default=str))
    return values


def _values(plan: Plan) -> Iterator[object]:
    """All that the losses are told, number by number and text by text."""
    for each in plan.sets:
        yield each.loss.name
        for name, column in each.rows.columns.items():
            yield name
            yield from column


def _digest(parts: Iterable[object]) -> str:
    hashed = sha256()
    for part in parts:
        hashed.update(repr(part).encode("utf-8", "surrogatepass") + b"\0")
    return hashed.hexdigest()
