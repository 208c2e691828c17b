"""`resift models`"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from resift.cli import options

if TYPE_CHECKING:
    from resift.models.registry import CheckpointRow


def models(
    lang: Annotated[str, typer.Option("--lang", help="Only models that read this language (en, vi, zh …).")] = "",
    license: Annotated[str, typer.Option("--license", help="commercial, or a licence by name.")] = "",
    max_tokens: Annotated[int, typer.Option("--max-tokens", min=0, help="Only windows of at least this.")] = 0,
    family: Annotated[str, typer.Option("--family", help="Only this family, such as encoder or late.")] = "",
    as_json: options.AsJson = False,
) -> None:
    """List the models that ship with Resift, then the checkpoints that it knows; others load too.

    A model does not meet a condition on a fact that is unknown. "multi" is a model of many languages, not listed.
    """
    from rich.console import Console

    from resift.cli import show
    from resift.errors import InputError
    from resift.models.families import FAMILIES
    from resift.models.registry import bundled_row, rows, select
    from resift.score.load import bundled_models

    if family and family not in FAMILIES:
        raise InputError(f"{family!r} is no family; one of {', '.join(FAMILIES)}")
    if lang and not (len(lang) == 2 and lang.isascii() and lang.isalpha()):
        raise InputError(f"{lang!r} is no language code of two letters, such as en, vi or zh")
    every_row = [*map(bundled_row, bundled_models()), *rows().values()]
    selection = select(every_row, lang, license, max_tokens, family)
    if as_json:
        show.print_json({"schema": show.SCHEMA, "models": [_as_json(row) for row in selection]})
        return
    headings = ("name", "family", "score", "languages", "window", "parameters", "licence", "commercial", "loads")
    show.print_rows(Console(), headings, [_cells(row) for row in selection])


def _cells(row: CheckpointRow) -> list[str]:
    return [
        row.id, row.family, row.kind, " ".join(row.languages) or "unknown", _window(row), _size(row), row.license,
        row.commercial, "yes" if row.supported else "not yet",
    ]  # fmt: skip


def _as_json(row: CheckpointRow) -> dict[str, Any]:
    """A row in the schema of docs/json.md, without the facts that are not known."""
    facts = {
        "name": row.id,
        "family": row.family,
        "kind": row.kind,
        "languages": list(row.languages),
        "max_tokens": row.max_tokens,
        "parameters": row.parameters,
        "license": row.license,
        "commercial": row.commercial,
        "supported": row.supported,
        "description": row.note,
        "source": dict(row.source),
    }
    return {k: v for k, v in facts.items() if v not in (None, "", [], "unknown")}


def _window(row: CheckpointRow) -> str:
    return "any" if row.max_tokens == 0 else str(row.max_tokens or "unknown")


def _size(row: CheckpointRow) -> str:
    if row.parameters is None:
        return "unknown"
    return f"{row.parameters / 1e9:.1f} B" if row.parameters >= 1e9 else f"{row.parameters / 1e6:.0f} M"
