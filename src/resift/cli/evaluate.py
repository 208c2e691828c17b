"""`resift evaluate DATA`"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resift.cli import options

if TYPE_CHECKING:
    from rich.console import Console

    from resift.evaluate import DataFiles, Evaluation, EvaluationOptions
    from resift.pipeline import Pipeline

_MEASURES = ["nDCG@10", "RR@10", "R@100", "Success@10", "P@10", "AP"]


def evaluate(
    data: options.JudgedData = None,
    split: options.Split = None,
    queries: options.QueriesFile = None,
    documents: options.DocumentsFile = None,
    qrels: options.QrelsFile = None,
    run: options.RunFile = None,
    pipeline: Annotated[
        list[str] | None, typer.Option(help='To compare, such as "bm25 >> resift-mini-en@50 >> blend".')
    ] = None,
    retriever: Annotated[
        list[str] | None, typer.Option(help='First stages for all rerankers: bm25, dense, an embedder, "bm25 + dense".')
    ] = None,
    reranker: Annotated[
        list[str] | None, typer.Option(help='Models for all retrievers, such as "resift-mini-en@50 >> blend".')
    ] = None,
    depths: Annotated[str, typer.Option(help="Depths of every pipeline's first model: 10,30,100.")] = "",
    measure: Annotated[
        list[str] | None,
        typer.Option(show_default=", ".join(_MEASURES), help="Measures; the first one is compared and tested."),
    ] = None,
    judged_only: options.JudgedOnly = False,
    limit: options.Limit = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the sample, the intervals and the tests.")] = 0,
    cache: options.ScoreCache = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write everything as JSON.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write the tables as Markdown.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a report with figures as one HTML page.")] = None,
    runs: Annotated[Path | None, typer.Option(help="Write every ranking to a folder of TREC runs.")] = None,
    worst: Annotated[int, typer.Option(min=0, max=5, help="Queries to show that the best pipeline hurt most.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON (schema: docs/evaluate.md).")] = False,
) -> None:
    """Measure on your own judged queries what reranking is worth: quality with intervals, queries hurt, time.

    Example: resift evaluate my-data --pipeline "bm25 >> resift-mini-en@50 >> blend" --depths 10,50,100

    What was scored is kept: a run that was stopped goes on where it was.
    """
    from resift.cli.left_out import say_defaults
    from resift.evaluate import DataFiles, EvaluationOptions

    source = DataFiles(data, queries, documents, qrels, run, split)
    compared = _pipelines(pipeline or [], retriever or [], reranker or [])
    chosen = EvaluationOptions(tuple(measure or _MEASURES), depths_of(depths), judged_only, cache, seed)
    targets = _Targets(output, markdown, html, runs)
    targets.check()
    evaluation = _evaluated(source, compared, chosen, limit)
    say_defaults(evaluation.data.defaults)
    targets.write(evaluation)
    if as_json:
        from resift.cli import show
        from resift.evaluate import as_json as as_json_value

        show.print_json(as_json_value(evaluation))
    else:
        from rich.console import Console

        _print(evaluation, Console(), worst)


@dataclass(frozen=True, slots=True)
class _Targets:
    """The files to write."""

    output: Path | None
    markdown: Path | None
    html: Path | None
    runs: Path | None

    def check(self) -> None:
        """Refuse a place that can't be written before anything is scored."""
        from resift import atomic

        check_files(self.output, self.markdown, self.html)
        if self.runs is not None:
            atomic.check_folder(self.runs)

    def write(self, evaluation: Evaluation) -> None:
        """Write what was asked for."""
        from resift import atomic
        from resift.evaluate import as_html, as_json
        from resift.evaluate.outputs import markdown, write_runs

        if self.output is not None:
            text = json.dumps(as_json(evaluation), ensure_ascii=False, allow_nan=False)
            atomic.write(self.output, [text.encode("utf-8", "replace"), b"\n"])
        if self.markdown is not None:
            atomic.write(self.markdown, [markdown(evaluation).encode("utf-8", "replace")])
        if self.html is not None:
            atomic.write(self.html, [as_html(evaluation).encode("utf-8", "replace")])
        if self.runs is not None:
            write_runs(evaluation, self.runs)


def check_files(*paths: Path | None) -> None:
    """Refuse a file that can't be written before anything is scored."""
    from resift import atomic

    for path in paths:
        if path is not None:
            atomic.check_file(path)


def _pipelines(pipelines: Sequence[str], retrievers: Sequence[str], rerankers: Sequence[str]) -> list[Pipeline]:
    """The pipelines by name, and the matrix of retrievers and rerankers."""
    from resift.evaluate.plan import matrix
    from resift.pipeline import read_pipeline

    crossed = matrix(retrievers, rerankers) if retrievers or rerankers else []
    return [*map(read_pipeline, pipelines), *crossed]


def depths_of(text: str) -> tuple[int, ...]:
    """Depths of a text such as "10,30".

    Raises:
        InputError: something else than whole numbers from 1.

    """
    from resift.errors import InputError

    parts = [part.strip() for part in text.split(",")] if text else []
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise InputError(f"--depths takes whole numbers from 1, with commas between them; not {text!r}")
    return tuple(map(int, parts))


def _evaluated(
    source: DataFiles, pipelines: Sequence[Pipeline], chosen: EvaluationOptions, limit: int | None
) -> Evaluation:
    from resift.cli.progress import counter, resumable
    from resift.evaluate import evaluate as run_evaluation
    from resift.evaluate import named_measures, read_dataset

    named_measures.parse(chosen.measures)  # a wrong one is refused before the data are read
    with resumable(), counter() as count:
        dataset = read_dataset(source).sample(limit, chosen.seed)
        return run_evaluation(dataset, pipelines, chosen, count)


def _print(evaluation: Evaluation, console: Console, worst: int) -> None:
    from resift.cli import show
    from resift.evaluate.figures import best_reranking, heading, hurt_queries, label, remarks, tables

    first = evaluation.measures[0]
    console.print(heading(evaluation), markup=False, highlight=False)
    for table in tables(evaluation):
        console.print(f"\n{table.title}", style="bold", markup=False, highlight=False)
        show.print_rows(console, table.headings, table.rows)
    if best := best_reranking(evaluation):
        for hurt in hurt_queries(evaluation, best, worst, max(20, (console.width - 8) // 2)):
            title = f"\nhurt by {label(best.pipeline)}: {first} {hurt.before:.4f} → {hurt.after:.4f}"
            console.print(title, style="bold", markup=False, highlight=False)
            console.print(hurt.query, markup=False, highlight=False)
            show.print_rows(console, hurt.table.headings, hurt.table.rows)
    console.print()
    for remark in remarks(evaluation):
        console.print(remark, style="dim", markup=False, highlight=False)
