"""`resift worth-it DATA`"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resift.cli import options

if TYPE_CHECKING:
    from rich.console import Console

    from resift.evaluate import DataFiles
    from resift.worth import WorthIt, WorthItOptions


def worth_it(
    data: options.JudgedData = None,
    split: options.Split = None,
    queries: options.QueriesFile = None,
    documents: options.DocumentsFile = None,
    qrels: options.QrelsFile = None,
    run: options.RunFile = None,
    retriever: Annotated[
        str | None, typer.Option(help='The first stage: bm25, dense, an embedder, "bm25 + dense".')
    ] = None,
    reranker: Annotated[list[str] | None, typer.Option(help="A model to try; may be repeated.")] = None,
    depths: Annotated[str, typer.Option(help="How many candidates are reranked, to try.")] = "10,30,50,100",
    measure: Annotated[str, typer.Option(help="What is measured.")] = "nDCG@10",
    least: Annotated[float, typer.Option(help="The smallest gain that matters to you.")] = 0.01,
    limit: options.Limit = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the sample, the split and the intervals.")] = 0,
    cache: options.ScoreCache = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write everything as JSON.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write verdict and tables as Markdown.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON (schema: docs/worth-it.md).")] = False,
) -> None:
    """Say in one sentence whether reranking is worth it on your own judged queries, beside a tuned first stage.

    Example: resift worth-it my-data --reranker resift-mini-en --depths 10,30,100

    From about 50 judged queries. The exit code is 0 whatever the verdict is.
    """
    from resift.cli.evaluate import check_files, depths_of
    from resift.cli.left_out import say_defaults
    from resift.evaluate import DataFiles
    from resift.worth import WorthItOptions

    source = DataFiles(data, queries, documents, qrels, run, split)
    settings = WorthItOptions(retriever, tuple(reranker or ()), depths_of(depths), measure, least, cache, seed)
    settings.check()
    check_files(output, markdown)
    result = _compared(source, settings, limit)
    say_defaults(result.data.defaults)
    _write(result, output, markdown)
    if as_json:
        from resift.cli import show
        from resift.worth.outputs import as_json as as_json_value

        show.print_json(as_json_value(result))
    else:
        from rich.console import Console

        _print(result, Console())


def _compared(source: DataFiles, settings: WorthItOptions, limit: int | None) -> WorthIt:
    from resift.cli.progress import counter, resumable
    from resift.evaluate import read_dataset
    from resift.worth import worth_it as compare

    with resumable(), counter() as count:
        return compare(read_dataset(source).sample(limit, settings.seed), settings, count)


def _write(result: WorthIt, output: Path | None, markdown: Path | None) -> None:
    from resift import atomic
    from resift.worth.outputs import as_json
    from resift.worth.outputs import markdown as as_markdown

    if output is not None:
        text = json.dumps(as_json(result), ensure_ascii=False, allow_nan=False)
        atomic.write(output, [text.encode("utf-8", "replace"), b"\n"])
    if markdown is not None:
        atomic.write(markdown, [as_markdown(result).encode("utf-8", "replace")])


def _print(result: WorthIt, console: Console) -> None:
    from resift.cli import show
    from resift.worth.outputs import remarks, tables

    console.print(result.sentence, style="bold", markup=False, highlight=False)
    for table in tables(result):
        console.print(f"\n{table.title}", style="bold", markup=False, highlight=False)
        show.print_rows(console, table.headings, table.rows)
    console.print()
    for remark in remarks(result):
        console.print(remark, style="dim", markup=False, highlight=False)
