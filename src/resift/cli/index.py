"""`resift index PATH… -o DIR`"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resift.cli import options
from resift.cli.left_out import NAMED, LeftOut

if TYPE_CHECKING:
    from rich.console import Console

    from resift.index.build import Built

_REST = 9  # times as long as it took rests --watch between two looks: a tree of a million files is not walked all day


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
        str | None, typer.Option("--model", "-m", help="Of token vectors: bundled name, model folder, or hub id.")
    ] = None,
    embedder: options.Embedder = None,
    hnsw: Annotated[
        bool | None,
        typer.Option(
            "--hnsw/--no-hnsw",
            help="Find vectors by a graph (extra qdrant), or look at each. Default: by a graph above 50,000 passages.",
        ),
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Remove what other paths gave to the index.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Stay, and index again when files change.")] = False,
    every: Annotated[float, typer.Option(min=0.1, help="Least seconds between looks, with --watch.")] = 2.0,
    list_skipped: options.EverySkipped = False,
    as_json: options.AsJson = False,
) -> None:
    """Index files for `resift search --index`. Run it again to take up changes: unchanged files are not read again.

    Files of paths that are not named this time stay, and so do the index's settings: naming another encodes it anew.

    Example: resift index docs/ notes.md -o my.index
    """
    from rich.console import Console

    wishes, said = Wishes(tensors, pool, model, embedder, hnsw, replace), set[str]()
    say = _once(said, Console(stderr=True, soft_wrap=True))

    def build() -> Built:
        return _build(paths, output, wishes, LeftOut(list_skipped), say)

    if watch:
        _watch(build, paths, output, every, as_json, say)
    else:
        _print(build(), output, as_json)


def _watch(
    build: Callable[[], Built],
    paths: list[Path],
    output: Path,
    every: float,
    as_json: bool,
    say: Callable[[str], None],
) -> None:
    """Build again and again; what went wrong is said, and the next look may find it mended."""
    from resift.errors import InputError

    while True:
        began = time.monotonic()
        try:
            built = build()
        except InputError as error:
            say(str(error))
            time.sleep(every)
            continue
        if built.read or built.removed:
            _print(built, output, as_json)
        say(f"watching {', '.join(map(str, paths))}: {output} is brought up to date when files change; Ctrl-C ends it")
        time.sleep(max(every, _REST * (time.monotonic() - began)))


def _print(built: Built, output: Path, as_json: bool) -> None:
    from rich.console import Console

    from resift.cli import show

    if as_json:
        show.print_json({"schema": show.SCHEMA} | asdict(built))
    else:
        Console().print(_summary(built, output), highlight=False)


def _once(said: set[str], console: Console) -> Callable[[str], None]:
    """A function that prints a line unless it was printed before."""

    def say(line: str) -> None:
        if line not in said:
            said.add(line)
            console.print(line, style="yellow", markup=False, highlight=False)

    return say


@dataclass(frozen=True)
class Wishes:
    """What was named of an index's settings (None: nothing), and whether what other paths gave is to go."""

    tensors: bool | None
    pool: int | None
    model: str | None
    embedder: str | None
    hnsw: bool | None
    replace: bool


def _build(paths: list[Path], output: Path, wishes: Wishes, left_out: LeftOut, say: Callable[[str], None]) -> Built:
    """Build the index; what was left out is said also when nothing remains."""
    from resift.api import Index
    from resift.cli.progress import counter

    try:
        with counter() as count:
            built = Index.build(output, paths, 
                tensors=wishes.tensors, model=wishes.model, embedder=wishes.embedder, pool=wishes.pool,
                hnsw=wishes.hnsw, replace=wishes.replace, on_skip=left_out.add, on_progress=count,
            )  # fmt: skip
    finally:
        left_out.tell(say)
    for path in built.gone[:NAMED]:
        say(f"removed {path}")
    if len(built.gone) > NAMED:
        say(f"removed {len(built.gone) - NAMED} more files")
    return built


def _summary(built: Built, output: Path) -> str:
    per_passage = built.bytes / max(1, built.passages)
    others = f", {built.others} of other paths" if built.others else ""
    return (
        f"{output}: {built.passages} passages "
        f"({built.read} files read, {built.reused} unchanged{others}, {built.removed} gone), "
        f"{built.bytes / 1e6:.1f} MB, {per_passage:.0f} bytes per passage, {built.seconds:.1f} s"
    )
