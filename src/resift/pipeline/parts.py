"""The steps of a pipeline: their names, their parameters, and which values these take."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from resift.errors import InputError
from resift.models.layer_names import with_layer
from resift.rerank.boost import BoostRule
from resift.rerank.field_values import UNITS, duration, moment

DEFAULT_DEPTH = 100

Value = float | str | bool

# And their parameters.
RETRIEVERS: Mapping[str, tuple[str, ...]] = {"bm25": ("k1", "b"), "dense": ("model", "weight", "rank_constant")}
# Stages without a model, and their parameters.
STAGES: Mapping[str, tuple[str, ...]] = {
    "blend": ("weight", "dense"),
    "boost": ("field", "weight", "half_life", "log", "unit", "now"),
    "relevant": ("least",),
    "when": ("rule", "deeper"),
    "ltr": ("model", "weight", "explain"),  # learning to rank: it needs no scorer, has a depth, and may stand anywhere
}
LEARNED = "ltr"

_PLAIN = re.compile(r"[\w/.:-]+(?:\(layer=\d+\))?")


@dataclass(frozen=True, slots=True)
class Part:
    """One step of a pipeline.

    Attributes:
        name: of a retriever, a model (bundled name, folder or hub id, with the layer that it stops at), or one of
            `STAGES`.
        depth: how many candidates a model looks at; None: all that there are.
        parameters: names and values, in order.
        others: the models of which one is taken where `name` does not read the language at hand.

    The layer that a model stops at, its one parameter, becomes a part of its name, by which it is loaded; of several
    models it is the last one's.

    Raises:
        InputError: a layer that is none.

    """

    name: str
    depth: int | None = None
    parameters: tuple[tuple[str, Value], ...] = ()
    others: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.name in RETRIEVERS or self.name in STAGES or [key for key, _ in self.parameters] != ["layer"]:
            return
        *before, model = self.names
        layer = self.parameters[0][1]
        check(_is_count(layer), f"the layer of {model} is a whole number of 1 or more; not {layer!r}")
        name, *others = *before, with_layer(model, int(layer))
        for field, value in (("name", name), ("others", tuple(others)), ("parameters", ())):
            object.__setattr__(self, field, value)  # how a frozen record is completed

    @property
    def names(self) -> tuple[str, ...]:
        """The name and the others."""
        return (self.name, *self.others)

    def __str__(self) -> str:
        quoted = (n if _PLAIN.fullmatch(n) else json.dumps(n, ensure_ascii=False) for n in self.names)
        name = " | ".join(quoted)
        depth = "" if self.depth is None else f"@{self.depth}"
        values = ", ".join(f"{key}={_written(value)}" for key, value in self.parameters)
        return f"{name}({values}){depth}" if values else f"{name}{depth}"

    @property
    def keys(self) -> frozenset[str]:
        """The names of the parameters that are set."""
        return frozenset(key for key, _ in self.parameters)

    def value(self, key: str) -> Value | None:
        """A parameter's value; None where it is not set."""
        return dict(self.parameters).get(key)


def _written(value: Value) -> str:
    """A value as text; equal numbers are written alike, so that equal pipelines have one text."""
    number = int(value) if isinstance(value, float) and value.is_integer() else value
    return json.dumps(number, ensure_ascii=False)


def check(condition: bool, message: str) -> None:
    """Refuse a pipeline with a message unless a condition holds."""
    if not condition:
        raise InputError(message)


def check_retriever(part: Part) -> None:
    """Refuse a retriever that there is not, or that has what it does not take."""
    check(part.name in RETRIEVERS, f"a retriever is {' or '.join(RETRIEVERS)}; not {part.name!r}")
    check(part.depth is None and not part.others, f"{part.name} takes no depth and no alternative")
    _check_parameters(part, RETRIEVERS)


