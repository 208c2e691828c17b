"""`resift rerank [FILE]`: JSONL requests or a TREC run in, the same out."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resift.cli import options

if TYPE_CHECKING:
    from resift.api import Reranker
    from resift.protocols import Stage
    from resift.types import Ranking

_TOGETHER = 64  # requests scored in one call


@dataclass(frozen=True, slots=True)
class Limits:
    """Per request: candidates scored, milliseconds, and results kept; and the memory of the process."""

    depth: int
    deadline_ms: float | None
    max_memory: str | None
    top: int | None


def rerank(
    file: Annotated[str, typer.Argument(help="JSONL requests or a TREC run; - is stdin.", metavar="[FILE]")] = "-",
    queries: Annotated[Path | None, typer.Option(help="Queries of a TREC run: JSONL with id and text.")] = None,
    documents: Annotated[Path | None, typer.Option(help="Documents of a TREC run: JSONL with id, text, title.")] = None,
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
    from resift.api import budget, load

    budget(depth, deadline_ms, max_memory)  # refuses what is none before anything is read
    reranker = load(model, long_documents="truncate" if truncate else "windows", engine=engine.value)
    if deadline_ms is not None:
        reranker.score([("a", "a")])  # reads the weights before the time of the first request runs
    limits = Limits(depth, deadline_ms, max_memory, top)
    with _reading(file) as lines:
        if queries or documents:
            results = _run(lines, file, queries, documents, _Judge.of(reranker, blend is not False), limits)
        else:
            results = _requests(lines, file, _Judge.of(reranker, bool(blend)), limits)
        _write(results, output)


@dataclass(frozen=True, slots=True)
class _Judge:
    """A reranker and its stage."""

    reranker: Reranker
    stage: Stage

    @classmethod
    def of(cls, reranker: Reranker, blend: bool) -> _Judge:
        return cls(reranker, reranker.stage(blend))


def _requests(lines: Iterable[str], where: str, judge: _Judge, limits: Limits) -> Iterator[str]:
    from resift import files
    from resift.cli.show import as_json
    from resift.types import Ranking

    rankings = (Ranking.unscored(query, found) for query, found in files.read_requests(lines, where))
    for ranking in _reranked(rankings, judge, limits):
        yield json.dumps(as_json(ranking.top(limits.top)), ensure_ascii=False, allow_nan=False) + "\n"


def _run(
    lines: Iterable[str],
    where: str,
    queries: Path | None,
    documents: Path | None,
    judge: _Judge,
    limits: Limits,
) -> Iterator[str]:
    from resift import files
    from resift.errors import InputError
    from resift.types import Candidate, Query, Ranking, Signal

    if not queries or not documents:
        raise InputError("a TREC run holds ids only: give both --queries and --documents")
    run = files.read_run(lines, where)
    wanted = {line.document for found in run.values() for line in found}
    texts = {d.id: d for d in files.read_file(documents) if d.id in wanted}
    asked = {q.id: q.text for q in files.read_file(queries) if q.id in run}
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
    for ranking in _reranked(rankings, judge, limits):
        out = io.StringIO()
        files.write_run([ranking.top(limits.top)], "resift", out)
        yield out.getvalue()


def _reranked(rankings: Iterable[Ranking], judge: _Judge, limits: Limits) -> Iterator[Ranking]:
    """Score many requests together, so that short ones fill batches, but never hold all of them.

    With a deadline, which is each request's own, one after the other. A request in a language that the model does not
    read is reranked only where the model was named; its reason says so, and the first of them is told on stderr.
    """
    from itertools import islice

    from resift.api import budget
    from resift.cli.progress import counted
    from resift.errors import InputError

    told = False
    waiting, size = iter(rankings), _TOGETHER if limits.deadline_ms is None else 1
    for part in counted(iter(lambda: list(islice(waiting, size)), []), f"x {size} requests reranked"):
        for ranking in part:
            if not ranking.query.text.strip():
                raise InputError(f"query {ranking.query.id!r} is empty; ask with at least one word")
        foreign = [judge.reranker.misfit(ranking) for ranking in part]
        able = [r for r, reason in zip(part, foreign, strict=True) if judge.reranker.named or not reason]
        ranked = iter(judge.stage.run(able, budget(limits.depth, limits.deadline_ms, limits.max_memory)))
        judged = [
            next(ranked) if judge.reranker.named or not reason else r for r, reason in zip(part, foreign, strict=True)
        ]
        if any(foreign) and not told:
            told = True
            typer.secho(f"warning: {next(filter(None, foreign))}", fg="yellow", err=True)
        yield from (r.noting(reason) for r, reason in zip(judged, foreign, strict=True))


@contextmanager
def _reading(file: str) -> Iterator[Iterable[str]]:
    """The lines of a file or of stdin; what goes wrong while reading them is said of that file."""
    from resift.files.encoding import open_text
    from resift.files.formats import unreadable

    if file == "-":
        yield _lines(sys.stdin, "stdin")
        return
    try:
        opened = open_text(Path(file))
    except OSError as error:
        raise unreadable(Path(file), error) from error
    with opened:
        yield _lines(opened, file)


def _lines(lines: Iterable[str], where: str) -> Iterator[str]:
    from resift.errors import InputError

    try:
        yield from lines
    except UnicodeDecodeError as error:
        raise InputError(f"{where} is not {error.encoding.upper()} text; convert it: iconv -t utf-8") from error


def _write(results: Iterable[str], output: str) -> None:
    """Write to stdout as results come; to a file once all went well: what stood there is replaced whole, or stays."""
    from resift.errors import InputError

    if output == "-":
        for text in results:
            sys.stdout.write(text)
        sys.stdout.flush()
        return
    written = "".join(results)
    part = Path(output + ".part")
    try:
        part.write_text(written, "utf-8")
        part.replace(output)
    except OSError as error:
        raise InputError(f"can't write {output}: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)
