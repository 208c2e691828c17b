"""What a training did: the table of before and after with paired intervals, and whether the model is worth keeping."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from resift.evaluate.statistics import METHOD, Estimate, Floats, estimates
from resift.train.neural.tasks import Task, task_of

FIRST_STAGE, BASE, TRAINED = "first stage", "base", "trained"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One measure of one set of queries.

    Attributes:
        data: which queries.
        queries: how many.
        measure: its name.
        first_stage, base, trained: means over the queries.
        over_base, over_first_stage: paired differences of the trained model, with 95 % intervals over queries.

    """

    data: str
    queries: int
    measure: str
    first_stage: float
    base: float
    trained: float
    over_base: Estimate
    over_first_stage: Estimate


def compare(data: str, values: Mapping[str, Mapping[str, Floats]]) -> list[Comparison]:
    """The comparisons of all measures.

    Args:
        data: which queries.
        values: of each measure of each query, for the first stage, the base and the trained model.

    """
    rows = []
    for measure in values[TRAINED]:
        first, base, trained = (values[name][measure] for name in (FIRST_STAGE, BASE, TRAINED))
        over_base, over_first = estimates(np.stack([trained - base, trained - first], axis=1))
        means = (float(first.mean()), float(base.mean()), float(trained.mean()))
        rows.append(Comparison(data, len(trained), measure, *means, over_base, over_first))
    return rows


@dataclass(frozen=True, slots=True)
class HeadMeasures:
    """What one of several heads of a trained model is worth.

    Attributes:
        layer: how many layers are computed for its scores.
        values: means of the measures over the held-out queries.
        share: of the first measure of the last head.

    """

    layer: int
    values: Mapping[str, float]
    share: float


def refusals(row: Comparison, task: Task) -> list[str]:
    """Why a model with these figures is not written: it is worse than what there was, on queries it did not see.

    An embedder may be worse than BM25: it finds other documents, and the two are fused.
    """
    reasons = []
    if row.over_base.value < 0:
        reasons.append(f"worse than the base model by {-row.over_base.value:.4f}")
    if task.improves and row.over_first_stage.value < 0:
        reasons.append(f"worse than {task.without} by {-row.over_first_stage.value:.4f}")
    return [f"{row.measure} on {row.data} is {reason}" for reason in reasons]


@dataclass(frozen=True, slots=True)
class MiningRound:
    """What mining negatives again between epochs did.

    Attributes:
        step: after which.
        negatives: how many the next round has; changed: how many of them the round before did not have.
        scores: what the model said of them, in words.

    """

    step: int
    negatives: int
    changed: int
    scores: str

    @property
    def sentence(self) -> str:
        """All of it in one sentence."""
        return f"after step {self.step} {self.changed} of {self.negatives} negatives were exchanged: {self.scores}"


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """All that a training tells.

    Attributes:
        task: what was trained.
        base, out: the model before, and the folder of the model after; `out` is empty where none was written.
        fresh_head: whether the base had no head, so that its own scores are chance.
        sets: name, loss, reason, queries, rows and pairs of each data set.
        steps, planned_steps, best_step: done, planned at most, and the one whose weights were taken.
        stopped: why it ended before its time; empty where it did not.
        alarm: whether that was an alarm.
        alpha: the share of the trained weights; the base has the rest.
        dev: the first measure on dev, before training and at each evaluation: (step, value).
        comparisons: before and after, on queries that chose nothing.
        refusals: why the model would not be written; with force it was.
        notes: what was left out, and what looked wrong.
        reload_delta: the largest change of a score after saving and loading, by who loaded it.
        seconds: of the training alone.
        precision: of matrix products.
        rounds: what was mined between epochs.
        heads: of a model with several heads, what each is worth.

    """

    task: str
    base: str
    out: str
    fresh_head: bool
    sets: tuple[Mapping[str, Any], ...]
    steps: int
    planned_steps: int
    best_step: int
    stopped: str
    alarm: bool
    alpha: float
    dev: tuple[tuple[int, float], ...]
    comparisons: tuple[Comparison, ...]
    refusals: tuple[str, ...]
    notes: tuple[str, ...]
    reload_delta: Mapping[str, float]
    seconds: float
    precision: str
    rounds: tuple[MiningRound, ...] = ()
    heads: tuple[HeadMeasures, ...] = ()

    @property
    def sentence(self) -> str:
        """The result in one sentence."""
        row = self.comparisons[0]
        gain = row.over_base
        ends = f"{gain.low:+.3f} to {gain.high:+.3f}"
        whose = "an untrained head" if self.fresh_head else "the base"
        return (
            f"{row.measure} {row.trained:.3f} on {row.queries} held-out queries: "
            f"{gain.value:+.3f} over {whose} ({ends}), "
            f"{row.over_first_stage.value:+.3f} over {task_of(self.task).without} "
            f"({row.over_first_stage.low:+.3f} to {row.over_first_stage.high:+.3f})"
        )

    def as_json(self) -> dict[str, Any]:
        """Everything as JSON."""
        return {"sentence": self.sentence, "intervals": METHOD, **asdict(self)}


