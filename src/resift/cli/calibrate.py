"""`resift calibrate LABELS`"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resift.cli import options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from resift.calibrate.labelled_pairs import LabelledPair
    from resift.calibrate.report import CalibrationReport
    from resift.calibrate.thresholds import Intent
    from resift.score.options import LongDocuments


class PrecisionChoice(StrEnum):
    """How exactly a model computes."""

    AUTO = "auto"
    F32 = "f32"
    BF16 = "bf16"
    INT8 = "int8"
    FP16 = "fp16"


class CurveChoice(StrEnum):
    """What turns scores into probabilities."""

    AUTO = "auto"
    PLATT = "platt"
    ISOTONIC = "isotonic"


_Out = Annotated[
    Path | None, typer.Option("--out", "-o", help="Folder or .json to write; else the model's or the user's own.")
]
_Model = Annotated[
    str | None,
    typer.Option("--model", "-m", show_default="by language", help="Bundled name, model folder, or hub id."),
]
_From = Annotated[float, typer.Option("--relevant-from", help="The grade from which on a pair is relevant.")]
_Unjudged = Annotated[
    int, typer.Option("--unjudged", min=0, help="Take so many documents per query that nobody judged as irrelevant.")
]
_Precisions = Annotated[
    list[float] | None, typer.Option("--min-precision", help="Find a threshold for it; may be repeated.")
]
_FalseKeeps = Annotated[
    list[float] | None, typer.Option("--max-false-keep", help="Likewise: kept share of the irrelevant pairs.")
]
_Recalls = Annotated[
    list[float] | None, typer.Option("--min-recall", help="Likewise: kept share of the relevant pairs.")
]


def calibrate(
    labels: options.JudgedData = None,
    queries: options.QueriesFile = None,
    documents: options.DocumentsFile = None,
    qrels: options.QrelsFile = None,
    model: _Model = None,
    out: _Out = None,
    relevant_from: _From = 1.0,
    split: options.Split = None,
    unjudged: _Unjudged = 0,
    min_precision: _Precisions = None,
    max_false_keep: _FalseKeeps = None,
    min_recall: _Recalls = None,
    curve: Annotated[CurveChoice, typer.Option("--curve", help="How scores become probabilities.")] = CurveChoice.AUTO,
    plot: Annotated[Path | None, typer.Option("--plot", help="Write the reliability plot as SVG.")] = None,
    precision: Annotated[
        PrecisionChoice, typer.Option("--precision", help="The model's; a calibration is for one.")
    ] = PrecisionChoice.AUTO,
    truncate: options.Truncate = False,
    engine: options.EngineOption = options.EngineChoice.AUTO,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the random halves and draws.")] = 0,
    as_json: options.AsJson = False,
) -> None:
    """Turn a model's scores into probabilities of relevance, by labelled pairs of your own: docs/calibrate.md.

    Half of the queries is fitted on, and what is printed was measured on the other half.
    """
    from resift.arguments import path
    from resift.atomic import write
    from resift.calibrate import fit, reliability_plot, store
    from resift.cli import show
    from resift.cli.progress import counter
    from resift.evaluate import DataFiles
    from resift.evaluate.labels import read_labels
    from resift.loading import load

    intents = _intents(min_precision, max_false_keep, min_recall)
    choices = fit.FitOptions(relevant_from, intents, curve.value, seed)
    _check_places(out, plot)
    data = read_labels(DataFiles(labels, queries, documents, qrels, split=split), unjudged)
    fit.check_labels(data.pairs, relevant_from)  # before a model is loaded
    name = path(model or _reading(data.pairs), "the model's name")
    long_documents: LongDocuments = "truncate" if truncate else "windows"
    reranker = load(name, precision=precision.value, long_documents=long_documents, engine=engine.value)
    with counter() as count:
        report = fit.calibrate(
            reranker.scorer, data.pairs, choices, lambda n, share: count("pairs scored", n, share), data.notes
        )
    file = store.add(out or store.place_of(name), report.calibration)
    if plot is not None:
        write(plot, [reliability_plot.svg(report.rows, report.measures, f"{reranker.info.name}, {data.name}").encode()])
    if as_json:
        show.print_json({"schema": show.SCHEMA, "model": reranker.info.name, "file": str(file), **report.entries()})
        return
    _print(report)
    for line in _verdict(report, file, name):
        typer.echo(line)


def _check_places(out: Path | None, plot: Path | None) -> None:
    """Refuse places that can't be written before anything is scored."""
    from resift.atomic import check_file
    from resift.calibrate import store

    if out is not None:
        store.check(out)
    if plot is not None:
        check_file(plot)


