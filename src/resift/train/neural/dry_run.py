"""What a training would do: the plan, three examples as the model sees them, one evaluation, one step, the cost."""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import set_seed

from resift.train.neural.base_model import precision_of
from resift.train.neural.evaluator import ListEvaluator
from resift.train.neural.guard import Guard
from resift.train.neural.mixing import shares_to_try
from resift.train.neural.plan import Plan
from resift.train.neural.run import make_trainer
from resift.train.neural.suspicions import suspicions
from resift.train.neural.trainable import BaseModel, trainable_of

_SHOWN = 3
_ADAM = 8  # bytes of the optimizer for each number that is trained


@dataclass(frozen=True, slots=True)
class SeenExample:
    """One pair as the model sees it.

    Attributes:
        text: its tokens at the seams, with … where some are not shown.
        tokens: how many the model reads.
        cut: how many tokens were cut off, of query and document together.
        value: what the loss is told of it.

    """

    text: str
    tokens: int
    cut: int
    value: Any


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a training would do.

    Attributes:
        sets: of each data set its name, loss and reason, and counts.
        examples: three of each data set.
        notes: what is left out, and what looks wrong.
        held_out: queries that choose, and that are reported.
        first_stage: where the lists come from on which the model is measured.
        before: measures of the first stage, by the task's name for it, and of the base, on dev.
        loss: of the one step.
        steps: how many there would be.
        evaluations: how often lists of the size of dev would be scored, those of mixed weights and test among them.
        step_seconds, evaluation_seconds: how long one takes.
        seconds: of the whole training, about.
        memory_gb: the most that it would hold, about.
        trained, parameters: numbers that would be trained, and all of them.
        precision: of matrix products.

    """

    sets: tuple[dict[str, Any], ...]
    examples: tuple[SeenExample, ...]
    notes: tuple[str, ...]
    held_out: tuple[int, int]
    first_stage: str
    before: dict[str, dict[str, float]]
    loss: float
    steps: int
    evaluations: int
    step_seconds: float
    evaluation_seconds: float
    seconds: float
    memory_gb: float
    trained: int
    parameters: int
    precision: str

    def as_json(self) -> dict[str, Any]:
        """Everything as JSON."""
        return asdict(self)


def dry_run(plan: Plan) -> DryRun:
    """Evaluate once and make one step, in a folder that goes again.

    Raises:
        ModelError: the base can't be trained.

    """
    precision = precision_of(plan.settings.precision)
    set_seed(plan.settings.seed)
    base = trainable_of(plan.task).open(plan, precision)
    notes = [*plan.notes, *base.notes]
    if base.fresh_head:
        notes.append("the base has no head for scores: its head is new, and its own figures are chance")
    else:
        notes += [sign.message for each in plan.sets for sign in suspicions(base, each.queries)]
    evaluator = ListEvaluator(plan.dev, plan.measures, base.kind, precision == "bf16")
    began = time.perf_counter()
    means, health = evaluator.examine(base.model)
    evaluation_seconds = time.perf_counter() - began
    loss, step_seconds = _one_step(plan, base, Guard(evaluator, health, 1), evaluator, precision)
    evaluations = _evaluations(plan, base)
    trained = sum(p.numel() for p in base.model.parameters() if p.requires_grad)
    return DryRun(
        sets=tuple(_set_entries(plan)),
        examples=tuple(_examples(plan, base)),
        notes=tuple(notes),
        held_out=(len(plan.dev.lists), len(plan.test.lists)),
        first_stage=plan.dev.first_stage,
        before={
            plan.task.without: plan.measures.means(plan.dev),
            "base": means,
        },
        loss=loss,
        steps=plan.steps,
        evaluations=evaluations,
        step_seconds=step_seconds,
        evaluation_seconds=evaluation_seconds,
        seconds=plan.steps * step_seconds + evaluations * evaluation_seconds,
        memory_gb=(_peak_bytes(base) + _ADAM * trained) / 1e9,
        trained=trained,
        parameters=sum(p.numel() for p in base.model.parameters()),
        precision=precision,
    )


def _evaluations(plan: Plan, base: BaseModel) -> int:
    """How often lists of the size of dev are scored, about: before, meanwhile, for each mixture, and after."""
    mixtures = len(shares_to_try(plan, base))
    passes = [(plan.dev, 1 + plan.steps // plan.every + mixtures), (plan.test, 2)]
    passes += [(plan.general_dev, mixtures)] if plan.general_dev else []
    passes += [(plan.general_test, 2)] if plan.general_test else []
    pairs = sum(len(plan.measures.scored_pairs(lists)) * times for lists, times in passes)
    return round(pairs / max(1, len(plan.measures.scored_pairs(plan.dev))))


def _set_entries(plan: Plan) -> list[dict[str, Any]]:
    return [
        {
            "name": each.name, "loss": each.loss.name, "reason": each.reason, "labels": str(each.facts.kind),
            "queries": len(each.queries), "candidates": each.facts.candidates, "rows": each.rows.count,
            "pairs": each.rows.pairs, "rows_per_batch": each.rows_per_batch,
        }
        for each in plan.sets
    ]  # fmt: skip


def _one_step(
    plan: Plan, base: BaseModel, guard: Guard, evaluator: ListEvaluator, precision: str
) -> tuple[float, float]:
    """The loss of one batch, and the seconds of a step of as many batches as the gradients are accumulated over.

    A first pass warms up, so that neither reading of pages nor the making of kernels is counted.
    """
    with tempfile.TemporaryDirectory() as folder:
        trainer = make_trainer(plan, base, evaluator, guard, Path(folder), precision)
        loader = iter(trainer.get_train_dataloader())
        batch = next(loader)
        loss, seconds = 0.0, 0.0
        base.model.train()
        for _ in range(2):
            began = time.perf_counter()
            with torch.autocast(base.model.device.type, torch.bfloat16, enabled=precision == "bf16"):
                value = trainer.compute_loss(base.model, dict(batch))
            value.backward()
            loss, seconds = float(value.detach()), time.perf_counter() - began
        base.model.zero_grad()
    return loss, seconds * plan.settings.accumulation


def _peak_bytes(base: BaseModel) -> int:
    if base.model.device.type == "cuda":
        return int(torch.cuda.max_memory_allocated())
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _examples(plan: Plan, base: BaseModel) -> list[SeenExample]:
    """Three pairs of each data set, the first three distinct ones of its rows."""
    seen = []
    for each in plan.sets:
        pairs: dict[tuple[str, str], Any] = {}
        for row in zip(*each.rows.columns.values(), strict=True):
            entries = dict(zip(each.rows.columns, row, strict=True))
            for text, value in _documents(entries):
                pairs.setdefault((entries["query"], text), value)
            if len(pairs) >= _SHOWN:
                break
        seen += [_seen_example(base, pair, value) for pair, value in list(pairs.items())[:_SHOWN]]
    return seen


def _documents(row: dict[str, Any]) -> list[tuple[str, Any]]:
    """Documents of a row, with what the loss is told of each."""
    label = row.get("label")
    if "documents" in row:
        return list(zip(row["documents"], label or (), strict=True))
    if "document" in row:
        return [(row["document"], label)]
    names = [name for name in row if name not in ("query", "label")]
    values = label if isinstance(label, list) else ["positive", *["negative"] * (len(names) - 1)]
    return [(row[name], value) for name, value in zip(names, values, strict=True)]


def _seen_example(base: BaseModel, pair: tuple[str, str], value: Any) -> SeenExample:  # noqa: ANN401
    seen = base.kind.seen(base.model, pair)
    return SeenExample(seen.text, seen.tokens, seen.cut, value)