def table(report: TrainingReport) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of before and after."""
    without = task_of(report.task).without
    headings = ["data", "queries", "measure", without, "base", "trained", "over base", f"over {without}"]
    rows = [
        [
            row.data, str(row.queries), row.measure, f"{row.first_stage:.3f}", f"{row.base:.3f}", f"{row.trained:.3f}",
            _interval(row.over_base), _interval(row.over_first_stage),
        ]
        for row in report.comparisons
    ]  # fmt: skip
    return headings, rows


def heads_table(report: TrainingReport) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of what each head is worth; no rows where there is one head."""
    names = list(report.heads[0].values) if report.heads else []
    rows = [
        [str(head.layer), *(f"{head.values[name]:.3f}" for name in names), f"{head.share:.1%}"] for head in report.heads
    ]
    return ["head at layer", *names, "share of the last"], rows


def _interval(estimate: Estimate) -> str:
    return f"{estimate.value:+.3f} ({estimate.low:+.3f} to {estimate.high:+.3f})"


def model_card(report: TrainingReport) -> str:
    """MODEL_CARD.md of a trained folder."""
    noun = task_of(report.task).noun
    lines = [f"# {noun[0].upper()}{noun[1:]} trained with Resift", "", f"{report.sentence}.", ""]
    lines += [f"* Base: {report.base}{' (without a head)' if report.fresh_head else ''}"]
    lines += [
        f"* Data: {each['name']}: {each['queries']} queries, {each['pairs']} pairs; "
        f"loss {each['loss']}: {each['reason']}"
        for each in report.sets
    ]
    lines += [f"* Steps: {report.steps} of {report.planned_steps}, weights of step {report.best_step}"]
    lines += [f"* Negatives mined again: {each.sentence}" for each in report.rounds]
    lines += [f"* Share of the trained weights: {report.alpha:g}, the base has the rest"] if report.alpha < 1 else []
    lines += [f"* Ended early: {report.stopped}"] if report.stopped else []
    lines += [f"* Written in spite of: {reason}" for reason in report.refusals]
    lines += [f"* Note: {note}" for note in report.notes]
    lines += ["", *_markdown(*table(report))]
    lines += ["", *_markdown(*heads_table(report))] if report.heads else []
    lines += ["", f"Measured on queries that neither trained nor chose anything. Intervals: {METHOD}, paired, 95 %."]
    return "\n".join(lines) + "\n"


def _markdown(headings: list[str], rows: list[list[str]]) -> list[str]:
    lines = ["| " + " | ".join(cells) + " |" for cells in (headings, *rows)]
    return [lines[0], "|" + " --- |" * len(headings), *lines[1:]]
