"""`resift mine DATA`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from resift.cli import options
from resift.train.mine.formats import Format
from resift.train.mine.options import BM25, DENSE, Sampling

if TYPE_CHECKING:
    from resift.train.data import ReadOptions
    from resift.train.examples import ExampleSet
    from resift.train.mine import MineOptions, MiningReport, MiningResult

_FORMAT = typer.Option("--format", help="What a line of the output holds.")
_COLUMNS = typer.Option(help="Which column is what: query=q,document=d,label=y; by default by their names.")


def mine(
    data: Annotated[str | None, typer.Argument(help="A file, a folder, a database's URL, or a data set of the hub.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The JSONL file to write.")],
    form: Annotated[Format, _FORMAT] = Format.N_TUPLE,
    scores: Annotated[bool, typer.Option("--scores", help="Write the scores of --rescore too.")] = False,
    retriever: Annotated[
        list[str] | None, typer.Option(help="bm25, dense, or an embedder; may be repeated. By default bm25 and dense.")
    ] = None,
    rescore: Annotated[
        str | None, typer.Option(metavar="MODEL", help="A reranker that judges: margins are on its scores.")
    ] = None,
    negatives: Annotated[int, typer.Option("--negatives", "-n", min=0, help="Hard negatives for each query.")] = 7,
    random: Annotated[int, typer.Option(min=0, help="Random documents for each query, beside them.")] = 0,
    range_min: Annotated[int, typer.Option(min=0, help="Leave the first so many ranks out.")] = 0,
    range_max: Annotated[int, typer.Option(min=1, help="The last rank from which negatives are taken.")] = 50,
    min_score: Annotated[float | None, typer.Option(help="The least score of a negative.")] = None,
    max_score: Annotated[float | None, typer.Option(help="The highest score of a negative.")] = None,
    absolute_margin: Annotated[
        float | None, typer.Option(min=0, help="A negative scores at least so much below the positive.")
    ] = None,
    relative_margin: Annotated[
        float,
        typer.Option(min=0, help="The same as a share of the positive's score; 0 is the positive's score itself."),
    ] = 0.05,
    margin: Annotated[bool, typer.Option("--margin/--no-margin", help="Ask for the relative margin.")] = True,
    sampling: Annotated[
        Sampling, typer.Option(help="Take the hardest, or draw among all that are left.")
    ] = Sampling.TOP,
    keep_suspects: Annotated[
        bool, typer.Option("--keep-suspects", help="Take likely false negatives as negatives.")
    ] = False,
    documents: Annotated[
        Path | None, typer.Option("--documents", help="Where negatives are looked for, beside the documents of DATA.")
    ] = None,
    queries: options.QueriesFile = None,
    qrels: options.QrelsFile = None,
    split: Annotated[str | None, typer.Option(help="Of a data set or BEIR folder; by default train.")] = None,
    subset: Annotated[str | None, typer.Option(help="Of a data set of the hub.")] = None,
    sql: Annotated[str | None, typer.Option(help="A table or a query, for a database.")] = None,
    columns: Annotated[str | None, _COLUMNS] = None,
    labels: Annotated[str | None, typer.Option(help="What words are worth as labels: relevant=1,other=0.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Take a random sample of so many queries.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of all that is drawn.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON (docs/mine.md).")] = False,
) -> None:
    """Mine hard negatives: documents that rank high for a query and are not what it asks for.

    Example: resift mine my-data --output train.jsonl --rescore resift-mini-en --negatives 7 --random 1

    Near-duplicates of positives and likely false negatives are left out, and 20 of these are shown.
    """
    from resift.errors import InputError
    from resift.train.data import ReadOptions
    from resift.train.data.columns import parse_columns
    from resift.train.data.labels import parse_labels
    from resift.train.mine import MineOptions

    if scores and rescore is None:
        raise InputError("--scores writes the scores of a reranker; name it with --rescore, or leave --scores out")
    if not output.absolute().parent.is_dir():
        raise InputError(f"can't write {output}: there is no folder {output.parent}; make it first")
    source = ReadOptions(
        parse_columns(columns or ""), parse_labels(labels or ""), split, subset, sql, queries, documents, qrels
    )
    settings = MineOptions(
        tuple(retriever or (BM25, DENSE)), negatives, random, range_min, range_max, min_score, max_score,
        absolute_margin, relative_margin if margin else None, sampling, keep_suspects, limit, seed,
    )  # fmt: skip
    settings.check()
    examples, result = _mined(data, source, settings, rescore)
    _write(output, result, form, scores)
    _print(result.report, examples, settings, output, form, as_json)


def _mined(
    data: str | None, source: ReadOptions, settings: MineOptions, rescore: str | None
) -> tuple[ExampleSet, MiningResult]:
    from resift.cli.progress import counter
    from resift.score.load import load_scorer
    from resift.train.data import read_examples
    from resift.train.mine import mine as mine_negatives

    scorer = None if rescore is None else load_scorer(rescore)
    with counter() as count:
        examples = read_examples(data, source)
        return examples, mine_negatives(examples, None, settings, scorer, count)


def _write(output: Path, result: MiningResult, form: Format, scores: bool) -> None:
    from resift import atomic
    from resift.train.mine import lines

    atomic.write(output, lines(result.examples.queries, form, scores))


def _print(
    report: MiningReport, examples: ExampleSet, settings: MineOptions, output: Path, form: Format, as_json: bool
) -> None:
    from rich.console import Console

    from resift.cli import show

    if as_json:
        show.print_json(report.as_json(_settings(settings, output, form)))
        return
    console = Console(highlight=False)
    for line in [*_data_lines(examples), *report.lines(), f"wrote {output} ({form})"]:
        console.print(line, markup=False, soft_wrap=True)


def _data_lines(examples: ExampleSet) -> list[str]:
    return [examples.detection.sentence, *(issue.message for issue in examples.issues)]


def _settings(settings: MineOptions, output: Path, form: Format) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(settings) | {"output": str(output), "format": str(form)}
