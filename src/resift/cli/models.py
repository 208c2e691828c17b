"""`resift models`"""

from __future__ import annotations

from resift.cli import options


def models(as_json: options.AsJson = False) -> None:
    """List the models that ship with Resift; any cross-encoder folder or hub id can be named too."""
    from dataclasses import asdict

    from rich.console import Console
    from rich.table import Table

    from resift.cli import show
    from resift.score.load import bundled_models

    found = bundled_models()
    if as_json:
        keep = ("name", "family", "kind", "languages", "max_tokens", "parameters", "license", "description")
        show.print_json({"schema": show.SCHEMA, "models": [{k: asdict(c)[k] for k in keep} for c in found]})
        return
    table = Table("name", "family", "score", "languages", "window", "parameters", "licence", box=None, pad_edge=False)
    for c in found:
        size = f"{c.parameters / 1e6:.0f} M"
        table.add_row(
            c.name, c.family, c.kind.value, " ".join(c.languages), str(c.max_tokens or "any"), size, c.license
        )
    Console().print(table)
