"""The parts of a pipeline out of its text and out of its TOML tables."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from resift.errors import InputError
from resift.pipeline.parts import STAGES, Part, Value, check

_PART = re.compile(
    r'(?P<name>"(?:[^"\\]|\\.)*"|[\w/.:-]+)(?:@(?P<depth>\d+))?(?:\((?P<parameters>.*)\)(?:@(?P<behind>\d+))?)?'
)
_NAME = re.compile(r'"(?:[^"\\]|\\.)*"|[\w/.:-]+(?:\(layer=\d+\))?')
_QUOTED = r'"(?:[^"\\]|\\.)*"'


def split(text: str, separator: str) -> list[str]:
    """The pieces of a text between separators that stand outside of quotes, without spaces around them."""
    pieces, at = [], 0
    for match in re.finditer(f"{_QUOTED}|{re.escape(separator)}", text):
        if match.group() == separator:
            pieces.append(text[at : match.start()].strip())
            at = match.end()
    return [*pieces, text[at:].strip()]


def part_of_text(text: str) -> Part:
    """Read what `str` of a part writes.

    Raises:
        InputError: text that is no part.

    """
    *names, text = split(text, "|")
    match = _PART.fullmatch(text)
    if match is None or not all(_NAME.fullmatch(name) for name in names):
        raise InputError(
            f"{text!r} is no part of a pipeline; write bm25 + dense >> MODEL@DEPTH >> blend >> top 10, "
            "and names with other characters in double quotes"
        )
    check(match["depth"] is None or match["behind"] is None, f"{text!r} has two depths")
    digits = match["depth"] or match["behind"]
    depth = None if digits is None else int(digits)
    name, *others = map(_unquoted, [*names, match["name"]])
    return Part(name, depth, tuple(_parameters(match["parameters"] or "", name, text)), tuple(others))


def part_of_table(table: Any) -> Part:  # noqa: ANN401 - whatever a TOML file holds
    """Read a table of a TOML file.

    Raises:
        InputError: no table, or one without a name.

    """
    if not isinstance(table, dict) or not isinstance(table.get("name"), str):
        raise InputError("each retriever and stage of a pipeline is a table with a name")
    parameters = {key: value for key, value in table.items() if key not in ("name", "depth", "others")}
    depth = table.get("depth")
    check(
        depth is None or (isinstance(depth, int) and not isinstance(depth, bool)), f"a depth is a number; not {depth!r}"
    )
    others = table.get("others", [])
    names = isinstance(others, list) and all(isinstance(other, str) for other in others)
    check(names, f"others is a list of models; not {others!r}")
    return Part(table["name"], depth, tuple(parameters.items()), tuple(others))


def table_of_part(part: Part) -> dict[str, object]:
    """The entries of a part's table, in order."""
    table: dict[str, object] = {"name": part.name}
    if part.depth is not None:
        table["depth"] = part.depth
    if part.others:
        table["others"] = part.others
    return table | dict(part.parameters)


def _unquoted(name: str) -> str:
    return str(json.loads(name)) if name.startswith('"') else name


def _parameters(text: str, name: str, part: str) -> Iterator[tuple[str, Value]]:
    """Names and values; a text that stands first without a name has the first one that the step knows."""
    written: set[str] = set()
    for i, piece in enumerate(split(text, ",") if text.strip() else []):
        key, _, value = piece.partition("=")
        if i == 0 and re.fullmatch(_QUOTED, piece) and (names := STAGES.get(name)):
            key, value = names[0], piece
        check(key.strip() not in written, f"{part!r} has the parameter {key.strip()!r} twice; write it once")
        written.add(key.strip())
        try:
            yield key.strip(), json.loads(value)
        except ValueError as error:
            raise InputError(f'{piece!r} in {part!r} is no parameter; write name=1.5 or name="text"') from error
