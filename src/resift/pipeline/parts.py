"""The steps of a pipeline: their names, their parameters, and which values these take."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from resift.errors import InputError

DEFAULT_DEPTH = 100

Value = float | str | bool

# And their parameters.
RETRIEVERS: Mapping[str, tuple[str, ...]] = {"bm25": ("k1", "b"), "dense": ("model", "weight", "rank_constant")}
# Stages without a model, and their parameters.
STAGES: Mapping[str, tuple[str, ...]] = {
    "blend": ("weight", "dense"), "relevant": ("least",), "when": ("rule", "deeper")
}  # fmt: skip

_PLAIN = re.compile(r"[\w/.:-]+")


@dataclass(frozen=True, slots=True)
class Part:
    """One step of a pipeline.

    Attributes:
        name: of a retriever, a model (bundled name, folder or hub id), or one of `STAGES`.
        depth: how many candidates a model looks at; None: all that there are.
        parameters: names and values, in order.
        others: the models of which one is taken where `name` does not read the language at hand.

    """

    name: str
    depth: int | None = None
    parameters: tuple[tuple[str, Value], ...] = ()
    others: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The name and the others."""
        return (self.name, *self.others)

    def __str__(self) -> str:
        quoted = (n if _PLAIN.fullmatch(n) else json.dumps(n, ensure_ascii=False) for n in self.names)
        name = " | ".join(quoted)
        depth = "" if self.depth is None else f"@{self.depth}"
        values = ", ".join(f"{key}={_written(value)}" for key, value in self.parameters)
        return f"{name}{depth}({values})" if values else f"{name}{depth}"

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
    check(part.name not in STAGES or part.depth is None, f"{part.name} takes no depth")
    check(not (set(part.names) & STAGES.keys() and part.others), f"only models are joined by |; not {part}")
    _check_parameters(part, STAGES)
    check(part.depth is None or part.depth >= 1, f"the depth of {part.name} is 1 or more; not {part.depth}")


def _check_parameters(part: Part, names: Mapping[str, tuple[str, ...]]) -> None:
    """Refuse a parameter that the retriever or stage does not have, or whose value does not fit."""
    allowed = names.get(part.name, ())
    for key, value in part.parameters:
        check(key in allowed, f"{part.name} has no parameter {key!r}; it has {', '.join(allowed) or 'none'}")
        fits, what = _OF_RETRIEVERS.get(f"{part.name} {key}") or _VALUES[key]
        check(fits(value), f"the {key} of {part.name} is {what}; not {value!r}")


def _is_name(value: Value) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_count(value: Value) -> bool:
    return _is_weight(value) and float(value) >= 1 and float(value).is_integer()


def _is_weight(value: Value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < math.inf


def _is_share(value: Value) -> bool:
    return _is_weight(value) and float(value) <= 1


def _is_inner_share(value: Value) -> bool:
    return _is_share(value) and 0 < float(value) < 1


def _is_relevance(value: Value) -> bool:
    return value in ("high", "some") or (_is_weight(value) and 0 < float(value) <= 1)


_VALUES: Mapping[str, tuple[Callable[[Value], bool], str]] = {
    "model": (_is_name, "a name in double quotes"),
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
