"""What a training says: tables for terminals and pages, remarks, JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resift.evaluate.statistics import Estimate
from resift.train.ltr.train import TrainedLtr

SCHEMA = 1
_GROUPS, _TRIALS = 15, 6
_NONE = "–"  # what is not compared, and a group that was not left out
_WIDEST = 32  # characters of a feature's name in a terminal


@dataclass(frozen=True, slots=True)
class Table:
    """A table of texts."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]


def tables(trained: TrainedLtr, groups: int = _GROUPS, widest: int = _WIDEST) -> list[Table]:
    """The orders, the features by their worth, and the settings that were tried; long names are cut."""

    def cut(name: str) -> str:
        return name if len(name) <= widest else f"{name[: widest - 1]}…"

    figures = trained.report
    base, *others = figures.orders
    orders = [[base.name, f"{base.value:.4f}", *[_NONE] * 4]] + [
        [cut(o.name), f"{o.value:.4f}", _signed(o.gain), _interval(o.gain), str(o.helped), str(o.hurt)] for o in others
    ]
    features = [
        [cut(g.name), f"{g.gain:.1%}", *((_NONE, _NONE) if g.loss is None else (_signed(g.loss), _interval(g.loss)))]
        for g in figures.groups[:groups]
    ]
    trials = [
        [str(t.settings.leaves), f"{t.settings.learning_rate:g}", str(t.settings.rounds), f"{t.value:.4f}"]
        for t in trained.trials[:_TRIALS]
    ]
    return [
        Table(f"Orders: {figures.measure}, {figures.queries} queries, each out of fold",
              ("order", "measure", "gain", "95 %", "better", "worse"), orders),
        Table("Features: share of the trees' gain, and the change of the measure without them",
              ("features", "gain", "without", "95 %"), features),
        Table("Settings tried, by cross-validation: nDCG among the candidates",
              ("leaves", "learning rate", "rounds", "measure"), trials),
    ]  # fmt: skip


def remarks(trained: TrainedLtr, output: Path) -> Iterator[str]:
    """What else is to be known."""
    for issue in trained.issues:
        yield f"note: {issue}"
    s = trained.settings
    gain = "2^label - 1" if s.gain == "exponential" else "label"
    yield (
        f"{s.library}, gain {gain}, pairs among the first {s.truncation}, seed {s.seed}, {len(s.monotone)} monotone "
        f"constraints, {trained.seconds:.0f} s"
    )
    yield f'{output} is written; a pipeline takes it as ltr(model="{output}")@200'


def as_json(trained: TrainedLtr, output: Path) -> dict[str, Any]:
    """All of it in the schema of docs/learning-to-rank.md."""
    return {
        "schema": SCHEMA,
        "model": str(output),
        "settings": trained.settings.summary() | {"library": trained.settings.library},
        "data": {key: value for key, value in trained.facts.items() if key != "query_hashes"},
        "report": trained.report.as_json(),
        "features": [
            {"name": d.feature, "missing": d.missing, "quantiles": list(d.quantiles), "gain": d.gain}
            for d in trained.distributions
        ],
        "dependence": [
            {"feature": d.feature, "points": [list(point) for point in d.points]}
            | ({} if d.missing is None else {"missing": d.missing})
            for d in trained.dependences
        ],
        "issues": list(trained.issues),
        "seconds": round(trained.seconds, 3),
    }


def _signed(estimate: Estimate) -> str:
    return f"{estimate.value:+.4f}"


def _interval(estimate: Estimate) -> str:
    return f"{estimate.low:+.4f} … {estimate.high:+.4f}"
