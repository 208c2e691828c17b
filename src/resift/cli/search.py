"""`resift search QUERY PATH…`"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resift.cli import options, streams
from resift.cli.left_out import LeftOut

if TYPE_CHECKING:
    from resift.api import Index
    from resift.cli.progress import Count
    from resift.pipeline import Pipeline
    from resift.reranker import Reranker
    from resift.score.options import LongDocuments
    from resift.types import Document

_SLOW = 5.0  # seconds; a search that took longer prints what would make the next one faster
_SHALLOW = 20  # candidates: a fifth of the default


# What a pipeline says, and no other option beside it.
_OF_A_PIPELINE = (
    "depth", "model", "embedder", "rerank", "blend", "calibrated", "min_relevance", "when", "truncate", "engine"
)  # fmt: skip

_Paths = Annotated[
    list[Path] | None, typer.Argument(help="Files and folders (formats: docs/cli.md).", metavar="PATH...")
]
_Tensors = Annotated[bool, typer.Option("--tensors/--no-tensors", help="Use the index's stored token vectors.")]
_IndexFolder = Annotated[
    Path | None, typer.Option("--index", help="An index made by `resift index`, instead of paths.")
]
_When = Annotated[
    Path | None, typer.Option(help="Rerank only where a rule of `resift when` expects a gain.", metavar="FILE")
]
_Rerank = Annotated[bool, typer.Option("--rerank/--no-rerank", help="Rerank, or show the first stage's order.")]


def search(
    context: typer.Context,
    query: Annotated[str, typer.Argument(help="What to look for.")],
    paths: _Paths = None,
    index: _IndexFolder = None,
    top: Annotated[int, typer.Option("--top", "-k", min=1, help="How many results to show.")] = 10,
    depth: options.Depth = options.DEFAULT_DEPTH,
    model: options.NamedModel = None,
    embedder: options.NamedEmbedder = None,
    rerank: _Rerank = True,
    blend: Annotated[bool, typer.Option("--blend/--no-blend", help="Let the first stage's order count too.")] = True,
    tensors: _Tensors = True,
    pipeline: options.PipelineText = None,
    calibrated: options.Calibrated = False,
    min_relevance: options.MinRelevance = None,
    when: _When = None,
    boost: options.Boosts = None,
    deadline_ms: options.Deadline = None,
    max_memory: options.MaxMemory = None,
    truncate: options.Truncate = False,
    engine: options.EngineOption = options.EngineChoice.AUTO,
    list_skipped: options.EverySkipped = False,
    as_json: options.AsJson = False,
    explain: options.Explain = False,
) -> None:
    """Search files: words and vectors find passages, the model reranks the best of them.

    Example: resift search "when does reranking hurt" docs/ notes.md faq.jsonl
    """
    from rich.console import Console

    from resift.cli import show
    from resift.cli.progress import counter

    query = _checked(query, deadline_ms, max_memory)
    plan = None if pipeline is None else _read_plan(pipeline, context)
    _check_place(paths, index, embedder)
    _check_model(rerank, calibrated, min_relevance, when)
    boosting = options.joined(boost)
    reranker = _load(model, truncate, engine, calibrated, min_relevance, explain) if rerank and plan is None else None
    began, left_out = time.monotonic(), LeftOut(list_skipped)
    with counter() as count:
        if index:
            searched_index = _open(index, tensors)
        else:
            searched_index = _read_and_index(paths or [], embedder, left_out, count, plan)
        if reranker and deadline_ms is not None:
            reranker.warm()
        _report(count, len(searched_index.documents), reranker is not None or plan is not None)
        if plan is None:
            ranking = searched_index.search(
                query, top, depth, reranker or False, blend, deadline_ms, max_memory, min_relevance, when, boosting
            )
        else:
            ranking = searched_index.run(plan, query, deadline_ms, max_memory).top(plan.top_k or top)
    seconds = time.monotonic() - began
    if as_json:
        show.print_json(show.as_json(ranking))
        return
    advice = hint(seconds, depth if reranker else 0, index, searched_index.tensors is not None)
    show.print_results(ranking, Console(), explain, advice)


def _report(count: Count, passages: int, reranks: bool) -> None:
    count("passages searched, the best reranked" if reranks else "passages searched", passages, 0.0)


def _checked(query: str, deadline_ms: float | None, max_memory: str | None) -> str:
    """The query's text; a wrong limit is refused before anything is read."""
    from resift import arguments
    from resift.reranker import budget

    budget(deadline_ms, max_memory)
    return arguments.query(streams.decoded(query)).text


