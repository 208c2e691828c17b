"""The options of training neural models."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resift.errors import InputError

if TYPE_CHECKING:
    from resift.train.data import ReadOptions


class Precision(StrEnum):
    """Of matrix products; the head, the losses and the optimizer stay in f32."""

    AUTO = "auto"
    F32 = "f32"
    BF16 = "bf16"


class Candidates(StrEnum):
    """What is ranked when a model is measured."""

    AUTO = "auto"
    BM25 = "bm25"
    GIVEN = "given"


Data = Annotated[
    list[str] | None,
    typer.Argument(help="Files, folders, database URLs or hub data sets of examples.", metavar="DATA…"),
]
Base = Annotated[str, typer.Option("--base", "-m", help="The model to train further: a folder or hub id.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="The folder to write.")]
Losses = Annotated[
    list[str] | None, typer.Option("--loss", help="One for all data, or one for each; auto takes what fits.")
]
Measures = Annotated[
    list[str] | None, typer.Option("--measure", help="The first chooses: nDCG@10, Hit-Rate@10, Spearman, AUC, …")
]
Dev = Annotated[
    Path | None,
    typer.Option("--dev", help="Judged queries to measure on, by their split dev, not a part of DATA."),
]
General = Annotated[Path | None, typer.Option("--general", help="Judged queries of another domain: what is forgotten.")]
Epochs = Annotated[float, typer.Option("--epochs", min=0, help="Passes over the data.")]
Steps = Annotated[int, typer.Option("--steps", min=0, help="The most steps; 0: as many as the epochs have.")]
Batch = Annotated[int, typer.Option("--batch", min=1, help="Pairs of query and document in a batch, about.")]
Documents = Annotated[int, typer.Option("--batch", min=2, help="Documents in a batch, about; queries go with them.")]
Searched = Annotated[
    int, typer.Option("--documents", min=1, help="The most documents that are searched when it is measured.")
]
Dims = Annotated[int, typer.Option("--dims", min=1, help="Of a token's vector, where the base has no projection.")]
Accumulation = Annotated[int, typer.Option("--accumulation", min=1, help="Batches that make one step.")]
LearningRate = Annotated[float, typer.Option("--learning-rate", "--lr", help="Its peak.")]
Warmup = Annotated[float, typer.Option("--warmup", min=0, max=1, help="The share of the steps until the peak.")]
MaxTokens = Annotated[
    int | None, typer.Option("--max-tokens", help="The longest pair; by default the model's, 512 at most.")
]
LongestText = Annotated[
    int | None, typer.Option("--max-tokens", help="The longest text; by default the model's, 512 at most.")
]
ListSize = Annotated[int, typer.Option("--list-size", min=2, help="Documents in a list.")]
Negatives = Annotated[int, typer.Option("--negatives", min=1, help="Beside a positive, for mnrl and margin-mse.")]
PrecisionOption = Annotated[Precision, typer.Option("--precision", help="Of matrix products; the loss stays in f32.")]
Evaluations = Annotated[int, typer.Option("--evaluations", min=1, help="How often the model is measured.")]
Patience = Annotated[int, typer.Option("--patience", min=1, help="Evaluations without progress until it stops.")]
Depth = Annotated[int, typer.Option("--depth", min=1, help="Candidates that are ranked when it is measured.")]
CandidatesOption = Annotated[
    Candidates, typer.Option("--candidates", help="What is ranked: BM25's best, or what DATA gives.")
]
Lora = Annotated[int, typer.Option("--lora", min=0, help="The rank of LoRA adapters; 0: all weights are trained.")]
Heads = Annotated[
    str | None,
    typer.Option(
        "--heads", metavar="LAYERS", help="Give it a head at these layers too, so that it can stop early: 2,4."
    ),
]
Merge = Annotated[bool, typer.Option("--merge/--adapter-only", help="Write the merged model too.")]
Interpolate = Annotated[
    float | None,
    typer.Option("--interpolate", min=0, max=1, show_default="the best on dev", help="The trained weights' share."),
]
Remine = Annotated[
    int, typer.Option("--remine", min=0, help="Mine negatives again after so many epochs, with the model; 0: never.")
]
Corpus = Annotated[
    Path | None, typer.Option("--corpus", help="Documents to search and to mine negatives in, beside those of DATA.")
]
Columns = Annotated[str | None, typer.Option("--columns", help="Which column is what: query=q,document=d,label=y.")]
Labels = Annotated[str | None, typer.Option("--labels", help="What words are worth as labels: relevant=1,other=0.")]
Split = Annotated[str | None, typer.Option("--split", help="Of a data set or BEIR folder; by default train.")]
Subset = Annotated[str | None, typer.Option("--subset", help="Of a data set of the hub.")]
Sql = Annotated[str | None, typer.Option("--sql", help="A table or a query, for a database.")]
Run = Annotated[
    Path | None,
    typer.Option("--run", help="A TREC run beside judgements: its candidates train, and rerankers rank them."),
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Of the split, the order and the dropout.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")]
Force = Annotated[bool, typer.Option("--force", help="Write the model even where it is worse.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and one step of it.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]


def reading(
    columns: str | None,
    labels: str | None,
    split: str | None,
    subset: str | None,
    sql: str | None,
    queries: Path | None,
    corpus: Path | None,
    qrels: Path | None,
    run: Path | None,
) -> ReadOptions:
    """What the options say of the data.

    Raises:
        InputError: columns or labels that can't be parsed.

    """
    from resift.train.data import ReadOptions
    from resift.train.data.columns import parse_columns
    from resift.train.data.labels import parse_labels

    return ReadOptions(
        parse_columns(columns or ""), parse_labels(labels or ""), split, subset, sql, queries, corpus, qrels, run
    )


def layers(heads: str | None) -> tuple[int, ...]:
    """The layers that --heads names.

    Raises:
        InputError: they are no numbers.

    """
    try:
        return tuple(int(layer) for layer in heads.split(",")) if heads else ()
    except ValueError as error:
        raise InputError(f"--heads takes numbers of layers, joined by commas: 2,4; not {heads!r}") from error
