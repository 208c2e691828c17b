"""The options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from resift.loading import DEFAULT_MODEL
from resift.pipeline import DEFAULT_DEPTH, boosts


class EngineChoice(StrEnum):
    """What runs a model."""

    AUTO = "auto"
    NATIVE = "native"
    OPENVINO = "openvino"
    ONNX = "onnx"
    TORCH = "torch"


EngineOption = Annotated[EngineChoice, typer.Option("--engine", help="What runs the model; auto takes the fastest.")]
Model = Annotated[str, typer.Option("--model", "-m", help="Bundled name, model folder, or hub id (owner/name).")]
NamedModel = Annotated[
    str | None,
    typer.Option(
        "--model", "-m", show_default="by language",
        help="Bundled name, model folder, or hub id (owner/name). Once named, it also reranks what it can't read.",
    ),
]  # fmt: skip
NamedEmbedder = Annotated[
    str | None, typer.Option("--embedder", help="What makes one vector per passage: as --model; default: by language.")
]
Depth = Annotated[int, typer.Option("--depth", min=1, help="How many candidates the model scores.")]
Deadline = Annotated[
    float | None,
    typer.Option("--deadline-ms", help="Rerank no longer than this, and give the best order so far (after loading)."),
]
MaxMemory = Annotated[
    str | None,
    typer.Option("--max-memory", metavar="SIZE", help="What the process may hold, such as 2GiB; else rerank less."),
]
Calibrated = Annotated[
    bool, typer.Option("--calibrated", help="Scores are probabilities of relevance, as `resift calibrate` fitted them.")
]
MinRelevance = Annotated[
    str | None,
    typer.Option("--min-relevance", metavar="P", help="Leave out what is less likely relevant: 0.5, high or some."),
]
JudgedData = Annotated[
    Path | None, typer.Argument(help="A BEIR folder, or a JSONL, CSV or TSV file of judged pairs.", metavar="[DATA]")
]
Split = Annotated[str | None, typer.Option(help="Of a folder's judgements; test, dev or the only one.")]
QueriesFile = Annotated[Path | None, typer.Option("--queries", help="Queries: id and text, JSONL or a table.")]
DocumentsFile = Annotated[
    Path | None, typer.Option("--documents", help="Documents: id, text, title, JSONL or a table.")
]
QrelsFile = Annotated[Path | None, typer.Option("--qrels", help="Judgements, TREC or BEIR.")]
RunFile = Annotated[Path | None, typer.Option("--run", help="A TREC run, whose candidates are reranked.")]
PipelineText = Annotated[
    str | None,
    typer.Option("--pipeline", metavar="PIPELINE", help="Its text, a .toml file, or a folder that `resift tune` made."),
]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="Take a random sample of so many queries.")]
JudgedOnly = Annotated[bool, typer.Option("--judged-only", help="Order only the judged documents.")]
ScoreCache = Annotated[
    Path | None, typer.Option("--cache", help="Where scores are kept; by default in the user's cache.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON (schema: docs/json.md).")]
Explain = Annotated[bool, typer.Option("--explain", help="Show what every stage said and how long it took.")]
EverySkipped = Annotated[
    bool, typer.Option("--list-skipped", help="Name every file of a folder that was left out, and say why.")
]
Boosts = Annotated[
    list[str] | None,
    typer.Option(
        "--boost", metavar="BOOST", help='Let metadata count: \'boost("date", half_life="90d")\'; may be repeated.'
    ),
]
Truncate = Annotated[bool, typer.Option("--truncate", help="Read only the start of long documents (else: windows).")]


def joined(texts: list[str] | None) -> str:
    """The boosts of an option as one text; a wrong one is refused before anything is read."""
    text = " >> ".join(texts or [])
    boosts(text)
    return text


__all__ = [
    "DEFAULT_DEPTH",
    "DEFAULT_MODEL",
    "AsJson",
    "Boosts",
    "Calibrated",
    "Deadline",
    "Depth",
    "DocumentsFile",
    "EngineChoice",
    "EngineOption",
    "EverySkipped",
    "Explain",
    "JudgedData",
    "JudgedOnly",
    "Limit",
    "MaxMemory",
    "MinRelevance",
    "Model",
    "NamedEmbedder",
    "NamedModel",
    "PipelineText",
    "QrelsFile",
    "QueriesFile",
    "RunFile",
    "ScoreCache",
    "Split",
    "Truncate",
]