def _read_plan(pipeline: str, context: typer.Context) -> Pipeline:
    """The pipeline of an option, unless another option says what a pipeline says."""
    from resift.errors import InputError
    from resift.pipeline import read_pipeline

    sources = ((name, context.get_parameter_source(name)) for name in _OF_A_PIPELINE)
    conflicts = [name for name, source in sources if source is not None and source.name == "COMMANDLINE"]
    if conflicts:
        raise InputError(f"a pipeline says what --{conflicts[0].replace('_', '-')} says; leave one of the two out")
    return read_pipeline(pipeline)


def _check_place(paths: list[Path] | None, index: Path | None, embedder: str | None) -> None:
    from resift.errors import InputError

    if bool(paths) == bool(index):
        raise InputError("name either paths to search or an index (--index DIR)")
    if index and embedder is not None:
        raise InputError("an index has the embedder that it was made with; leave --embedder out")


def _check_model(rerank: bool, calibrated: bool, min_relevance: str | None, when: Path | None) -> None:
    """Refuse what needs a model and has none, and a rule that can't be read, before any document is read."""
    from resift.errors import InputError
    from resift.rerank.when import WhenRule

    if not rerank and (calibrated or min_relevance is not None):
        raise InputError("a first stage has no probability of relevance; leave --no-rerank out")
    if when is not None and not rerank:
        raise InputError("a rule of when to rerank needs a model; leave --no-rerank or --when out")
    if when is not None:
        WhenRule.read(when)


def _load(
    model: str | None,
    truncate: bool,
    engine: options.EngineChoice,
    calibrated: bool,
    min_relevance: str | None,
    explain: bool,
) -> Reranker:
    """The model, with its calibration where that is needed; a wrong threshold is refused before anything is read."""
    from resift.loading import load

    long_documents: LongDocuments = "truncate" if truncate else "windows"
    with_calibration = calibrated or min_relevance is not None
    reranker = load(model, long_documents=long_documents, engine=engine.value, calibrated=with_calibration)
    if min_relevance is not None:
        reranker.calibrator.least(min_relevance)
    return reranker.explaining() if explain else reranker


def hint(seconds: float, depth: int, index: Path | None, tensors: bool) -> str:
    """Advice on how to make a search faster that took over five seconds; else empty.

    Args:
        seconds: the duration of the search.
        depth: how many candidates were reranked.
        index: the folder of the index; None where files were searched.
        tensors: whether the search used stored token vectors.

    """
    if seconds < _SLOW:
        return ""
    ways = [f"--depth {_SHALLOW} (reranks fewer)"] if depth > _SHALLOW else []
    if not index:
        ways.append("`resift index PATH… -o DIR --tensors`, once, then --index DIR")
    elif depth and not tensors:
        ways.append(f"`resift index PATH… -o {index} --tensors`, once")
    return f"{seconds:.0f} s; faster: {', or '.join(ways)}" if ways else ""


def _open(folder: Path, tensors: bool) -> Index:
    from resift.api import Index

    index = Index.open(folder)
    return index if tensors else Index(index.documents, index.retriever)


def _with_progress(documents: Iterable[Document], count: Count) -> Iterator[Document]:
    """Pass documents through and show how many were read; after the last one, show that they are being indexed."""
    from resift.cli.progress import counted

    n = 0
    for document in counted(documents, "passages read", count):
        n += 1
        yield document
    count("passages indexed in memory", n, 0.0)


def _read_and_index(
    paths: list[Path], embedder: str | None, left_out: LeftOut, count: Count, plan: Pipeline | None
) -> Index:
    """Read and index paths in memory; warnings name the files that are left out."""
    from rich.console import Console

    from resift import files
    from resift.api import Index
    from resift.errors import InputError

    index = Index.of(_with_progress(files.read_paths(paths, left_out.add), count), embedder, plan)
    warnings = Console(stderr=True, soft_wrap=True)
    left_out.report(lambda line: warnings.print(line, style="yellow", markup=False, highlight=False))
    if not index.documents:
        suffixes = " ".join(sorted(files.SUFFIXES))
        raise InputError(f"nothing to search in {', '.join(map(str, paths))}: no passage in files of {suffixes}")
    return index
