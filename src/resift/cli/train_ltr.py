"""`resift train ltr DATA -o FOLDER`"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from resift.cli import options

if TYPE_CHECKING:
    from rich.console import Console

    from resift.cli.progress import Count
    from resift.evaluate import DataFiles
    from resift.train.ltr.dataset_rows import DataOptions, RankedData
    from resift.train.ltr.rows import TrainingRows
    from resift.train.ltr.settings import TreeSettings
    from resift.train.ltr.train import TrainedLtr, TrainOptions

_BOUND = 10.0  # of a click's weight, as `resift.train.ltr.click_rows` has it
_MATRIX = (".svm", ".letor", ".libsvm", ".svmlight")  # suffixes of files that hold features


class LibraryChoice(StrEnum):
    """Whose trees are grown."""

    LIGHTGBM = "lightgbm"
    XGBOOST = "xgboost"


class GainChoice(StrEnum):
    """What a label is worth."""

    EXPONENTIAL = "exponential"
    LINEAR = "linear"


class UnjudgedChoice(StrEnum):
    """What becomes of candidates that nobody judged."""

    ZERO = "zero"
    LEAVE_OUT = "leave-out"


class AbsentChoice(StrEnum):
    """What a feature is that a line of a matrix leaves out."""

    ZERO = "zero"
    MISSING = "missing"


_Data = Annotated[
    Path | None,
    typer.Argument(
        help="As for `resift evaluate`, or a matrix of features (.svm, .letor; gzip too).", metavar="[DATA]"
    ),
]
_Out = Annotated[Path, typer.Option("--output", "-o", help="The model's folder; its name is the model's name.")]
_Pipeline = Annotated[str, typer.Option(help="Gives candidates and signals: retrievers, then models if you like.")]
_Candidates = Annotated[int, typer.Option("--depth", min=2, help="How many candidates each query has.")]
_Unjudged = Annotated[UnjudgedChoice, typer.Option(help="Candidates that nobody judged: label 0, or left out.")]
_JudgedOnly = Annotated[bool, typer.Option("--judged-only", help="Judged documents are the only candidates.")]
_Library = Annotated[LibraryChoice, typer.Option(help="Whose trees.")]
_Gain = Annotated[GainChoice, typer.Option(help="Of a label: exponential is 2^label - 1, linear the label.")]
_Truncation = Annotated[int, typer.Option(min=1, help="Pairs count where one of the two is among the first so many.")]
_Cutoff = Annotated[int, typer.Option("--cutoff", min=1, help="k of the nDCG@k that is watched and reported.")]
_Monotone = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=SIGN", help="More of a feature never lowers (1) or raises (-1) the score; 0: free."),
]
_Free = Annotated[bool, typer.Option("--free", help="No monotone constraint that is not named with --monotone.")]
_Search = Annotated[
    bool | None,
    typer.Option("--search/--no-search", show_default="up to 100,000 rows", help="Try leaves and learning rates."),
]
_Ablate = Annotated[
    bool | None,
    typer.Option("--ablate/--no-ablate", show_default="up to 100,000 rows", help="Measure what features are worth."),
]
_OutOfFold = Annotated[
    list[str] | None,
    typer.Option(
        metavar="MODEL=FOLDER,…", help="Folders of a pipeline's model, each trained without some of these queries."
    ),
]
_Clicks = Annotated[
    Path | None, typer.Option(help="Learn from a log: query, document, position, clicked; JSONL or a table.")
]
_Propensities = Annotated[
    Path | None,
    typer.Option(show_default="from swaps in the log", help='How likely a place is looked at: {"1": 1, "2": 0.6}.'),
]
_Bound = Annotated[float, typer.Option("--weight-bound", min=1, help="A click counts 1 / that chance, this at most.")]
_Absent = Annotated[AbsentChoice, typer.Option(help="In a matrix: what a feature is that a line leaves out.")]


def train_ltr(
    output: _Out,
    data: _Data = None,
    split: options.Split = None,
    queries: options.QueriesFile = None,
    documents: options.DocumentsFile = None,
    qrels: options.QrelsFile = None,
    run: options.RunFile = None,
    clicks: _Clicks = None,
    propensities: _Propensities = None,
    weight_bound: _Bound = _BOUND,
    pipeline: _Pipeline = "bm25 + dense",
    depth: _Candidates = options.DEFAULT_DEPTH,
    unjudged: _Unjudged = UnjudgedChoice.ZERO,
    judged_only: _JudgedOnly = False,
    library: _Library = LibraryChoice.LIGHTGBM,
    gain: _Gain = GainChoice.EXPONENTIAL,
    truncation: _Truncation = 30,
    cutoff: _Cutoff = 10,
    monotone: _Monotone = None,
    free: _Free = False,
    search: _Search = None,
    ablate: _Ablate = None,
    folds: Annotated[int, typer.Option(min=2, help="Of the report: each query is scored by trees without it.")] = 5,
    out_of_fold: _OutOfFold = None,
    absent: _Absent = AbsentChoice.ZERO,
    limit: Annotated[int | None, typer.Option(min=2, help="Take a random sample of so many queries.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of samples, folds and trees.")] = 0,
    cache: options.ScoreCache = None,
    html: Annotated[Path | None, typer.Option(help="Write the report with figures as one HTML page.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON (schema: docs/learning-to-rank.md).")] = False,
) -> None:
    """Learn an order from judged queries: trees over features of what retrievers and models say of candidates.

    Example: resift train ltr my-data -o my-order, then: resift search "…" --index my-index -m my-order

    From about 50 judged queries, or from clicks (--clicks). What is reported was measured on queries that the trees did
    not see.
    """
    from resift.cli.evaluate import check_files
    from resift.evaluate import DataFiles
    from resift.machine import cores
    from resift.train.ltr.dataset_rows import DataOptions
    from resift.train.ltr.folder import check_target
    from resift.train.ltr.settings import TreeSettings
    from resift.train.ltr.train import TrainOptions

    check_target(output)
    check_files(html)
    settings = TreeSettings(
        library.value, gain=gain.value, truncation=truncation, cutoff=cutoff, monotone=_signs(monotone or ()),
        seed=seed, threads=cores(),
    )  # fmt: skip
    source = DataFiles(data, queries, documents, qrels, run, split)
    job = _Job(
        source, _log(clicks, propensities, weight_bound),
        DataOptions(pipeline, depth, unjudged.value, judged_only, cache, _folders(out_of_fold or ())),
        TrainOptions(settings, search, folds, ablate), absent.value, free, limit, seed,
    )  # fmt: skip
    _show(job.run(output), output, html, as_json)


@dataclass(frozen=True, slots=True)
class _Log:
    """A click log, and how its clicks are weighed."""

    clicks: Path
    propensities: Path | None
    bound: float

    def rows(self, source: DataFiles, chosen: DataOptions, limit: int | None, seed: int, count: Count) -> RankedData:
        """Read the log and the texts that it speaks of, and make rows."""
        from resift import files
        from resift.errors import InputError
        from resift.evaluate.document_store import DocumentStore
        from resift.evaluate.read_data import file_of
        from resift.train.ltr.click_data import ClickData, rows_of_clicks
        from resift.train.ltr.click_log import read_clicks
        from resift.train.ltr.propensities import read_propensities

        if any((source.qrels, source.run, source.split)) or chosen.unjudged != "zero":
            raise InputError(
                "clicks stand in the place of judgements; leave --qrels, --run, --split and --unjudged out"
            )
        documents = source.documents or file_of(source.data, "corpus")
        if documents is None:
            raise InputError("clicks name documents by their ids; give the documents with --documents, or a folder")
        chances = None if self.propensities is None else read_propensities(self.propensities)
        log = read_clicks(self.clicks)
        named = files.read_file(source.queries) if source.queries else ()
        queries = {record.id: record.text or record.title for record in named} or None
        data = ClickData.of(log, DocumentStore(files.read_file(documents)), queries, self.clicks.name)
        return rows_of_clicks(data.sample(limit, seed), chosen, chances, self.bound, count)


def _log(clicks: Path | None, propensities: Path | None, bound: float) -> _Log | None:
    """The log that is named; options of a log without one are refused."""
    if clicks is None and (propensities or bound != _BOUND):
        raise typer.BadParameter(
            "is for a click log; name it with --clicks", param_hint="--propensities, --weight-bound"
        )
    return _Log(clicks, propensities, bound) if clicks else None


class _Job:
    """One training, from files to a folder."""

    def __init__(
        self, source: DataFiles, log: _Log | None, chosen: DataOptions, options_: TrainOptions, absent: str,
        free: bool, limit: int | None, seed: int,
    ) -> None:  # fmt: skip
        self.source, self.log, self.chosen, self.options = source, log, chosen, options_
        self.absent, self.free, self.limit, self.seed = absent, free, limit, seed

    def run(self, output: Path) -> TrainedLtr:
        """Read, train, write the folder."""
        from resift.cli.progress import counter

        try:
            with counter() as count:
                if self.log is None and self.source.data is not None and _is_matrix(self.source.data):
                    return self._of_matrix(self.source.data, output, count)
                return self._of_data(output, count)
        except KeyboardInterrupt:
            typer.echo("resift: stopped; nothing was written, and what models scored is kept", err=True)
            raise typer.Exit(130) from None

    def _of_matrix(self, path: Path, output: Path, count: Count) -> TrainedLtr:
        from resift.train.ltr.folder import write_folder
        from resift.train.ltr.gains import HIGHEST
        from resift.train.ltr.letor import read_letor
        from resift.train.ltr.rows import checked_rows
        from resift.train.ltr.train import train_ltr as train

        file = read_letor(path, self.absent)
        settings = self.options.settings
        rows = checked_rows(file.matrix, file.labels, file.queries, file.features, most=HIGHEST[settings.gain])
        trained = replace(train(rows, self.options, on_progress=count), facts=_facts(path, rows))
        write_folder(output, trained, None, None)
        return trained

    def _of_data(self, output: Path, count: Count) -> TrainedLtr:
        from resift.train.ltr.dataset_rows import groups_of
        from resift.train.ltr.folder import write_folder
        from resift.train.ltr.train import train_ltr as train

        ranked = self._ranked(count)
        options_ = replace(self.options, settings=self._constrained(ranked))
        trained = train(ranked.rows, options_, groups_of(ranked.features), ranked.features.directions, count)
        trained = replace(trained, facts=ranked.facts)
        write_folder(output, trained, ranked.features, ranked.statistics, str(ranked.pipeline))
        return trained

    def _ranked(self, count: Count) -> RankedData:
        from resift.evaluate import read_dataset
        from resift.train.ltr.dataset_rows import rows_of
        from resift.train.ltr.gains import HIGHEST

        if self.log is not None:
            return self.log.rows(self.source, self.chosen, self.limit, self.seed, count)
        data = read_dataset(self.source).sample(self.limit, self.seed)
        return rows_of(data, self.chosen, HIGHEST[self.options.settings.gain], count)

    def _constrained(self, ranked: RankedData) -> TreeSettings:
        """The settings with the directions of features as constraints, where none is named."""
        settings, features = self.options.settings, ranked.features
        signs = {} if self.free else dict(zip(features.names, features.directions, strict=True))
        return replace(settings, monotone={n: s for n, s in (signs | dict(settings.monotone)).items() if s})


def _is_matrix(path: Path) -> bool:
    """Whether a file holds features and not texts, by its name."""
    return bool(set(_MATRIX) & set(path.suffixes))


def _facts(path: Path, rows: TrainingRows) -> dict[str, Any]:
    import numpy as np

    labels = {str(label): int((rows.labels == label).sum()) for label in np.unique(rows.labels)}
    return {"name": path.name, "queries": len(set(rows.queries)), "rows": len(rows.labels), "labels": labels}


def _signs(texts: Sequence[str]) -> dict[str, int]:
    """Constraints of texts such as "score(bm25)=1"."""
    from resift.errors import InputError

    signs = {}
    for text in texts:
        name, equals, sign = text.rpartition("=")
        if not equals or sign not in ("1", "0", "-1", "+1"):
            raise InputError(f"--monotone takes a feature and 1, 0 or -1, such as 'score(bm25)=1'; not {text!r}")
        signs[name] = int(sign)
    return signs


def _folders(texts: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Folders by model of texts such as "model=fold-1,fold-2"."""
    from resift.errors import InputError

    folders = {}
    for text in texts:
        name, equals, places = text.partition("=")
        names = tuple(place.strip() for place in places.split(",") if place.strip())
        if not equals or not names:
            raise InputError(f"--out-of-fold takes MODEL=FOLDER,FOLDER; not {text!r}")
        folders[name] = names
    return folders


def _show(trained: TrainedLtr, output: Path, html: Path | None, as_json: bool) -> None:
    """Write the page, and print what came out."""
    from resift.cli import show

    if html is not None:
        from resift import atomic
        from resift.train.ltr.page import as_html

        atomic.write(html, [as_html(trained, output.absolute().name).encode("utf-8", "replace")])
    if as_json:
        from resift.train.ltr.outputs import as_json as as_json_value

        show.print_json(as_json_value(trained, output))
    else:
        from rich.console import Console

        _print(trained, output, Console())


def _print(trained: TrainedLtr, output: Path, console: Console) -> None:
    from resift.cli import show
    from resift.train.ltr.outputs import remarks, tables

    console.print(trained.report.verdict, style="bold", markup=False, highlight=False)
    for table in tables(trained):
        console.print(f"\n{table.title}", style="bold", markup=False, highlight=False)
        show.print_rows(console, table.headings, table.rows)
    console.print()
    for remark in remarks(trained, output):
        console.print(remark, style="dim", markup=False, highlight=False)
