"""`resift search QUERY PATH…`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from resift.cli import options


def search(
    query: Annotated[str, typer.Argument(help="What to look for.")],
    paths: Annotated[
        list[Path], typer.Argument(help="Files and folders of .txt .md .rst .html .jsonl .csv.", metavar="PATH...")
    ],
    top: Annotated[int, typer.Option("--top", "-k", min=1, help="How many results to show.")] = 10,
    depth: options.Depth = options.DEFAULT_DEPTH,
    model: options.Model = options.DEFAULT_MODEL,
    rerank: Annotated[bool, typer.Option("--rerank/--no-rerank", help="Rerank, or show BM25's order.")] = True,
    truncate: options.Truncate = False,
    as_json: options.AsJson = False,
    explain: options.Explain = False,
) -> None:
    """Search files: BM25 finds passages, the model reranks the best of them.

    Example: resift search "when does reranking hurt" docs/ notes.md faq.jsonl
    """
    from rich.console import Console

    from resift import files
    from resift.api import Index, load
    from resift.cli import show
    from resift.cli.progress import counted
    from resift.errors import InputError

    if not query.strip():
        raise InputError("the query is empty; ask with at least one word")
    stage = load(model, long_documents="truncate" if truncate else "windows").stage() if rerank else None
    skipped: list[files.Skipped] = []
    index = Index(counted(files.read_paths(paths, skipped.append), "passages read"))
    warnings = Console(stderr=True, soft_wrap=True)
    if not index.documents:
        raise InputError(f"nothing to search in {', '.join(map(str, paths))}: no passage of {_suffixes()}")
    unreadable = [s for s in skipped if "is not read" not in s.reason]
    if unreadable:
        more = f" (and {len(unreadable) - 1} more)" if len(unreadable) > 1 else ""
        warnings.print(f"skipped: {unreadable[0].reason}{more}", style="yellow", markup=False)
    ranking = index.search(query, top, depth, stage)
    if as_json:
        show.print_json(show.as_json(ranking))
        return
    console = Console()
    show.print_table(ranking, console)
    if explain:
        show.print_explanation(ranking, console)


def _suffixes() -> str:
    from resift.files import SUFFIXES

    return " ".join(sorted(SUFFIXES))
