"""`resift judge FOLDER`"""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resift.cli import options

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from resift.judge import JudgeFolder
    from resift.types import Document, Query

_SYNTHETIC_QUERIES = 100
_UNTIL = 0.05


def judge(
    folder: Annotated[Path, typer.Argument(help="Where queries, documents and judgements are kept.")],
    queries: Annotated[Path | None, typer.Option(help="Queries: one per line, JSONL, or a table.")] = None,
    documents: options.DocumentsFile = None,
    index: Annotated[Path | None, typer.Option(help="An index, whose passages are the documents.")] = None,
    pipeline: Annotated[
        list[str] | None, typer.Option(help='To pool, such as "bm25 >> resift-mini-en@50"; may be repeated.')
    ] = None,
    pool_depth: Annotated[int, typer.Option(min=1, help="Documents of each pipeline that are judged.")] = 10,
    grades: Annotated[bool, typer.Option("--grades", help="Grades from 0 to 3 instead of yes and no.")] = False,
    until: Annotated[
        float, typer.Option(min=0, help="Stop when differences in nDCG@10 are known to +- this; 0 judges everything.")
    ] = _UNTIL,
    limit: Annotated[int | None, typer.Option(min=1, help="A random sample of so many queries.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of samples, and of the order in which documents are shown.")] = 0,
    synthetic: Annotated[
        bool, typer.Option("--synthetic", help="Judge nothing: titles become queries, marked as synthetic.")
    ] = False,
) -> None:
    """Make judgements: shows what pipelines find for your queries, blind, and takes one key for each document.

    Example: resift judge my-judgements --queries queries.txt --documents corpus.jsonl

    Every key is kept at once; `resift judge FOLDER` goes on where you stopped.
    """
    source = _JudgedData(folder, queries, documents, index, tuple(pipeline or ()), pool_depth, grades, limit, seed)
    if synthetic:
        _write_synthetic(source)
        return
    judging = _opened(source) if _begun(folder) else _created(source)
    _judge(judging, until)


@dataclass(frozen=True, slots=True)
class _JudgedData:
    """What is judged, as the command line has it."""

    folder: Path
    queries: Path | None
    documents: Path | None
    index: Path | None
    pipelines: tuple[str, ...]
    depth: int
    grades: bool
    limit: int | None
    seed: int

    def corpus(self) -> Iterable[Document]:
        """The documents of the file or of the index."""
        from resift import files
        from resift.errors import InputError

        if (self.documents is None) == (self.index is None):
            raise InputError("name the documents: either a file (--documents) or an index (--index)")
        if self.documents is not None:
            return files.read_file(self.documents)
        from resift.api import Index
        from resift.judge.judge_folder import passages

        return passages(Index.open(str(self.index)).documents)


def _begun(folder: Path) -> bool:
    from resift.judge import JudgeFolder

    return JudgeFolder.exists(folder)


def _write_synthetic(source: _JudgedData) -> None:
    from resift.errors import InputError
    from resift.judge.judge_folder import escaped
    from resift.judge.synthetic import write_synthetic

    if source.queries is not None or source.pipelines or source.grades:
        raise InputError("--synthetic makes queries from titles; leave --queries, --pipeline and --grades out")
    limit = source.limit or _SYNTHETIC_QUERIES
    count, size = write_synthetic(source.folder, escaped(source.corpus()), limit, source.seed)
    typer.echo(
        f"wrote {count} synthetic queries over {size} documents without their titles to {source.folder}: "
        "they are no questions of people, so write 30 real ones soon\n"
        f"next: resift evaluate {shlex.quote(str(source.folder))}"
    )


def _created(source: _JudgedData) -> JudgeFolder:
    """A new folder with its pool."""
    from resift.cli.progress import counter
    from resift.errors import InputError
    from resift.evaluate.document_store import DocumentStore
    from resift.judge import JudgeFolder, pooled
    from resift.judge.judge_folder import escaped, refuse_taken

    if source.queries is None:
        raise InputError(
            "name the queries to judge: --queries FILE, one on each line; without any, --synthetic makes some of titles"
        )
    refuse_taken(source.folder)
    chosen = _queries(source)
    with counter() as count:
        store = DocumentStore(escaped(source.corpus()))
        pool = pooled(chosen, store, source.pipelines, source.depth, source.seed, on_progress=count)
    if not source.pipelines:
        typer.echo(f"resift: no pipeline was named, so these are pooled: {', '.join(pool.pipelines)}", err=True)
    return JudgeFolder.create(source.folder, chosen, store, pool, 3 if source.grades else 1)


def _queries(source: _JudgedData) -> list[Query]:
    import random
    from dataclasses import replace

    from resift.cli.left_out import say_repeated
    from resift.judge import read_queries
    from resift.judge.judge_folder import escaped_id

    file = read_queries(source.queries or Path())
    say_repeated(file.repeated)
    chosen = [replace(query, id=escaped_id(query.id)) for query in file.queries]
    if source.limit is not None and source.limit < len(chosen):
        typer.echo(f"resift: {source.limit} of {len(chosen)} queries are judged: a random sample", err=True)
        chosen = random.Random(source.seed).sample(chosen, source.limit)
    return chosen


def _opened(source: _JudgedData) -> JudgeFolder:
    """A folder that was begun, with pipelines that are new to it."""
    from resift.cli.progress import counter
    from resift.errors import InputError
    from resift.judge import JudgeFolder, pooled
    from resift.pipeline import read_pipeline

    if source.queries or source.documents or source.index or source.limit:
        raise InputError(
            f"{source.folder} has its queries and documents; leave --queries, --documents, --index and --limit out to "
            "go on, or name a new folder"
        )
    judging = JudgeFolder(source.folder)
    if source.grades and judging.top_grade == 1:
        raise InputError(f"{source.folder} was begun with yes and no; leave --grades out, or name a new folder")
    new = [p for p in map(read_pipeline, source.pipelines) if str(p) not in judging.pool.pipelines]
    if new:
        with counter() as count:
            queries = list(judging.queries.values())
            pool = pooled(queries, judging.documents, new, judging.pool.depth, judging.pool.seed, on_progress=count)
        judging.extend(pool)
    return judging


def _judge(judging: JudgeFolder, until: float) -> None:
    from rich.console import Console

    from resift.cli.judge_screen import Ending, JudgeScreen
    from resift.cli.keys import keys
    from resift.errors import InputError
    from resift.judge import JudgingSession

    with judging.writing():
        screen = JudgeScreen(JudgingSession(judging), Console(highlight=False), until)
        try:
            with keys() as pressed:
                ending = screen.run(pressed)
        except KeyboardInterrupt:
            ending = Ending.STOPPED
        screen.close(ending)
    if ending is Ending.NO_KEYS:
        raise InputError("no key came from stdin; run it in a terminal, or pipe keys in: y, n, s, u, q")
    typer.echo(_next_steps(judging))
    if ending is Ending.STOPPED:
        sys.exit(130)


def _next_steps(judging: JudgeFolder) -> str:
    """The commands by which to go on, and to evaluate."""
    folder = shlex.quote(str(judging.path))
    return f"go on: resift judge {folder}\nevaluate: resift evaluate {folder} {_pipelines(judging.pool.pipelines)}"


def _pipelines(texts: Sequence[str]) -> str:
    """The options of those that rerank; their first stages are evaluated anyway."""
    reranking = [text for text in texts if ">>" in text] or list(texts)
    return " ".join(f"--pipeline {shlex.quote(text)}" for text in reranking)
