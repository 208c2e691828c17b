"""A row of the table of features, and a feature of a set: such a row with its parameters."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from resift.errors import InputError
from resift.features.matrix import Column
from resift.features.query_view import QueryView

Value = str | int | float | tuple[str, ...]
Parameters = Mapping[str, Value]
Expected = Value | type | frozenset[str]

_UNNAMED = frozenset(("kind", "categories"))  # what the data have to be, which tells no two features of a set apart
_IN_NAMES = re.compile(r"[\s\",:\[\]{}<>]")  # characters that LightGBM or XGBoost refuses in the name of a column


@dataclass(frozen=True, slots=True)
class Definition:
    """One row of the table of features.

    Attributes:
        name: of the feature.
        version: raised by every change that gives another number for the same candidates.
        compute: of a query's candidates and the parameters, one float64 per candidate, NaN where there is none.
        purpose: what the number says, for people.
        parameters: name -> default, or of a parameter that has none its type, or the texts to choose from.
        direction: 1 where more can only speak for relevance, -1 where it can only speak against it, else 0.
        within_query: whether a value depends on the other candidates, so that no search engine computes it alone.
        categorical: whether the values are codes, whose order means nothing.

    """

    name: str
    version: int
    compute: Callable[[QueryView, Parameters], Column]
    purpose: str
    parameters: Mapping[str, Expected] = field(default_factory=dict)
    direction: int = 0
    within_query: bool = False
    categorical: bool = False


@dataclass(frozen=True, slots=True)
class Feature:
    """One column: a row of the table of features with its parameters, those that are left out at their defaults."""

    definition: Definition
    parameters: Parameters

    @classmethod
    def of(cls, definition: Definition, parameters: Parameters) -> Feature:
        """Check the parameters.

        Raises:
            InputError: an unknown parameter, one of another type, or one that is missing.

        """
        name, expected = definition.name, definition.parameters
        if unknown := sorted(parameters.keys() - expected.keys()):
            raise InputError(
                f"feature {name!r} has no parameter {unknown[0]!r}; it has {', '.join(expected) or 'none'}"
            )
        values = {key: _checked(definition.name, key, default, parameters) for key, default in expected.items()}
        return cls(definition, values)

    @property
    def column(self) -> str:
        """The column's name, such as "score(bm25)"; characters that LightGBM or XGBoost refuses become "_"."""
        shown = []
        for key, default in self.definition.parameters.items():
            value = self.parameters[key]
            if key in _UNNAMED:
                continue
            if isinstance(default, (type, frozenset)):
                shown.append("+".join(value) if isinstance(value, tuple) else str(value))
            elif value != default and not isinstance(value, tuple):
                shown.append(f"{key}={value:g}" if isinstance(value, float) else f"{key}={value}")
        inside = f"({';'.join(shown)})" if shown else ""
        return _IN_NAMES.sub("_", f"{self.definition.name}{inside}")


def _checked(name: str, key: str, expected: Expected, parameters: Parameters) -> Value:
    """The value of a parameter; its default, or the type of one without a default, says what it has to be."""
    value, what = parameters.get(key), f"parameter {key!r} of feature {name!r}"
    if isinstance(expected, frozenset):
        if value not in expected:
            raise InputError(f"{what} is one of {', '.join(sorted(expected))}; not {value!r}")
        return str(value)
    if value is None:
        if isinstance(expected, type):
            raise InputError(f"feature {name!r} needs the parameter {key!r}")
        return expected
    kind = expected if isinstance(expected, type) else type(expected)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, kind) or isinstance(value, bool) or not _usable(value):
        raise InputError(f"{what} is {_WORDS[kind]}; not {list(value) if isinstance(value, tuple) else value!r}")
    return value


def _usable(value: Value) -> bool:
    if isinstance(value, tuple):
        return bool(value) and all(isinstance(item, str) for item in value) and len(set(value)) == len(value)
    return bool(value) if isinstance(value, str) else 0 < value < math.inf


_WORDS = {
    str: "a text",
    int: "a whole number from 1",
    float: "a number above 0",
    tuple: "a list of texts, each once",
}