def _reading(pairs: Sequence[LabelledPair]) -> str:
    """The bundled model that reads queries and documents."""
    from resift.cli.left_out import say_defaults
    from resift.score.defaults import DefaultModels
    from resift.score.pairs import whole_text

    models = DefaultModels(
        lambda: [pair.query.text for pair in pairs], lambda: [whole_text(pair.document) for pair in pairs]
    )
    name = models.late_interaction
    say_defaults(models.taken)
    return name


def _intents(
    precisions: list[float] | None, false_keeps: list[float] | None, recalls: list[float] | None
) -> tuple[Intent, ...]:
    from resift.calibrate.thresholds import Aim, Intent

    limits = {Aim.MIN_PRECISION: precisions, Aim.MAX_FALSE_KEEP: false_keeps, Aim.MIN_RECALL: recalls}
    return tuple(Intent(aim, limit) for aim, numbers in limits.items() for limit in numbers or ())


def _print(report: CalibrationReport) -> None:
    from rich.console import Console

    from resift.calibrate.reliability_plot import terminal_chart
    from resift.cli import show

    console = Console()
    data, measures = report.data, report.measures
    binding = report.calibration.binding
    how = (
        "all of them measured by cross-fitting, since there are too few for halves"
        if data.cross_fitted
        else f"{data.fitted_pairs} pairs fitted, {data.reported_pairs} of other queries measured"
    )
    lines = [
        f"{binding.model}, {binding.runs_on}: {data.pairs} pairs of {data.queries} queries, "
        f"{data.relevant_pairs} relevant; {how}",
        *data.notes,
        f"curve {report.calibration.curve.name}; cross-fitted log loss "
        + ", ".join(f"{name} {loss:.4f}" for name, loss in report.losses.items()),
        "",
    ]
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    charts = terminal_chart(report.rows)
    rows = [
        [f"{r.lowest:.3f}-{r.highest:.3f}", str(r.pairs), f"{r.predicted:.3f}", str(r.relevant), chart]
        for r, chart in zip(report.rows, charts, strict=True)
    ]
    headings = ("probability", "pairs", "mean |", "relevant o (95 %)", f"0{'1'.rjust(23)}")
    show.print_rows(console, headings, rows)
    console.print()
    facts = [
        ["base rate", str(measures.base_rate)], ["AUC", str(measures.auc)], ["Brier score", str(measures.brier)],
        ["log loss, nats", str(measures.log_loss)],
        ["ECE, ten bins of equal size", f"{measures.ece}; {measures.ece_by_chance:.3f} if exactly right"],
    ]  # fmt: skip
    show.print_rows(console, ("measure", "value (95 %)"), facts)
    console.print()
    _print_thresholds(report, console)


def _print_thresholds(report: CalibrationReport, console: Console) -> None:
    from resift.cli import show

    rows = []
    for threshold in report.thresholds:
        outcome = threshold.outcome
        least = "none can be trusted" if threshold.least is None else f"{threshold.least:.3f}"
        cells = ["", "", "", "", ""]
        if outcome is not None:
            precision = "nothing kept" if outcome.precision is None else str(outcome.precision)
            right = f"{outcome.silent_rightly}/{outcome.irrelevant_queries}"
            cells = [
                precision,
                str(outcome.recall),
                str(outcome.false_keep),
                f"{outcome.kept_pairs}/{outcome.pairs}",
                right,
            ]
        state = "not kept" if threshold.contradicted else ""
        rows.append([str(threshold.intent), least, *cells, state])
    headings = (
        "intent",
        "threshold",
        "precision",
        "recall",
        "false keep",
        "kept",
        "rightly nothing relevant",
        "on the report's queries",
    )
    show.print_rows(console, headings, rows)
    console.print()


def _verdict(report: CalibrationReport, file: Path, model: str) -> list[str]:
    levels = report.calibration.levels
    words = ", ".join(f"{level} from {least:.3f}" for level, least in levels.items()) or "none can be trusted"
    verdict = "clean separation" if report.separates else f"no clean separation: {'; '.join(report.reasons)}"
    return [f"levels: {words}", verdict, f"written to {file}; {_use(model)}"]


def _use(model: str) -> str:
    """How to use a calibration: without a name the default model is calibrated, which is for one language."""
    named = "" if model == options.DEFAULT_MODEL else f"--model {model} and "
    return f"use it with {named}--calibrated or --min-relevance"
