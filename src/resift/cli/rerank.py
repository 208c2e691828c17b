"""`resift rerank [FILE]`: JSONL requests or a TREC run in, the same out."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resift.atomic import blaming, in_place, replacing, write_all
from resift.cli import options, streams

if TYPE_CHECKING:
    from resift.protocols import Stage
    from resift.types import Document, Ranking

_TOGETHER = 64  # requests scored in one call


@dataclass(frozen=True, slots=True)
class Limits:
    """Per request: milliseconds and results kept; and the memory of the process."""

    deadline_ms: float | None
    max_memory: str | None
    top: int | None


def rerank(
    file: Annotated[str, typer.Argument(help="JSONL requests or a TREC run; - is stdin.", metavar="[FILE]")] = "-",
    queries: Annotated[Path | None, typer.Option(help="Queries of a TREC run: JSONL or TSV, id and text.")] = None,
    documents: Annotated[Path | None, typer.Option(help="Documents of a TREC run: id, text, title.")] = None,
    output: Annotated[str, typer.Option("--output", "-o", help="Where to write; - is stdout.")] = "-",
    top: Annotated[int | None, typer.Option("--top", "-k", min=1, help="How many to keep; all by default.")] = None,
    depth: options.Depth = options.DEFAULT_DEPTH,
    model: options.NamedModel = None,
    blend: Annotated[
        bool | None,
        typer.Option("--blend/--no-blend", help="Let the given order count too; default: for runs, not for JSONL."),
    ] = None,
    deadline_ms: options.Deadline = None,
    max_memory: options.MaxMemory = None,
    truncate: options.Truncate = False,
    engine: options.Engine = options.EngineChoice.AUTO,
) -> None:
    """Rerank what another search found.

    JSONL: {"query": "…", "documents": ["…", {"id": "d2", "text": "…"}]} on each line; out comes one line per request
    (schema: docs/json.md). A TREC run needs --queries and --documents; out comes a TREC run.
    """
    from resift import files
    from resift.api import load
    from resift.reranker import budget

    budget(deadline_ms, max_memory)  # refuses what is none before anything is read
    reranker = load(model, long_documents="truncate" if truncate else "windows", engine=engine.value)
    if deadline_ms is not None:
        reranker.score([("a", "a")])  # reads the weights before the time of the first request runs
    limits = Limits(deadline_ms, max_memory, top)
    lines = files.read_lines(file)
    if queries or documents:
        results = _run(lines, file, queries, documents, reranker.stage(blend is not False, depth=depth), limits)
    else:
        results = _requests(lines, file, reranker.stage(bool(blend), depth=depth), limits)
    _write(results, output)


def _requests(lines: Iterable[str], where: str, stage: Stage, limits: Limits) -> Iterator[str]:
    from resift import files
    from resift.cli.show import as_json
    from resift.types import Ranking

    rankings = (Ranking.unscored(query, found) for query, found in files.read_requests(lines, where))
    for ranking in _reranked(rankings, stage, limits):
        yield json.dumps(as_json(ranking.top(limits.top)), ensure_ascii=False, allow_nan=False) + "\n"


def _run(
    lines: Iterable[str],
    where: str,
    queries: Path | None,
    documents: Path | None,
    stage: Stage,
    limits: Limits,
) -> Iterator[str]:
    from resift import files
    from resift.errors import InputError
    from resift.types import Candidate, Query, Ranking, Signal

    if not queries or not documents:
        raise InputError("a TREC run holds ids only: give both --queries and --documents")
    run = files.read_run(lines, where)
    wanted = {line.document for found in run.values() for line in found}
    texts = _by_id(documents, wanted, "document")
    asked = {id_: q.text for id_, q in _by_id(queries, run.keys(), "query").items()}
    rankings = (
        Ranking(Query(asked[q], q), tuple(Candidate(texts[r.document], None, (Signal("run", r.rank),)) for r in found))
        for q, found in run.items()
    )
    for ranking in _reranked(rankings, stage, limits):
        out = io.StringIO()
        files.write_run([ranking.top(limits.top)], "resift", out)
        yield out.getvalue()


def _by_id(path: Path, wanted: AbstractSet[str], what: str) -> dict[str, Document]:
    """Those of a file's documents whose ids a run names; all of them have to be there."""
    from resift import files
    from resift.errors import InputError

    texts: dict[str, Document] = {}
    first = ""
    for document in files.read_file(path):
        first = first or document.id
        if document.id in wanted and texts.setdefault(document.id, document).text != document.text:
            raise InputError(f"{path} has two texts under the id {document.id!r}; a run can mean only one of them")
    missing = wanted - texts.keys()
    if missing:
        whose = f"whose first id is {first!r}" if first else "which holds no text"
        raise InputError(
            f"{len(missing)} ids of the run are not in {path}, {whose}, such as {what} {min(missing)!r}; "
            "give JSONL, CSV or TSV with an id and a text"
        )
    return texts


def _reranked(rankings: Iterable[Ranking], stage: Stage, limits: Limits) -> Iterator[Ranking]:
    """Score many requests together, so that short ones fill batches, but never hold all of them.

    With a deadline, which is each request's own, one after the other. A request in a language that the model does not
    read is reranked only where the model was named; its reason says so, and the first of them is told on stderr.
    """
    from itertools import islice

    from resift.cli.progress import counted
    from resift.errors import InputError
    from resift.rerank.drive import drive
    from resift.reranker import budget
    from resift.types import NoteCode

    told = False
    waiting, size = iter(rankings), _TOGETHER if limits.deadline_ms is None else 1
    for part in counted(iter(lambda: list(islice(waiting, size)), []), f"x {size} requests reranked"):
        for ranking in part:
            if not ranking.query.text.strip():
                raise InputError(f"query {ranking.query.id!r} is empty; ask with at least one word")
        for ranking in drive(stage, part, budget(limits.deadline_ms, limits.max_memory)):
            foreign = [note for note in ranking.trace.notes if note.code is NoteCode.LANGUAGE]
            if foreign and not told:
                told = True
                typer.secho(f"warning: {foreign[0].message}", fg="yellow", err=True)
            yield ranking


def _write(results: Iterable[str], output: str) -> None:
    """Write to stdout, a pipe or a device as results come; a file is replaced whole once all went well, or stays."""
    target = Path(output)
    if streams.is_stdout(output):
        for text in results:
            streams.put(text)
    elif in_place(target):
        with blaming(output):
            file = target.open("wb", buffering=0)
        with file:
            for text in results:
                with blaming(output):
                    write_all(file, text.encode())
    else:
        written = "".join(results).encode()
        with blaming(output), replacing(target) as whole:
            whole.write(written)
