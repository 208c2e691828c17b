"""`resift mine DATA`"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from resift import atomic
from resift.cli import options, train_options
from resift.train.choices import BM25, DENSE, Format, Sampling

if TYPE_CHECKING:
    from resift.train.data import ReadOptions
    from resift.train.examples import ExampleSet
    from resift.train.mine import MineOptions, MiningReport, MiningResult

_Data = Annotated[
    str | None, typer.Argument(help="A file, a folder, a database's URL, or a data set of the hub.", metavar="[DATA]")
]
_Output = Annotated[Path, typer.Option("--output", "-o", help="The JSONL file to write.")]
_Form = Annotated[Format, typer.Option("--format", help="What a line of the output holds.")]
_Scores = Annotated[bool, typer.Option("--scores", help="Write the scores of --rescore too.")]
_Retrievers = Annotated[
    list[str] | None, typer.Option(help="bm25, dense, or an embedder; may be repeated. By default bm25 and dense.")
]
_Rescore = Annotated[
    str | None, typer.Option(metavar="MODEL", help="A reranker that judges: margins are on its scores.")
]
_Negatives = Annotated[int, typer.Option("--negatives", "-n", min=0, help="Hard negatives for each query.")]
_Random = Annotated[int, typer.Option(min=0, help="Random documents for each query, beside them.")]
_RangeMin = Annotated[int, typer.Option(min=0, help="Leave the first so many ranks out.")]
_RangeMax = Annotated[int, typer.Option(min=1, help="The last rank from which negatives are taken.")]
_MinScore = Annotated[float | None, typer.Option(help="The least score of a negative.")]
_MaxScore = Annotated[float | None, typer.Option(help="The highest score of a negative.")]
_AbsoluteMargin = Annotated[
    float | None, typer.Option(min=0, help="A negative scores at least so much below the positive.")
]
_RelativeMargin = Annotated[
    float, typer.Option(min=0, help="The same as a share of the positive's score; 0 is the positive's score itself.")
]
_NoMargin = Annotated[bool, typer.Option("--no-margin", help="Ask for no relative margin.")]
_Sampling = Annotated[Sampling, typer.Option(help="Take the hardest, or draw among all that are left.")]
_KeepSuspects = Annotated[bool, typer.Option("--keep-suspects", help="Take likely false negatives as negatives.")]
_Documents = Annotated[
    Path | None, typer.Option("--documents", help="Where negatives are looked for, beside the documents of DATA.")
]
_Columns = Annotated[
    str | None, typer.Option(help="Which column is what: query=q,document=d,label=y; by default by their names.")
]
_Limit = Annotated[int | None, typer.Option(min=1, help="Take a random sample of so many queries.")]
_Seed = Annotated[int, typer.Option(min=0, help="Of all that is drawn.")]
_AsJson = Annotated[bool, typer.Option("--json", help="Print the report as JSON (docs/mine.md).")]


def mine(
    data: _Data = None,
    output: _Output = Path("mined.jsonl"),
    form: _Form = Format.N_TUPLE,
    scores: _Scores = False,
    retriever: _Retrievers = None,
    rescore: _Rescore = None,
    negatives: _Negatives = 7,
    random: _Random = 0,
    range_min: _RangeMin = 0,
    range_max: _RangeMax = 50,
    min_score: _MinScore = None,
    max_score: _MaxScore = None,
    absolute_margin: _AbsoluteMargin = None,
    relative_margin: _RelativeMargin = 0.05,
    no_margin: _NoMargin = False,
    sampling: _Sampling = Sampling.TOP,
    keep_suspects: _KeepSuspects = False,
    documents: _Documents = None,
    queries: options.QueriesFile = None,
    qrels: options.QrelsFile = None,
    split: train_options.Split = None,
    subset: train_options.Subset = None,
    sql: train_options.Sql = None,
    columns: _Columns = None,
    labels: train_options.Labels = None,
    limit: _Limit = None,
    seed: _Seed = 0,
    as_json: _AsJson = False,
) -> None:
    """Mine hard negatives: documents that rank high for a query and are not what it asks for.

    Example: resift mine my-data --output train.jsonl --rescore resift-mini-en --negatives 7 --random 1

    Near-duplicates of positives and likely false negatives are left out, and 20 of these are shown.
    """
    from resift.train.mine import MineOptions

    _check(output, scores, rescore)
    source = train_options.reading(columns, labels, split, subset, sql, queries, documents, qrels, run=None)
    settings = MineOptions(
        tuple(retriever or (BM25, DENSE)), negatives, random, range_min, range_max, min_score, max_score,
        absolute_margin, None if no_margin else relative_margin, sampling, keep_suspects, limit, seed,
    )  # fmt: skip
    settings.check()
    keep = None if atomic.in_place(output) else output.absolute().with_name(f"{output.name}.mining")
    examples, result = _mined(data, source, settings, rescore, keep)
    _write(output, result, form, scores)
    if keep is not None:
        shutil.rmtree(keep, ignore_errors=True)
    _print(result.report, examples, settings, output, form, as_json)


def _check(output: Path, scores: bool, rescore: str | None) -> None:
    from resift.errors import InputError

    if scores and rescore is None:
        raise InputError("--scores writes the scores of a reranker; name it with --rescore, or leave --scores out")
    if not output.absolute().parent.is_dir():
        raise InputError(f"can't write {output}: there is no folder {output.parent}; make it first")


def _mined(
    data: str | None, source: ReadOptions, settings: MineOptions, rescore: str | None, keep: Path | None
) -> tuple[ExampleSet, MiningResult]:
    from resift.cli.progress import counter, resumable
    from resift.score.load import load_scorer
    from resift.train.data import read_examples
    from resift.train.mine import mine as mine_negatives

    scorer = None if rescore is None else load_scorer(rescore)
    with resumable(), counter() as count:
        examples = read_examples(data, source)
        return examples, mine_negatives(examples, None, settings, scorer, count, keep)


def _write(output: Path, result: MiningResult, form: Format, scores: bool) -> None:
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
