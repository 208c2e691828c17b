"""`resift doctor MODEL`"""

from __future__ import annotations

from typing import Annotated

import typer

from resift.cli import options


def doctor(
    model: Annotated[str, typer.Argument(help="Bundled name, model folder, or hub id (owner/name).")],
    as_json: options.AsJson = False,
) -> None:
    """Examine a model: files, input, numbers, engines, trivial pairs in four languages; exit code 1 on a failure."""
    from dataclasses import asdict

    from rich.console import Console
    from rich.markup import escape

    from resift.cli import show
    from resift.inspection.doctor import examine

    styles = {"ok": "green", "note": "dim", "warn": "yellow", "fail": "bold red"}
    console = Console(soft_wrap=True)
    findings = []
    for finding in examine(model):
        findings.append(finding)
        if not as_json:
            style = styles[finding.status]
            console.print(f"[{style}]{finding.status:<4}[/]  {finding.check:<14}  {escape(finding.message)}")
    failed = sum(f.status == "fail" for f in findings)
    if as_json:
        rows = [asdict(f) for f in findings]
        show.print_json({"schema": show.SCHEMA, "model": model, "ok": not failed, "findings": rows})
    else:
        console.print(f"{model}: {failed} of {len(findings)} checks failed" if failed else f"{model}: fit for use")
    if failed:
        raise typer.Exit(1)
