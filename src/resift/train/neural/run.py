"""Trains a model: the base is scored first, the best checkpoint is taken, and what is worse is not written."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import set_seed
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_callback import TrainerCallback, TrainerState

from resift.errors import InputError
from resift.evaluate.statistics import Floats
from resift.train.neural import kept_plan, processes, saving
from resift.train.neural import report as reports
from resift.train.neural.base_model import precision_of, quiet
from resift.train.neural.evaluator import Health, ListEvaluator
from resift.train.neural.guard import Guard
from resift.train.neural.layerwise import LayerwiseCrossEncoder, measured_heads
from resift.train.neural.layerwise_loss import loss_of
from resift.train.neural.mixing import mix
from resift.train.neural.plan import Plan, TrainingSet
from resift.train.neural.progress import ShownProgress
from resift.train.neural.ranking_lists import RankingLists
from resift.train.neural.remining import Remining, RoundEnd
from resift.train.neural.report import (
    BASE,
    FIRST_STAGE,
    TRAINED,
    MiningRound,
    TrainingReport,
    compare,
    model_card,
)
from resift.train.neural.settings import checkpoints_of
from resift.train.neural.suspicions import suspicions
from resift.train.neural.trainable import BaseModel, trainable_of
from resift.train.neural.trainer import Guarded, arguments_of, load_state, state_of

Progress = Callable[[str, int, float], None]
_MOST_WEIGHT = 10.0  # of positives in binary cross-entropy, unless the settings say more

Values = Mapping[str, Floats]


@dataclass(frozen=True, slots=True)
class Before:
    """The base model and all that was measured of it."""

    model: BaseModel
    state: dict[str, Tensor]
    health: Health
    test: Values
    general: Values | None


@dataclass(frozen=True, slots=True)
class Trained:
    """How the training itself went."""

    guard: Guard
    rounds: tuple[MiningRound, ...]
    steps: int
    best_step: int
    dev: tuple[tuple[int, float], ...]
    seconds: float


def train(
    plan: Plan, out: Path, on_progress: Progress = lambda *_: None, callbacks: Sequence[TrainerCallback] = ()
) -> TrainingReport:
    """Train by a plan and write `out`, unless the model is worse than the base, or a reranker than none.

    Where torchrun starts several processes, they share each batch and all measure; the first one writes.

    Args:
        plan: see `make_plan`.
        out: a folder that does not exist, or is empty. Checkpoints lie beside it until it is written.
        on_progress: is called with the step's name, a count, and the share of the training that is done.
        callbacks: of the trainer of transformers, such as those that send its figures to a tracker.

    Raises:
        InputError: `out` can't be written, checkpoints to go on from are of another training, or the data look wrong
            and `force` is off.
        ModelError: the base can't be trained.

    """
    saving.check_place(out)
    settings = plan.settings
    if settings.resume and _last_step(checkpoints_of(out)):
        kept_plan.check(plan, checkpoints_of(out))
    precision = precision_of(settings.precision)
    set_seed(settings.seed)  # also of a new head
    base = trainable_of(plan.task).open(plan, precision)
    on_progress("base model scored", 0, 0.0)
    notes = [*plan.notes, *base.notes, *_checked(base, plan)]
    evaluator = ListEvaluator(plan.dev, plan.measures, base.kind, precision == "bf16")
    before = _before(base, plan, evaluator)
    callbacks = (ShownProgress(on_progress), *callbacks)
    trained = _trained(plan, before, evaluator, out, precision, on_progress, callbacks)
    alpha = mix(plan, base, before.state, precision)
    comparisons = _comparisons(plan, before)
    refusals = reports.refusals(comparisons[0], plan.task)
    report = TrainingReport(
        task=plan.task.name,
        base=settings.base,
        out=str(out) if not refusals or settings.force else "",
        fresh_head=base.fresh_head,
        sets=tuple(_set_entries(each) for each in plan.sets),
        steps=trained.steps,
        planned_steps=plan.steps,
        best_step=trained.best_step,
        stopped=trained.guard.reason,
        alarm=trained.guard.sick,
        alpha=alpha,
        dev=((0, before.health.value), *trained.dev),
        comparisons=tuple(comparisons),
        refusals=tuple(refusals),
        notes=tuple(notes),
        reload_delta={},
        seconds=round(trained.seconds, 1),
        precision=precision,
        rounds=trained.rounds,
        heads=_heads(plan, base),
    )
    if not report.out or not processes.is_first():
        return report
    on_progress("model written", 0, 1.0)
    return _written(report, plan, base, out)


def _written(report: TrainingReport, plan: Plan, base: BaseModel, out: Path) -> TrainingReport:
    """Write the model, with what loading it again changes; its checkpoints go."""
    texts = {"MODEL_CARD.md": model_card(report)}
    report = replace(report, reload_delta=saving.write(base, out, plan.test.pairs, texts, plan.settings.merge))
    shutil.rmtree(checkpoints_of(out), ignore_errors=True)
    return report


def _heads(plan: Plan, base: BaseModel) -> tuple[reports.HeadMeasures, ...]:
    """What each head of the trained model is worth on the held-out queries; none where it has one."""
    if not isinstance(base.model, LayerwiseCrossEncoder):
        return ()
    return tuple(measured_heads(base.model, plan.test, plan.measures))


def _set_entries(each: TrainingSet) -> dict[str, Any]:
    return {
        "name": each.name, "loss": each.loss.name, "reason": each.reason, "queries": len(each.queries),
        "rows": each.rows.count, "pairs": each.rows.pairs,
    }  # fmt: skip


def _checked(base: BaseModel, plan: Plan) -> list[str]:
    """What looks wrong with the data to the base model.

    Raises:
        InputError: labels look reversed, and `force` is off.

    """
    if base.fresh_head:
        return ["the base has no head for scores: its head is new, its own figures are chance, and labels go unchecked"]
    signs = [s for each in plan.sets for s in suspicions(base, each.queries, plan.settings.seed)]
    fatal = [sign.message for sign in signs if sign.fatal]
    if fatal and not plan.settings.force:
        raise InputError(fatal[0])
    return [sign.message for sign in signs]


def _before(base: BaseModel, plan: Plan, evaluator: ListEvaluator) -> Before:
    """Score the base before anything is learned; dev as in training, what is reported in f32."""
    _, health = evaluator.examine(base.model)
    evaluator.history.append((0, health))
    general = None if plan.general_test is None else _values(plan, base, plan.general_test)
    return Before(base, state_of(base.model), health, _values(plan, base, plan.test), general)


def _values(plan: Plan, base: BaseModel, lists: RankingLists) -> Values:
    """Measures of lists by the model as it is, in f32."""
    return ListEvaluator(lists, plan.measures, base.kind).values(base.model)


def loss_modules(plan: Plan, base: BaseModel) -> dict[str, torch.nn.Module]:
    """The loss of each data set."""
    modules = {}
    for name, each in zip(names_of(plan), plan.sets, strict=True):
        options = plan.settings.options
        if options.pos_weight is None:
            positives = max(1, each.facts.labelled - each.facts.negatives)
            options = replace(options, pos_weight=min(_MOST_WEIGHT, max(1.0, each.facts.negatives / positives)))
        modules[name] = loss_of(each.loss, base.model, options, each.facts.weighted > 0)
    return modules


def names_of(plan: Plan) -> list[str]:
    """A name for each data set, each once."""
    return [f"{number}-{each.name}" for number, each in enumerate(plan.sets, 1)]


def make_trainer(
    plan: Plan, base: BaseModel, evaluator: ListEvaluator, guard: Guard, folder: Path, precision: str,
    callbacks: Sequence[TrainerCallback] = (),
) -> Guarded:  # fmt: skip
    """The trainer of a plan; its checkpoints lie in `folder`."""
    from datasets import Dataset, disable_progress_bars
    from transformers.trainer_callback import PrinterCallback

    disable_progress_bars()
    names, modules = names_of(plan), loss_modules(plan, base)
    data = {name: Dataset.from_dict(each.rows.columns) for name, each in zip(names, plan.sets, strict=True)}
    sizes: dict[tuple[str, ...], int] = {}
    for each in plan.sets:
        columns = tuple(each.rows.columns)
        sizes[columns] = min(each.rows_per_batch, sizes.get(columns, each.rows_per_batch))
    single = len(names) == 1
    rounds = [RoundEnd(plan.round_steps)] if plan.round_steps else []
    base.model.model_card_data.widget = [{}]  # else a bar shows how examples are made for a card that nobody writes
    with quiet():
        trainer: Guarded = base.kind.trainer(
            sizes, guard, model=base.model, args=arguments_of(plan, base, folder, precision),
            train_dataset=data[names[0]] if single else data, loss=modules[names[0]] if single else modules,
            evaluator=evaluator, callbacks=[*rounds, *callbacks, guard],
        )  # fmt: skip
    trainer.remove_callback(PrinterCallback)
    return trainer


def _trained(
    plan: Plan,
    before: Before,
    evaluator: ListEvaluator,
    out: Path,
    precision: str,
    on_progress: Progress,
    callbacks: Sequence[TrainerCallback],
) -> Trained:
    """Run the training, and put the best weights into the model."""
    guard = Guard(evaluator, before.health, plan.settings.patience)
    folder, model = checkpoints_of(out), before.model
    step = _last_step(folder) if plan.settings.resume else 0
    if step:
        load_state(model.model, folder / f"checkpoint-{step}")  # negatives may be mined with it
    elif processes.is_first():
        kept_plan.keep(plan, folder)
    remining = Remining(plan, model, folder, precision == "bf16") if plan.round_steps else None
    began = time.perf_counter()
    while True:
        checkpoint = folder / f"checkpoint-{step}"
        if step:
            state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
            guard.restore(state)
        if step >= plan.steps or guard.reason:
            break  # it was ended before the model was written: the trainer would make one step more
        round_plan = replace(plan, sets=remining.sets_at(step, on_progress)) if remining else plan
        trainer = make_trainer(round_plan, model, evaluator, guard, folder, precision, callbacks)
        with quiet():
            trainer.train(resume_from_checkpoint=str(checkpoint) if step else None)
        trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)  # else it would go on in bf16
        state, step = trainer.state, int(trainer.state.global_step)
        if guard.reason or step >= plan.steps or not remining or step % plan.round_steps:
            break
    processes.wait()  # the first one may still be writing its last checkpoint
    best_step = int(state.best_global_step or 0)
    best = folder / f"checkpoint-{best_step}"
    if best_step and best.exists():
        load_state(before.model.model, best)
    else:
        before.model.model.load_state_dict(before.state)
        best_step = 0
    processes.wait()  # the first one will remove the checkpoints
    key = f"eval_{plan.measures.first}"
    dev = tuple((int(log["step"]), float(log[key])) for log in state.log_history if key in log)
    rounds = tuple(remining.rounds) if remining else ()
    return Trained(guard, rounds, step, best_step, dev, time.perf_counter() - began)


def _last_step(folder: Path) -> int:
    """The step of the last checkpoint in a folder; 0 without one."""
    return max((int(path.name.rpartition("-")[2]) for path in folder.glob("checkpoint-*")), default=0)


def _comparisons(plan: Plan, before: Before) -> list[reports.Comparison]:
    """Before and after: all measures on the held-out queries, then on the general ones."""
    sets: Sequence[tuple[RankingLists | None, Values | None]] = (
        (plan.test, before.test),
        (plan.general_test, before.general),
    )
    rows = []
    for lists, base in sets:
        if lists is not None and base is not None:
            first, after = plan.measures.values(lists), _values(plan, before.model, lists)
            rows += compare(lists.name, {FIRST_STAGE: first, BASE: base, TRAINED: after})
    return rows
