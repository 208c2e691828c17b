"""`resift export MODEL OUT`"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from resift.cli import export_trees, options


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
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(help="Bundled name, model folder, or hub id (owner/name).")],
    out: Annotated[Path | None, typer.Argument(help="The folder to write; must not exist, or be empty.")] = None,
    to: Annotated[FormatChoice, typer.Option("--to", help="Format of the weights.")] = FormatChoice.OPENVINO,
    weights: Annotated[WeightsChoice, typer.Option("--weights", help="How matrices are stored.")] = WeightsChoice.FP16,
    force: Annotated[bool, typer.Option("--force", help="Write it even when the order changed too much.")] = False,
    trees_format: export_trees.Format = None,
    output: export_trees.Output = None,
    features: export_trees.Names = None,
    feature_set: export_trees.FeatureSet = None,
    field: export_trees.Fields = None,
    name: export_trees.Name = None,
    never_missing: export_trees.NeverMissing = False,
    as_json: options.AsJson = False,
) -> None:
    """Write a model folder with smaller weights or in another format, and measure what that did to the order.

    Both are compared at f32 on the probes of the model's languages; the report is kept as agreement.json.

    With --format, MODEL is a folder or file of trees (LightGBM, XGBoost), and the file of a search engine is written.

    Example: resift export ltr --format elasticsearch -o model.json
    """
    if trees_format is not None:
        target = _trees_target(ctx, out, output)
        export_trees.export_trees(
            Path(model), trees_format.value, target, features, feature_set, field or [], name, never_missing, as_json
        )
        return
    _refuse(ctx, ("output", "features", "feature_set", "field", "name", "never_missing"), "goes with --format")
    if out is None:
        raise typer.BadParameter("the folder to write is missing", ctx, param_hint="OUT")
    _export_weights(model, out, to, weights, force, as_json)


def _trees_target(ctx: typer.Context, out: Path | None, output: Path | None) -> Path:
    _refuse(ctx, ("to", "weights", "force"), "is for the weights of a model, and does not go with --format")
    if (out is None) == (output is None):
        raise typer.BadParameter("--format writes one file: name it with -o FILE", ctx, param_hint="--output")
    return out or output or Path()


def _refuse(ctx: typer.Context, parameters: tuple[str, ...], why: str) -> None:
    for parameter in parameters:
        source = ctx.get_parameter_source(parameter)
        if source is not None and source.name == "COMMANDLINE":
            raise typer.BadParameter(why, ctx, param_hint=f"--{parameter.replace('_', '-')}")


def _export_weights(
    model: str, out: Path, to: FormatChoice, weights: WeightsChoice, force: bool, as_json: bool
) -> None:
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
