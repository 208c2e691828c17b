"""`resift export MODEL OUT`"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from resift.cli import options


class FormatChoice(StrEnum):
    """File formats of exported weights."""

    OPENVINO = "openvino"
    ONNX = "onnx"


class WeightsChoice(StrEnum):
    """Number formats of exported matrices."""

    F32 = "f32"
    FP16 = "fp16"
    INT8 = "int8"


def export(
    model: Annotated[str, typer.Argument(help="Bundled name, model folder, or hub id (owner/name).")],
    out: Annotated[Path, typer.Argument(help="The folder to write; must not exist, or be empty.")],
    to: Annotated[FormatChoice, typer.Option("--to", help="Format of the weights.")] = FormatChoice.OPENVINO,
    weights: Annotated[WeightsChoice, typer.Option("--weights", help="How matrices are stored.")] = WeightsChoice.FP16,
    force: Annotated[bool, typer.Option("--force", help="Write it even when the order changed too much.")] = False,
    as_json: options.AsJson = False,
) -> None:
    """Write a model folder with smaller weights or in another format, and measure what that did to the order.

    Both are compared at f32 on the probes of the model's languages; the report is kept as agreement.json.
    """
    from dataclasses import asdict

    from rich.console import Console

    from resift.cli import show
    from resift.inspection import export as exporting

    report = exporting.export(model, out, to.value, weights.value, force)
    if as_json:
        show.print_json({"schema": show.SCHEMA, "out": str(out), **asdict(report)})
        return
    rows = [
        ["weights, MB", f"{report.source_bytes / 1e6:.1f}", f"{report.bytes / 1e6:.1f}", ""],
        ["pairs per second, f32", f"{report.source_pairs_per_second:.0f}", f"{report.pairs_per_second:.0f}", ""],
        ["Kendall's tau", "1", f"{report.tau:.4f}", f"{report.least_tau}"],
        ["ten best kept", "100 %", f"{report.top10:.1%}", f"{report.least_top10:.0%}"],
        ["largest change of a score", "0", f"{report.max_delta:.1e}", ""],
    ]
    console = Console()
    show.print_rows(console, ("", report.model, f"{to.value} {weights.value}", "least"), rows)
    verdict = "" if report.passed else "; the order changed more than it should"
    console.print(
        f"written to {out}: {report.pairs} probe pairs in {', '.join(report.languages)}{verdict}", soft_wrap=True
    )
