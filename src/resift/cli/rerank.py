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

from resift.atomic import write
from resift.cli import options, streams

if TYPE_CHECKING:
    from resift.files import RunLine
    from resift.protocols import Stage
    from resift.reranker import Reranker
    from resift.score.options import LongDocuments
    from resift.types import Document, Ranking

_REQUESTS_PER_CALL = 64  # requests whose pairs are scored in one call


@dataclass(frozen=True, slots=True)
class RerankLimits:
    """What one request may cost and give: milliseconds, the memory of the process, and how many results."""

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
    calibrated: options.Calibrated = False,
    min_relevance: options.MinRelevance = None,
    boost: options.Boosts = None,
    deadline_ms: options.Deadline = None,
    max_memory: options.MaxMemory = None,
    truncate: options.Truncate = False,
    engine: options.EngineOption = options.EngineChoice.AUTO,
    explain: Annotated[
        bool, typer.Option("--explain", help="Give the reasons of a learned model's scores (JSONL alone).")
    ] = False,
) -> None:
    """Rerank what another search found.

    JSONL: {"query": "…", "documents": ["…", {"id": "d2", "text": "…"}]} on each line; out comes one line per request
    (schema: docs/json.md). A TREC run needs --queries and --documents; out comes a TREC run.
    """
    from resift import files
    from resift.loading import load
    from resift.reranker import budget

    budget(deadline_ms, max_memory)  # refuses a wrong limit before anything is read
    boosting = options.joined(boost)
    long_documents: LongDocuments = "truncate" if truncate else "windows"
    with_calibration = calibrated or min_relevance is not None
    reranker = load(model, long_documents=long_documents, engine=engine.value, calibrated=with_calibration)
    is_run = bool(queries or documents)
    if explain:
        reranker = _explaining(reranker, is_run)
    if deadline_ms is not None:
        reranker.warm()
    limits = RerankLimits(deadline_ms, max_memory, top)
    lines = files.read_lines(file)
    stage = reranker.stage(is_run if blend is None else blend, depth=depth, min_relevance=min_relevance, boost=boosting)
    results = (
        _reranked_run(lines, file, queries, documents, stage, limits)
        if is_run
        else _reranked_requests(lines, file, stage, limits)
    )
    if streams.is_stdout(output):
        for text in results:
            streams.put(text)
    else:
        write(output, (text.encode() for text in results))


def _explaining(reranker: Reranker, is_run: bool) -> Reranker:
    """The model, whose rankings give reasons."""
    from resift.errors import InputError
    from resift.reranker import LearnedReranker

    if is_run or not isinstance(reranker, LearnedReranker):
        raise InputError(
            "reasons are in the JSON of a learned model (`resift train ltr`), not in a TREC run and not of other "
            "models; leave --explain out"
        )
    return reranker.explaining()


def _reranked_requests(lines: Iterable[str], source: str, stage: Stage, limits: RerankLimits) -> Iterator[str]:
    """One line of JSON per line of JSONL."""
    from resift import files
    from resift.cli.show import as_json
    from resift.types import Ranking

    rankings = (Ranking.unscored(query, documents) for query, documents in files.read_requests(lines, source))
    for ranking in _reranked(rankings, stage, limits):
        yield json.dumps(as_json(ranking.top(limits.top)), ensure_ascii=False, allow_nan=False) + "\n"


def _reranked_run(
    lines: Iterable[str],
    source: str,
    queries: Path | None,
    documents: Path | None,
    stage: Stage,
    limits: RerankLimits,
) -> Iterator[str]:
    """The lines of a TREC run, one query after the other."""
    from resift import files
    from resift.errors import InputError
    from resift.types import Candidate, Query, Ranking, Signal

    if not queries or not documents:
        raise InputError("a TREC run holds ids only: give both --queries and --documents")
    run = files.read_run(lines, source)
    document_ids = {line.document for run_lines in run.values() for line in run_lines}
    documents_by_id = _by_id(documents, document_ids, "document")
    queries_by_id = _by_id(queries, run.keys(), "query")

    def candidates(run_lines: Iterable[RunLine]) -> tuple[Candidate, ...]:
        return tuple(Candidate(documents_by_id[x.document], None, (Signal("run", x.rank),)) for x in run_lines)

    rankings = (Ranking(Query(queries_by_id[id_].text, id_), candidates(run_lines)) for id_, run_lines in run.items())
    for ranking in _reranked(rankings, stage, limits):
        text = io.StringIO()
        files.write_run([ranking.top(limits.top)], "resift", text)
        yield text.getvalue()


def _by_id(path: Path, ids: AbstractSet[str], what: str) -> dict[str, Document]:
    """The documents of a file that have these ids.

    Raises:
        InputError: one of the ids is not in the file, or stands for two texts there.

    """
    from resift import files
    from resift.errors import InputError

    documents: dict[str, Document] = {}
    first = ""
    for document in files.read_file(path):
        first = first or document.id
        if document.id in ids and documents.setdefault(document.id, document).text != document.text:
            raise InputError(f"{path} has two texts under the id {document.id!r}; a run can mean only one of them")
    missing = ids - documents.keys()
    if missing:
        whose = f"whose first id is {first!r}" if first else "which holds no text"
        raise InputError(
            f"{len(missing)} ids of the run are not in {path}, {whose}, such as {what} {min(missing)!r}; "
            "give JSONL, CSV or TSV with an id and a text"
        )
    return documents


def _reranked(rankings: Iterable[Ranking], stage: Stage, limits: RerankLimits) -> Iterator[Ranking]:
    """Rerank 64 requests in one call, so that short ones fill batches, and hold no more of them.

    A deadline is each request's own, so that with one they are reranked one after the other. A request in a language
    that the model does not read is reranked only where the user named the model. Its reason says so, and the reason of
    the first such request is also printed on stderr.
    """
    from itertools import islice

    from resift.cli.progress import counted
    from resift.errors import InputError
    from resift.rerank.drive import drive
    from resift.reranker import budget
    from resift.types import NoteCode

    warned = False
    waiting, size = iter(rankings), _REQUESTS_PER_CALL if limits.deadline_ms is None else 1
    for part in counted(iter(lambda: list(islice(waiting, size)), []), f"x {size} requests reranked"):
        for ranking in part:
            if not ranking.query.text.strip():
                raise InputError(f"query {ranking.query.id!r} is empty; ask with at least one word")
        for ranking in drive(stage, part, budget(limits.deadline_ms, limits.max_memory)):
            notes = [note for note in ranking.trace.notes if note.code is NoteCode.LANGUAGE]
            if notes and not warned:
                warned = True
                typer.secho(f"warning: {notes[0].message}", fg="yellow", err=True)
            yield ranking