def check_stage(part: Part) -> None:
    """Refuse a stage that has what it does not take."""
    check(part.name not in RETRIEVERS, f"the retriever {part.name} stands in front, joined by +")
    check(part.name not in STAGES or part.name == LEARNED or part.depth is None, f"{part.name} takes no depth")
    check(not (set(part.names) & STAGES.keys() and part.others), f"only models are joined by |; not {part}")
    _check_parameters(part, STAGES)
    check(part.name != LEARNED or part.value("model") is not None, 'ltr needs the folder of its model: ltr(model="…")')
    check(part.depth is None or part.depth >= 1, f"the depth of {part.name} is 1 or more; not {part.depth}")
    if part.name == "boost":
        boost_rule(part)


def boost_rule(part: Part) -> BoostRule:
    """What a boost does.

    Raises:
        InputError: it names no field, or its parameters do not go together.

    """
    values: dict[str, Any] = dict(part.parameters)
    check("field" in values, 'a boost names the field of the metadata; write boost(field="date", half_life="90d")')
    check("log" not in values or "half_life" not in values, "log is for numbers and half_life for dates; leave one out")
    try:
        return BoostRule(**values)
    except ValueError as error:
        raise InputError(f"{part}: {error}") from error


def _check_parameters(part: Part, names: Mapping[str, tuple[str, ...]]) -> None:
    """Refuse a parameter that the retriever or stage does not have, or whose value does not fit."""
    allowed = names.get(part.name, ("layer",))
    for key, value in part.parameters:
        check(key in allowed, f"{part.name} has no parameter {key!r}; it has {', '.join(allowed) or 'none'}")
        fits, what = _OF_RETRIEVERS.get(f"{part.name} {key}") or _VALUES[key]
        check(fits(value), f"the {key} of {part.name} is {what}; not {value!r}")


def _is_name(value: Value) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_truth(value: Value) -> bool:
    return isinstance(value, bool)


def _is_count(value: Value) -> bool:
    return _is_weight(value) and float(value) >= 1 and float(value).is_integer()


def _is_weight(value: Value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < math.inf


def _is_duration(value: Value) -> bool:
    return _can_be(duration, value)


def _is_date(value: Value) -> bool:
    return isinstance(value, str) and _can_be(moment, value)


def _can_be(read: Callable[[Value], float], value: Value) -> bool:
    try:
        read(value)
    except ValueError:
        return False
    return True


def _is_share(value: Value) -> bool:
    return _is_weight(value) and float(value) <= 1


def _is_inner_share(value: Value) -> bool:
    return _is_share(value) and 0 < float(value) < 1


def _is_relevance(value: Value) -> bool:
    return value in ("high", "some") or (_is_weight(value) and 0 < float(value) <= 1)


_VALUES: Mapping[str, tuple[Callable[[Value], bool], str]] = {
    "model": (_is_name, "a name in double quotes"),
    "field": (_is_name, "a name in double quotes"),
    "half_life": (_is_duration, 'a time with its unit in double quotes, such as "12h", "90d" or "2y"'),
    "log": (_is_truth, "true or false"),
    "unit": (lambda value: value in UNITS, '"s" or "ms"'),
    "now": (_is_date, 'a date in double quotes, such as "2026-11-27"'),
    "explain": (_is_truth, "true or false"),
    "layer": (_is_count, "a whole number of 1 or more"),
    "rule": (_is_name, "a file in double quotes"),
    "deeper": (_is_count, "a whole number of 1 or more"),
    "weight": (_is_weight, "a finite number of 0 or more"),
    "dense": (_is_share, "a number from 0 to 1"),
    "k1": (_is_weight, "a finite number of 0 or more"),
    "b": (_is_share, "a number from 0 to 1"),
    "rank_constant": (_is_weight, "a finite number of 0 or more"),
    "least": (_is_relevance, 'a probability above 0 and up to 1, "high" or "some"'),
}
# Where a retriever's parameter has the name of a stage's and takes other values.
_OF_RETRIEVERS: Mapping[str, tuple[Callable[[Value], bool], str]] = {
    "dense weight": (_is_inner_share, "a number above 0 and below 1; without a share in the order, leave it out"),
}
