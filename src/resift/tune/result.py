"""The result of tuning: what each level is worth on queries that it was not fitted to, and which one is taken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from resift.evaluate.evaluation import DataFacts
from resift.evaluate.figures import FigureTable
from resift.evaluate.statistics import METHOD, Estimate
from resift.tune.learned import LearnedStage
from resift.worth.report import interval

SCHEMA = 1  # a new field does not change it; a field that changes or goes away does
KIND = "tuned"
LEAST_QUERIES = 20  # below, nothing can be fitted and tested


@dataclass(frozen=True, slots=True)
class LevelResult:
    """What one level is worth.

    Attributes:
        level: 1, 2 or 3, in rising order of freedom.
        name: what is fitted.
        pipeline: the pipeline of its parameters on all queries.
        value: mean over all queries, each by parameters that other queries chose.
        gain: over the default, with an interval that is corrected for the number of levels.
        step: over the level that was taken before; the same as `gain` where that is the default.
        factor: how many times as wide the intervals are, since folds choose for each other.

    """

    level: int
    name: str
    pipeline: str
    value: float
    gain: Estimate
    step: Estimate
    factor: float


@dataclass(frozen=True, eq=False)
class Tuned:
    """The pipeline that is taken, and why.

    Attributes:
        pipeline: the smallest level's that is better than the default, or the default.
        sentence: the same for people.
        level: the level that is taken; 0: the default; None: too few queries to know.
        default: the text of the pipeline that was tuned.
        default_value: its mean.
        measure: what was fitted and measured.
        queries: how many there are.
        levels: those that were tried.
        misfits: queries that the model was not asked about, since it does not read their language.
        seconds: how long it took.
        data: what the figures are about.
        models, machine: where the figures come from.
        seed: of folds and intervals.
        notes: what was left out, and why.
        learned: the stage behind the pipeline where level 3 is taken; `store.write` names it in the pipeline.

    """

    pipeline: str
    sentence: str
    level: int | None
    default: str
    default_value: float
    measure: str
    queries: int
    levels: tuple[LevelResult, ...]
    misfits: int
    seconds: float
    data: DataFacts
    models: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    machine: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    notes: tuple[str, ...] = ()
    learned: LearnedStage | None = None

    def as_json(self) -> dict[str, Any]:
        """A JSON object; docs/tune.md has its fields."""
        fields = asdict(replace(self, learned=None))
        del fields["learned"]
        statistics = {"intervals": METHOD, "level": corrected(len(self.levels)), "seed": fields.pop("seed")}
        return {"schema": SCHEMA, "kind": KIND, "statistics": statistics, **fields}

    def table(self) -> FigureTable:
        """The levels for people."""
        rows = [("the default", f"{self.default_value:.4f}", "", self.default)]
        rows += [(f"{x.level}: {x.name}", f"{x.value:.4f}", interval(x.gain), x.pipeline) for x in self.levels]
        title = f"{self.measure} on {self.queries} queries, each by weights that others chose"
        share = f"{100 * corrected(len(self.levels)):.3g}"
        return FigureTable(title, ("fitted", self.measure, f"gain, {share} %", "pipeline"), tuple(rows))

    def remarks(self) -> list[str]:
        """What a reader has to know before he believes the figures."""
        notes = [str(issue) for issue in self.data.issues]
        if self.misfits:
            notes.append(f"the model was not asked about {self.misfits} queries, whose language it does not read")
        notes += self.notes
        if self.learned is not None:
            notes.append("the learned stage is not written; -o FOLDER keeps it, and the pipeline that has it")
        if self.levels:
            notes.append(
                f"each fifth of the queries is measured by weights of the other four; a level is taken where it is "
                f"surely better than the one before, with intervals for {len(self.levels)} levels together; seed "
                f"{self.seed}; {self.seconds:.0f} s"
            )
        return notes


def corrected(levels: int) -> float:
    """How often an interval is to cover the truth, so that all of them together do in 95 % (Bonferroni)."""
    return 1 - 0.05 / max(1, levels)


def sentence(level: LevelResult | None, levels: tuple[LevelResult, ...], measure: str, queries: int) -> str:
    """What was found, for people.

    Args:
        level: the one that is taken; None: the default.
        levels: all that were tried.
        measure: what was measured.
        queries: how many there are.

    """
    if level is not None:
        return f"tuned ({level.name}): {interval(level.gain)} {measure} over the default on {queries} queries"
    best = max(levels, key=lambda x: x.gain.value)
    half = (best.gain.high - best.gain.low) / 2
    seen = f"; a gain of less than about {half:.3f} can't be seen with {queries} queries" if half else ""
    return f"the default is as good: fitting the {best.name} gives {interval(best.gain)} {measure}{seen}"


def too_few(queries: int) -> str:
    """What is said of too few queries."""
    return (
        f"can't be known from {queries} queries: whether other weights are better needs {LEAST_QUERIES} or more; label "
        f"at least {LEAST_QUERIES - queries} more, and keep the default until then"
    )
