"""The result of a comparison, and the sentence that says it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from resift.evaluate.evaluation import DataFacts
from resift.evaluate.statistics import METHOD, Estimate, Floats, estimates
from resift.worth.reranked import Option
from resift.worth.selection import stretched
from resift.worth.tuning import Choice, Column, OutOfSample, Tables
from resift.worth.verdict import LEAST_QUERIES, MATERIAL, Verdict, Word

SCHEMA = 1  # a new field does not change it; a field that changes or goes away does
KIND = "worth_it"
_SAME = 1e-9
_WORDS = {
    Word.WORTH_IT: "worth it", Word.NOT_WORTH_IT: "not worth it", Word.HURTS: "it hurts", Word.UNKNOWN: "can't be known"
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """A model at a depth: the measure, what it adds to the tuned first stage, its price, and whom it helped and hurt.

    `ms_p50` and `ms_p95` are milliseconds per query that the model adds.
    """

    model: str
    depth: int
    value: float
    gain: Estimate
    ms_p50: float
    ms_p95: float
    helped: int
    hurt: int


@dataclass(frozen=True, eq=False)
class WorthIt:
    """What reranking is worth on some data.

    Attributes:
        verdict: what is said, and by which figures.
        sentence: the same for people.
        measure: what was measured.
        least: the smallest effect of interest.
        first_stage: the tuned first stage that is recommended, as a pipeline writes it.
        pipeline: the model, depth and blend that are recommended behind it.
        default, tuned: means of the product's and of the tuned first stage over the reported queries.
        tuned_gain: what tuning adds.
        reranked: mean of what is recommended.
        ceiling: mean of the best order of the candidates within the depth of the best option.
        ideal: mean of the best order of all judged documents.
        rows: every model at every depth.
        helped, hurt: reported queries whose measure rose or fell by more than rounding.
        first_ms: median milliseconds of the product's first stage.
        method: "halves" or "folds".
        choices: what each split chose, as text.
        data: what the figures are about.
        misfits: by model, how many queries it was not asked about, since it does not read their language.
        factor: how many times as wide intervals of gains are, since folds choose for each other.
        seed: of splits and intervals.
        models, machine: where the figures come from.

    """

    verdict: Verdict
    sentence: str
    measure: str
    least: float
    first_stage: str
    pipeline: str
    default: float
    tuned: float
    tuned_gain: Estimate
    reranked: float
    ceiling: float
    ideal: float
    rows: tuple[Row, ...]
    helped: int
    hurt: int
    first_ms: float
    method: str
    choices: tuple[str, ...]
    data: DataFacts
    misfits: Mapping[str, int]
    factor: float
    seed: int
    models: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    machine: Mapping[str, Any] = field(default_factory=dict)

    @property
    def tuned_pipeline(self) -> str:
        """First stage and model as the text of one pipeline."""
        return self.pipeline if self.first_stage == "run" else f"{self.first_stage} >> {self.pipeline}"


def report(
    verdict: Verdict,
    result: OutOfSample,
    tables: Tables,
    recommended: Choice,
    choices: Sequence[Choice],
    *,
    data: DataFacts,
    measure: str,
    least: float,
    seed: int,
    factor: float,
    first_stages: Sequence[str],
    ideal: Floats,
    first_ms: Floats,
    misfits: Mapping[str, int],
) -> WorthIt:
    """All figures of a comparison; see `WorthIt`."""
    gains = [column.values - result.baseline for column in result.sweep.values()]
    tuned_gain, *intervals = estimates(np.stack([result.baseline - result.default, *gains], axis=1), seed=seed)
    intervals = [stretched(estimate, factor) for estimate in intervals]
    chosen = [c.best if verdict.dearer is None else c.enough for c in (recommended, *choices)]
    option, *by_split = (tables.options[i] for i in chosen)
    dearest = tables.options[recommended.best]
    values = (result.best if verdict.dearer is None else result.enough).values
    change = values - result.baseline
    ceiling, best = float(result.ceiling.mean()), float(ideal.mean())
    tuned = float(result.baseline.mean())
    bound = _bound(dearest.depth, tuned, ceiling, best)
    return WorthIt(
        verdict=verdict,
        sentence=sentence(verdict, measure, least, option, dearest, bound) + _unread(misfits, verdict.labelled),
        measure=measure,
        least=least,
        first_stage=first_stages[recommended.first],
        pipeline=str(option),
        default=float(result.default.mean()),
        tuned=tuned,
        tuned_gain=tuned_gain,
        reranked=float(values.mean()),
        ceiling=ceiling,
        ideal=best,
        rows=tuple(
            _row(key, column, gain, result.baseline)
            for (key, column), gain in zip(result.sweep.items(), intervals, strict=True)
        ),
        helped=int((change > _SAME).sum()),
        hurt=int((change < -_SAME).sum()),
        first_ms=float(np.median(first_ms)),
        method="halves" if len(choices) == 1 else "folds",
        choices=tuple(f"{first_stages[c.first]} >> {o}" for c, o in zip(choices, by_split, strict=True)),
        data=data,
        misfits=misfits,
        factor=factor,
        seed=seed,
    )


def _row(key: tuple[str, int], column: Column, gain: Estimate, baseline: Floats) -> Row:
    change = column.values - baseline
    p50, p95 = (float(np.percentile(column.ms, p)) for p in (50, 95))
    helped, hurt = int((change > _SAME).sum()), int((change < -_SAME).sum())
    return Row(*key, float(column.values.mean()), gain, p50, p95, helped, hurt)


def sentence(verdict: Verdict, measure: str, least: float, option: Option, dearest: Option, bound: str) -> str:
    """The verdict for people.

    Args:
        verdict: what is said.
        measure: its name.
        least: the smallest effect of interest.
        option: what is recommended.
        dearest: what was best on the queries that tuned.
        bound: what the candidates bound, see `_bound`.

    """
    gain = f"{interval(verdict.gain)} {measure} for {_ms(verdict.ms)} per query"
    head = _WORDS[verdict.word]
    if verdict.word is Word.UNKNOWN:
        half = (verdict.gain.high - verdict.gain.low) / 2
        few = f", and no verdict is given below {LEAST_QUERIES}" if verdict.labelled < LEAST_QUERIES else ""
        return (
            f"{head} from {verdict.labelled} queries: {gain}; about {verdict.more} more would do (half-width "
            f"±{verdict.half_width:.3f} needed, ±{half:.3f} now{few})"
        )
    if verdict.word is Word.WORTH_IT:
        return f"{head}: {gain} with {option}{_enough(verdict, option, dearest)}"
    if verdict.word is Word.NOT_WORTH_IT and verdict.gain.low <= 0 and verdict.gain.high >= least:
        return f"{head} so far: {gain}; {_not_shown(verdict)}; {bound}"
    return f"{head}: {gain}; {bound}"


def _not_shown(verdict: Verdict) -> str:
    """What these queries would have shown, and how many more could show what was measured."""
    reported = f"no gain is shown, and {verdict.queries} queries show one of {verdict.visible:.2f} four times of five"
    if not verdict.more:
        return reported
    return f"{reported} (about {verdict.more} more could show {interval(verdict.gain).partition(' ')[0]})"


def _unread(misfits: Mapping[str, int], queries: int) -> str:
    """What to add where the models read no query at all: a search then keeps the first stage's order."""
    if all(count == queries for count in misfits.values()):
        return f" ({' and '.join(misfits)} read none of these queries, and left their order alone)"
    return ""


