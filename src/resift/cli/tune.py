"""`resift tune DATA`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resift.cli import options

if TYPE_CHECKING:
    from resift.evaluate import DataFiles
    from resift.tune import Tuned, TuneOptions


def tune(
    data: options.JudgedData = None,
    split: options.Split = None,
    queries: options.QueriesFile = None,
    documents: options.DocumentsFile = None,
    qrels: options.QrelsFile = None,
    run: options.RunFile = None,
    clicks: Annotated[
        Path | None, typer.Option(help="Learn from clicks: query, document, clicked, position, JSONL or a table.")
    ] = None,
    pipeline: options.PipelineText = None,
    limit: options.Limit = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the sample, the folds and the intervals.")] = 0,
    cache: options.ScoreCache = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for pipeline.toml and report.json.", metavar="FOLDER")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON (schema: docs/tune.md).")] = False,
) -> None:
    """Fit a pipeline to your labelled queries: weights, then a correction; and keep the default where that is as good.

    Example: resift tune my-data -o tuned; resift search "when does the ferry leave" notes/ --pipeline tuned

    From 20 labelled queries. The exit code is 0 whatever the answer is.
    """
    from resift.evaluate import DataFiles
    from resift.pipeline import read_pipeline
    from resift.tune import TuneOptions, write
    from resift.tune.space import check_tunable
    from resift.tune.store import check_folder

    plan = None if pipeline is None else read_pipeline(pipeline)
    if plan is not None:
        check_tunable(plan)
    settings = TuneOptions(plan, cache=cache, seed=seed)
    if output is not None:
        check_folder(output)
    result = _tuned(DataFiles(data, queries, documents, qrels, run, split), clicks, settings, limit)
    if output is not None:
        result = write(result, output)
    if as_json:
        from resift.cli import show

        show.print_json(result.as_json())
    else:
        _print(result)


def _tuned(source: DataFiles, clicks: Path | None, settings: TuneOptions, limit: int | None) -> Tuned:
    from resift.cli.progress import counter
    from resift.evaluate import read_dataset
    from resift.tune import tune as fit
    from resift.worth.clicks import clicks_of

    try:
        with counter() as count:
            data = read_dataset(source) if clicks is None else clicks_of(source, clicks).graded
            return fit(data.sample(limit, settings.seed), settings, count)
    except KeyboardInterrupt:
        typer.echo("resift: stopped; what was scored is kept, and the same command goes on from there", err=True)
        raise typer.Exit(130) from None


def _print(result: Tuned) -> None:
    from rich.console import Console

    from resift.cli import show

    console = Console()
    console.print(result.sentence, style="bold", markup=False, highlight=False)
    if result.levels:
        table = result.table()
        console.print(f"\n{table.title}", style="bold", markup=False, highlight=False)
        show.print_rows(console, table.headings, table.rows)
    for remark in result.remarks():
        console.print(remark, style="dim", markup=False, highlight=False)
    console.print(result.pipeline, markup=False, highlight=False, soft_wrap=True)
