"""`resift rerank [FILE]`: JSONL requests or a TREC run in, the same out."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from resift.cli import options

if TYPE_CHECKING:
    from resift.protocols import Stage
    from resift.types import Ranking

_TOGETHER = 64  # requests scored in one call


def rerank(
    file: Annotated[str, typer.Argument(help="JSONL requests or a TREC run; - is stdin.", metavar="[FILE]")] = "-",
    queries: Annotated[Path | None, typer.Option(help="Queries of a TREC run: JSONL with id and text.")] = None,
    documents: Annotated[Path | None, typer.Option(help="Documents of a TREC run: JSONL with id, text, title.")] = None,
    output: Annotated[str, typer.Option("--output", "-o", help="Where to write; - is stdout.")] = "-",
    top: Annotated[int | None, typer.Option("--top", "-k", min=1, help="How many to keep; all by default.")] = None,
    depth: options.Depth = options.DEFAULT_DEPTH,
    model: options.Model = options.DEFAULT_MODEL,
    blend: Annotated[
        bool | None,
        typer.Option("--blend/--no-blend", help="Let the given order count too; default: for runs, not for JSONL."),
    ] = None,
    truncate: options.Truncate = False,
) -> None:
    """Rerank what another search found.

    JSONL: {"query": "…", "documents": ["…", {"id": "d2", "text": "…"}]} on each line; out comes one line per request
    (schema: docs/json.md). A TREC run needs --queries and --documents; out comes a TREC run.
    """
    from resift.api import load

    reranker = load(model, long_documents="truncate" if truncate else "windows")
    with _reading(file) as lines, _writing(output) as out:
        if queries or documents:
            _run(lines, file, queries, documents, reranker.stage(blend is not False), depth, top, out)
        else:
            _requests(lines, file, reranker.stage(bool(blend)), depth, top, out)


def _requests(lines: IO[str], where: str, stage: Stage, depth: int, top: int | None, out: IO[str]) -> None:
    import json

    from resift import files
    from resift.cli.show import as_json
    from resift.types import Ranking

    rankings = (Ranking.unscored(query, found) for query, found in files.read_requests(lines, where))
    for ranking in _reranked(rankings, stage, depth):
        out.write(json.dumps(as_json(ranking.top(top)), ensure_ascii=False, allow_nan=False) + "\n")


def _run(
    lines: IO[str],
    where: str,
    queries: Path | None,
    documents: Path | None,
    stage: Stage,
    depth: int,
    top: int | None,
    out: IO[str],
) -> None:
    from resift import files
    from resift.errors import InputError
    from resift.types import Candidate, Query, Ranking, Signal

    if not queries or not documents:
        raise InputError("a TREC run holds ids only: give both --queries and --documents")
    run = files.read_run(lines, where)
    wanted = {line.document for found in run.values() for line in found}
    texts = {d.id: d for d in files.read_jsonl(documents) if d.id in wanted}
    asked = {q.id: q.text for q in files.read_jsonl(queries) if q.id in run}
    for kind, path, missing in (
        ("document", documents, wanted - texts.keys()),
        ("query", queries, run.keys() - asked.keys()),
    ):
        if missing:
            raise InputError(f"{len(missing)} ids of the run are not in {path}, such as {kind} {min(missing)!r}")
    rankings = (
        Ranking(Query(asked[q], q), tuple(Candidate(texts[r.document], None, (Signal("run", r.rank),)) for r in found))
        for q, found in run.items()
    )
    files.write_run((r.top(top) for r in _reranked(rankings, stage, depth)), "resift", out)


def _reranked(rankings: Iterable[Ranking], stage: Stage, depth: int) -> Iterator[Ranking]:
    """Score many requests together, so that short ones fill batches, but never hold all of them."""
    from itertools import islice

    from resift.cli.progress import counted
    from resift.errors import InputError
    from resift.protocols import Budget

    waiting = iter(rankings)
    for part in counted(iter(lambda: list(islice(waiting, _TOGETHER)), []), f"x {_TOGETHER} requests reranked"):
        for ranking in part:
            if not ranking.query.text.strip():
                raise InputError(f"query {ranking.query.id!r} is empty; ask with at least one word")
        yield from stage.run(part, Budget(depth=depth))


@contextmanager
def _reading(file: str) -> Iterator[IO[str]]:
    from resift.errors import InputError
    from resift.files import open_text

    if file == "-":
        yield sys.stdin
        return
    try:
        with open_text(Path(file)) as lines:
            yield lines
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"can't read {file}: {getattr(error, 'strerror', None) or error}") from error


@contextmanager
def _writing(output: str) -> Iterator[IO[str]]:
    """Write to a file only once all went well: what stood there before is replaced whole, or stays."""
    if output == "-":
        yield sys.stdout
        return
    from resift.errors import InputError

    part = Path(output + ".part")
    try:
        with part.open("w", encoding="utf-8") as file:
            yield file
        part.replace(output)
    except OSError as error:
        raise InputError(f"can't write {output}: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)