def _enough(verdict: Verdict, option: Option, dearest: Option) -> str:
    """That a cheaper option is enough, and what the best one would add."""
    if verdict.dearer is None or option == dearest:
        return ""
    names = (str(option), str(dearest))
    if option.model == dearest.model:
        names = (f"depth {option.depth}", f"depth {dearest.depth}")
    return f"; {names[0]} is enough ({names[1]} adds {interval(verdict.dearer)} for {_ms(verdict.dearer_ms)})"


def _bound(depth: int, tuned: float, ceiling: float, ideal: float) -> str:
    """What the best order of the candidates would reach, and where there is more to win."""
    bound = f"the ceiling at depth {depth} is {ceiling:.2f}"
    if ideal - ceiling > ceiling - tuned:
        return f"{bound}, so better retrieval buys more"
    return f"{bound}, and {tuned:.2f} is reached, so a better reranker could still gain"


def interval(estimate: Estimate) -> str:
    """A mean with the ends of its interval, such as "+0.004 [−0.007, +0.015]"."""
    value, low, high = (f"{x:+.3f}".replace("-", "−") for x in (estimate.value, estimate.low, estimate.high))
    return f"{value} [{low}, {high}]"


def _ms(ms: float) -> str:
    return f"{ms:+.0f} ms".replace("-", "−") if abs(ms) >= 10 else f"{ms:+.1f} ms".replace("-", "−")


def rule(least: float, measure: str) -> str:
    """The rule in one sentence."""
    return (
        f"rule: worth it where the interval is above 0 and the mean at least {least:g} {measure}; it hurts where the "
        f"interval is below -{least:g}; else not worth it, where the interval is below {least:g} or above 0, or a gain "
        f"of {MATERIAL:g} would have been shown four times of five; intervals: {METHOD}"
    )
