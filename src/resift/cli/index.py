"""`resift index PATH… -o DIR`"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resift.cli import options
from resift.cli.left_out import LISTED, LeftOut

if TYPE_CHECKING:
    from rich.console import Console

    from resift.index.build import IndexReport

# After each look at the files, --watch pauses for this many times as long as the look took. A tree of a million files
# is then walked for a tenth of the time, and not all day.
_PAUSE_PER_LOOK = 9


def index(
    paths: Annotated[list[Path], typer.Argument(help="Files and folders to index.", metavar="PATH...")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the index; made, or brought up to date.")],
    tensors: Annotated[
        bool | None,
        typer.Option("--tensors/--no-tensors", help="Store token vectors: slower to index, faster to search."),
    ] = None,
    pool: Annotated[
        int | None, typer.Option(min=1, max=3, help="Store one vector for so many neighbouring tokens.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="Of token vectors: bundled name, folder, or hub id; default: by language."),
    ] = None,
    embedder: options.NamedEmbedder = None,
    hnsw: Annotated[
        bool | None,
        typer.Option(
            "--hnsw/--no-hnsw",
            help="Find vectors by a graph (extra qdrant), or look at each. Default: by a graph above 50,000 passages.",
        ),
    ] = None,
    pipeline: options.PipelineText = None,
    replace: Annotated[bool, typer.Option("--replace", help="Remove what other paths gave to the index.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Stay, and index again when files change.")] = False,
    every: Annotated[float, typer.Option(min=0.1, help="Least seconds between looks, with --watch.")] = 2.0,
    list_skipped: options.EverySkipped = False,
    as_json: options.AsJson = False,
) -> None:
    """Index files for `resift search --index`. Run it again to take up changes: unchanged files are not read again.

    Files of paths that are not named this time stay in the index, which also keeps its settings. Where you name another
    model, embedder or pooling, every file is encoded anew. Of a pipeline, BM25's k1 and b and the embedder count.

    Example: resift index docs/ notes.md -o my.index
    """
    from rich.console import Console

    from resift.api import Index

    warn = _each_line_once(Console(stderr=True, soft_wrap=True))
    build_index = partial(
        Index.build, output, paths,
        tensors=tensors, model=model, embedder=embedder, pool=pool, hnsw=hnsw, replace=replace, pipeline=pipeline,
    )  # fmt: skip

    def build() -> IndexReport:
        return _build(build_index, LeftOut(list_skipped), warn)

    if watch:
        _watch(build, paths, output, every, as_json, warn)
    else:
        _print(build(), output, as_json)


def _watch(
    build: Callable[[], IndexReport],
    paths: list[Path],
    output: Path,
    every: float,
    as_json: bool,
    warn: Callable[[str], None],
) -> None:
    """Build again and again. An error is printed and does not end the loop: the user may mend its cause meanwhile."""
    from resift.errors import InputError

    while True:
        began = time.monotonic()
        try:
            report = build()
        except InputError as error:
            warn(str(error))
            time.sleep(every)
            continue
        if report.read or report.removed:
            _print(report, output, as_json)
        warn(f"watching {', '.join(map(str, paths))}: {output} is brought up to date when files change; Ctrl-C ends it")
        time.sleep(max(every, _PAUSE_PER_LOOK * (time.monotonic() - began)))


def _print(report: IndexReport, output: Path, as_json: bool) -> None:
    from rich.console import Console

    from resift.cli import show

    if as_json:
        show.print_json({"schema": show.SCHEMA} | asdict(report))
    else:
        Console().print(_summary(report, output), highlight=False)


def _each_line_once(console: Console) -> Callable[[str], None]:
    """A function that prints a line unless it has printed the same line before."""
    printed: set[str] = set()

    def print_line(line: str) -> None:
        if line not in printed:
            printed.add(line)
            console.print(line, style="yellow", markup=False, highlight=False)

    return print_line


def _build(build_index: Callable[..., IndexReport], left_out: LeftOut, warn: Callable[[str], None]) -> IndexReport:
    """Build the index. Skipped files are listed also where the build fails because no file is left."""
    from resift.cli.progress import counter

    try:
        with counter() as count:
            report = build_index(on_skip=left_out.add, on_progress=count)
    finally:
        left_out.report(warn)
    for path in report.gone[:LISTED]:
        warn(f"removed {path}")
    if len(report.gone) > LISTED:
        warn(f"removed {len(report.gone) - LISTED} more files")
    return report


def _summary(report: IndexReport, output: Path) -> str:
    per_passage = report.bytes / max(1, report.passages)
    others = f", {report.others} of other paths" if report.others else ""
    return (
        f"{output}: {report.passages} passages "
        f"({report.read} files read, {report.reused} unchanged{others}, {report.removed} gone), "
        f"{report.bytes / 1e6:.1f} MB, {per_passage:.0f} bytes per passage, {report.seconds:.1f} s"
    )
