"""A model's name with the layer that it stops at: `my-model(layer=4)`, in commands, pipelines and the library alike."""

from __future__ import annotations

import re

_AT_LAYER = re.compile(r"(?P<name>.+)\(\s*layer\s*=\s*(?P<layer>\d+)\s*\)")


def split_layer(name: str) -> tuple[str, int | None]:
    """A name without its layer, and the layer; None where it has none."""
    match = _AT_LAYER.fullmatch(name)
    return (match["name"], int(match["layer"])) if match else (name, None)


def with_layer(name: str, layer: int | None) -> str:
    """The name that `split_layer` reads."""
    return name if layer is None else f"{name}(layer={layer})"
