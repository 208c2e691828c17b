"""`resift export MODEL --format FORMAT`: trees of learning to rank as the file that a search engine takes."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from resift.errors import InputError


class TreesFormat(StrEnum):
    """Files in which search engines take trees."""

    ELASTICSEARCH = "elasticsearch"
    RANKLIB = "ranklib"
    XGBOOST_JSON = "xgboost-json"
    SOLR = "solr"
    VESPA = "vespa"
    ONNX = "onnx"


Format = Annotated[
    TreesFormat | None, typer.Option("--format", help="Write trees of learning to rank for this search engine.")
]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="With --format: the file to write.")]
Names = Annotated[
    Path | None,
    typer.Option("--features", help="With --format: names of the features, one a line, in the columns' order."),
]
FeatureSet = Annotated[
    Path | None, typer.Option("--feature-set", help="With --format: also write how the engine computes the features.")
]
Fields = Annotated[
    list[str] | None,
    typer.Option("--field", metavar="NAME=FIELD", help="With --format: what the engine calls a field or a feature."),
]
Name = Annotated[
    str | None, typer.Option("--name", help="With --format: of the model in the engine; by default as its folder.")
]
NeverMissing = Annotated[
    bool, typer.Option("--never-missing", help="With --format: your word that no feature's value is ever missing.")
]


def export_trees(
    model: Path,
    format_name: str,
    output: Path,
    names: Path | None,
    feature_set: Path | None,
    fields: list[str],
    name: str | None,
    never_missing: bool,
    as_json: bool,
) -> None:
    """Write the file once it is known to score as the model does, and print by how much scores differ."""
    from dataclasses import asdict

    from resift import atomic
    from resift.cli import show
    from resift.trees import FORMATS, export, read_model

    if feature_set is not None and FORMATS[format_name].features is None:
        raise InputError(f"--feature-set is not for {format_name}: its file is complete; leave the option out")
    for target in filter(None, (output, feature_set)):
        if not target.absolute().parent.is_dir():
            raise InputError(f"can't write {target}: there is no folder {target.parent}; make it first")
    _check_columns(model)
    ensemble = read_model(model, names)
    result = export(ensemble, format_name, name or model.resolve().stem, _pairs(fields), output.name, never_missing)
    atomic.write(output, [result.content])
    if feature_set is not None and result.features is not None:
        atomic.write(feature_set, [result.features])
    if as_json:
        value = {
            "schema": show.SCHEMA,
            "out": str(output),
            "format": format_name,
            "library": ensemble.library,
            "trees": len(ensemble.trees),
            "features": ensemble.width,
            "parity": [asdict(row) for row in result.parity],
            "notes": result.notes,
            "external": [
                {"name": query.name, ("parameter" if query.kind == "parameter" else "field"): query.fields[0]}
                for query in result.external
            ],
        }
        show.print_json(value)
        return
    rows = [
        [format_name, row.rows, str(row.count), str(row.left_out), f"{row.largest_difference:.1e}"]
        for row in result.parity
    ]
    _print(rows, f"written to {output}: {len(ensemble.trees)} trees of {ensemble.library}", list(result.notes))
    for query in result.external:
        supply = (
            "pass it with each search" if query.kind == "parameter" else f"fill the numeric field {query.fields[0]}"
        )
        typer.echo(f"the engine can't compute {query.name}: {supply}", err=True)


def _check_columns(model: Path) -> None:
    """Refuse a folder whose features.toml names other columns than its trees do: its files are of two models.

    Raises:
        BrokenModel: it does.

    """
    from resift.errors import BrokenModel
    from resift.features import FEATURES_FILE, FeatureSet
    from resift.train.ltr.fit import column_names
    from resift.trees import read_model

    if not (model / FEATURES_FILE).is_file():
        return
    columns = column_names(FeatureSet.read(model / FEATURES_FILE).names)
    trees = read_model(model).features
    for i, (column, name) in enumerate(zip(columns, trees, strict=True), 1):
        if column != name:
            raise BrokenModel(
                f"{model}: column {i} is {column!r} in {FEATURES_FILE} and {name!r} in the trees; the files are of "
                "different models: copy them from one place"
            )


def _print(rows: list[list[str]], written: str, notes: list[str]) -> None:
    from rich.console import Console

    from resift.cli import show

    console = Console()
    show.print_rows(console, ("format", "rows", "compared", "left out", "largest difference"), rows)
    console.print(written, soft_wrap=True, markup=False, highlight=False)
    for note in notes:
        typer.echo(f"note: {note}", err=True)


def _pairs(fields: list[str]) -> dict[str, str]:
    pairs = {}
    for field in fields:
        name, _, target = field.rpartition("=")
        if not name or not target:
            raise InputError(f"--field is NAME=FIELD, such as text=body; not {field!r}")
        pairs[name] = target
    return pairs
