"""`resift search QUERY PATH…`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resift.cli import options

if TYPE_CHECKING:
    from resift.api import Index


def search(
    query: Annotated[str, typer.Argument(help="What to look for.")],
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Files and folders (formats: docs/cli.md).", metavar="PATH...")
    ] = None,
    index: Annotated[
        Path | None, typer.Option("--index", help="An index made by `resift index`, instead of paths.")
    ] = None,
    top: Annotated[int, typer.Option("--top", "-k", min=1, help="How many results to show.")] = 10,
    depth: options.Depth = options.DEFAULT_DEPTH,
    model: options.NamedModel = None,
    embedder: options.Embedder = None,
    rerank: Annotated[
        bool, typer.Option("--rerank/--no-rerank", help="Rerank, or show the first stage's order.")
    ] = True,
    blend: Annotated[bool, typer.Option("--blend/--no-blend", help="Let the first stage's order count too.")] = True,
    tensors: Annotated[
        bool, typer.Option("--tensors/--no-tensors", help="Use the index's stored token vectors.")
    ] = True,
    deadline_ms: options.Deadline = None,
    max_memory: options.MaxMemory = None,
    truncate: options.Truncate = False,
    engine: options.Engine = options.EngineChoice.AUTO,
    as_json: options.AsJson = False,
    explain: options.Explain = False,
) -> None:
    """Search files: words and vectors find passages, the model reranks the best of them.

    Example: resift search "when does reranking hurt" docs/ notes.md faq.jsonl
    """
    from rich.console import Console

    from resift.api import budget, load
    from resift.cli import show
    from resift.errors import InputError

    budget(depth, deadline_ms, max_memory)  # refuses what is none before anything is read
    if not query.strip():
        raise InputError("the query is empty; ask with at least one word")
    if bool(paths) == bool(index):
        raise InputError("name either paths to search or an index (--index DIR)")
    if index and embedder:
        raise InputError("an index has the embedder that it was made with; leave --embedder out")
    reranker = (
        load(model, long_documents="truncate" if truncate else "windows", engine=engine.value) if rerank else None
    )
    found = _opened(index, tensors) if index else _read(paths or [], embedder or options.DEFAULT_EMBEDDER)
    if reranker and deadline_ms is not None:
        reranker.score([(query, query)])  # reads the weights before the time runs
    ranking = found.search(query, top, depth, reranker, blend, deadline_ms, max_memory)
    if as_json:
        show.print_json(show.as_json(ranking))
        return
    console = Console()
    show.print_table(ranking, console)
    if explain:
        show.print_explanation(ranking, console)


def _opened(folder: Path, tensors: bool) -> Index:
    from resift.api import Index

    opened = Index.open(folder)
    return opened if tensors else Index(opened.documents, opened.retriever)


def _read(paths: list[Path], embedder: str) -> Index:
    """Read and index paths in memory; what could not be read is said once."""
    from rich.console import Console

    from resift import files
    from resift.api import Index
    from resift.cli.progress import counted
    from resift.errors import InputError

    skipped: list[files.Skipped] = []
    made = Index.of(counted(files.read_paths(paths, skipped.append), "passages read"), embedder)
    if not made.documents:
        known = " ".join(sorted(files.SUFFIXES))
        raise InputError(f"nothing to search in {', '.join(map(str, paths))}: no passage in files of {known}")
    unreadable = [s for s in skipped if "is not read" not in s.reason]
    if unreadable:
        more = f" (and {len(unreadable) - 1} more)" if len(unreadable) > 1 else ""
        warnings = Console(stderr=True, soft_wrap=True)
        warnings.print(f"skipped: {unreadable[0].reason}{more}", style="yellow", markup=False)
    return made
