"""`resift features DATA`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resift.cli import options

if TYPE_CHECKING:
    from rich.console import Console

    from resift.evaluate import DataFiles
    from resift.evaluate.feature_report import FeatureFacts, FeatureReport


def features(
    data: options.JudgedData = None,
    split: options.Split = None,
    queries: options.QueriesFile = None,
    documents: options.DocumentsFile = None,
    qrels: options.QrelsFile = None,
    run: options.RunFile = None,
    pipeline: Annotated[
        str | None, typer.Option(help="Whose candidates and scores are features; default: the first stage.")
    ] = None,
    field: Annotated[
        list[str] | None, typer.Option(help="A field of the documents' metadata; may be repeated. Default: all.")
    ] = None,
    judged_only: Annotated[bool, typer.Option("--judged-only", help="Look at judged documents alone.")] = False,
    limit: options.Limit = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the sample and the intervals.")] = 0,
    cache: options.ScoreCache = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the set to features.toml, without constant features.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON (schema: docs/features.md).")] = False,
) -> None:
    """Show what a learned ranking would read of your judged queries, and how well each feature orders alone.

    Example: resift features my-data --pipeline "bm25 + dense >> resift-mini-en@50" -o features.toml
    """
    from resift import atomic
    from resift.cli.evaluate import check_files
    from resift.evaluate import DataFiles

    check_files(output)
    source = DataFiles(data, queries, documents, qrels, run, split)
    report = _report(source, pipeline, field, judged_only, limit, seed, cache)
    if as_json:
        from resift.cli import show

        show.print_json(report.as_json())
    else:
        from rich.console import Console

        _print(report, Console())
    if output is not None:
        atomic.write(output, [report.without_constant().to_toml().encode("utf-8", "replace")])
    _remark(report, output)


def _report(
    source: DataFiles,
    pipeline: str | None,
    fields: list[str] | None,
    judged_only: bool,
    limit: int | None,
    seed: int,
    cache: Path | None,
) -> FeatureReport:
    from resift.cli.progress import counter
    from resift.evaluate import EvaluationOptions, read_dataset
    from resift.evaluate.feature_report import feature_report
    from resift.pipeline import Pipeline

    parsed = Pipeline() if pipeline is None else Pipeline.parse(pipeline)
    settings = EvaluationOptions(judged_only=judged_only, cache=cache, seed=seed)
    try:
        with counter() as count:
            dataset = read_dataset(source).sample(limit, seed)
            return feature_report(dataset, parsed, fields or None, settings, count)
    except KeyboardInterrupt:
        typer.echo("resift: stopped; what was scored is kept, and the same command goes on from there", err=True)
        raise typer.Exit(130) from None


def _print(report: FeatureReport, console: Console) -> None:
    """The strongest feature first; those that order nothing come last."""
    from resift.cli import show

    strongest = sorted(report.facts, key=lambda fact: -abs(fact.auc.value - 0.5) if fact.auc else 1.0)
    heading = f"{report.queries} queries, {report.candidates} candidates, {report.relevant} of them relevant"
    console.print(heading, markup=False, highlight=False)
    show.print_rows(
        console, ("feature", "v", "missing", "mean", "AUC (95 %)", "better"), [_row(fact) for fact in strongest]
    )


def _row(fact: FeatureFacts) -> list[str]:
    mean = "" if fact.mean is None else f"{round(fact.mean, 6):.4g}"
    row = [fact.name, str(fact.version), f"{fact.missing:.0%}", mean]
    if fact.auc is None:
        return [*row, "", ""]
    better = "more" if fact.auc.low > 0.5 else "less" if fact.auc.high < 0.5 else "unsure"
    return [*row, f"{fact.auc.value:.2f} ({fact.auc.low:.2f}-{fact.auc.high:.2f})", better]


def _remark(report: FeatureReport, output: Path | None) -> None:
    """Say on stderr what is missing, and what was left out."""
    for item in report.missing:
        typer.echo(f"resift: {item.message} ({item.count} in all queries)", err=True)
    for name, reason in report.left_out.items():
        typer.echo(f"resift: the field {name!r} is no feature: {reason}", err=True)
    if report.constant:
        where = "" if output is None else f", and left out of {output}"
        typer.echo(f"resift: constant or always missing here{where}: {', '.join(report.constant)}", err=True)
