"""`resift tune-boosts DATA`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resift.cli import options

if TYPE_CHECKING:
    from resift.cli.progress import Count
    from resift.evaluate import DataFiles
    from resift.pipeline import Pipeline
    from resift.worth.tune_boosts import BoostOptions, TunedBoosts


def tune_boosts(
    data: options.JudgedData = None,
    pipeline: Annotated[
        str,
        typer.Option(
            help="""With the boosts to tune, such as 'bm25 >> resift-mini-en@50 >> blend >> boost("date")'."""
        ),
    ] = "",
    clicks: Annotated[
        Path | None, typer.Option(help="Learn from clicks: query, document, clicked, position, JSONL or a table.")
    ] = None,
    split: options.Split = None,
    queries: options.QueriesFile = None,
    documents: options.DocumentsFile = None,
    qrels: options.QrelsFile = None,
    run: options.RunFile = None,
    judged_only: options.JudgedOnly = False,
    limit: options.Limit = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the sample, the folds and the intervals.")] = 0,
    cache: options.ScoreCache = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON (schema: docs/boosts.md).")] = False,
) -> None:
    """Fit how much dates and numbers of the metadata count, and say what that is worth on queries that did not fit it.

    Example: resift tune-boosts my-data --pipeline 'bm25 >> resift-mini-en@50 >> blend >> boost("date")'

    From 50 judged queries on. "No boost is as good" is an answer, and exit code 0.
    """
    from resift.cli import show
    from resift.cli.progress import counter
    from resift.evaluate import DataFiles
    from resift.worth.tune_boosts import BoostOptions, check_pipeline
    from resift.worth.tune_boosts import as_json as as_json_value

    checked = check_pipeline(pipeline)
    source = DataFiles(data, queries, documents, qrels, run, split)
    try:
        with counter() as count:
            result = _tuned(source, clicks, checked, BoostOptions(judged_only, cache, seed), limit, count)
    except KeyboardInterrupt:
        typer.echo("resift: stopped; what was scored is kept, and the same command goes on from there", err=True)
        raise typer.Exit(130) from None
    if as_json:
        show.print_json(as_json_value(result))
    else:
        _print(result)


def _tuned(
    source: DataFiles, clicks: Path | None, pipeline: Pipeline, chosen: BoostOptions, limit: int | None, count: Count
) -> TunedBoosts:
    from resift.evaluate import read_dataset
    from resift.worth.clicks import clicks_of
    from resift.worth.tune_boosts import tune_boosts as tune

    if clicks is None:
        return tune(read_dataset(source).sample(limit, chosen.seed), pipeline, chosen, None, count)
    read = clicks_of(source, clicks)
    return tune(read.data.sample(limit, chosen.seed), pipeline, chosen, read.gains, count)


def _print(result: TunedBoosts) -> None:
    from rich.console import Console

    from resift.cli import show
    from resift.worth.report import interval
    from resift.worth.tune_boosts import MEASURE, part_of, sentence

    console = Console()
    console.print(sentence(result), style="bold", markup=False, highlight=False)
    console.print()
    rows = [
        (f"{i}", str(fold.queries), interval(fold.gain), " >> ".join(map(str, map(part_of, fold.rules))) or "none")
        for i, fold in enumerate(result.report.folds, 1)
    ]
    show.print_rows(console, ("fold", "queries", f"{MEASURE} gained, 95 %", "boosts that the others chose"), rows)
    console.print()
    console.print("pipeline:", style="dim")
    typer.echo(str(result.pipeline))  # whole and on one line, to be copied
    for note in (*result.notes, *result.data):
        console.print(note, style="dim", markup=False, highlight=False)
