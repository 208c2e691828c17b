"""`resift report EVALUATION`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    evaluation: Annotated[Path, typer.Argument(help="What `resift evaluate --output` wrote.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The page to write; by default beside the evaluation.")
    ] = None,
    pipeline: Annotated[
        str | None, typer.Option(help="Whose queries are shown before and after; by default the best with a model.")
    ] = None,
) -> None:
    """Show an evaluation as one HTML page with figures, which needs nothing from elsewhere.

    Example: resift report evaluation.json -o report.html
    """
    from resift import atomic
    from resift.errors import InputError
    from resift.evaluate import as_html, read_evaluation

    target = evaluation.with_suffix(".html") if output is None else output
    atomic.check_file(target)
    if target.absolute() == evaluation.absolute():
        raise InputError(f"{target} is the evaluation itself; name another file with --output")
    page = as_html(read_evaluation(evaluation), pipeline).encode("utf-8", "replace")
    atomic.write(target, [page])
    typer.echo(f"wrote {target} ({len(page) / 1e6:.1f} MB)", err=True)
