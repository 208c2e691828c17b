"""Reads rows of features in the format of SVMlight and LETOR, with LightGBM's file of query sizes where it has one.

    2 qid:10 1:0.031 2:0.666 46:1 # a comment

The label comes first, then the query, then features by their numbers, in any order; what is left out is 0, as SVMlight
and LightGBM read it, or missing, as XGBoost reads it.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from resift import files
from resift.errors import InputError
from resift.rerank.ranking_function import Floats, Matrix
from resift.train.ltr.rows import Integers

_FORM = "a line is LABEL qid:QUERY 1:0.5 2:3 …"
_MOST_FEATURES = 100_000


@dataclass(frozen=True, eq=False)
class LetorFile:
    """What a file holds.

    Attributes:
        matrix: (n, F); column 0 is the feature of the lowest number, 0 or 1.
        labels: (n,) as they stand there.
        queries: (n,) the query of each row.
        first: the number of the first column's feature: 0 where the file has a feature 0, else 1.

    """

    matrix: Matrix
    labels: Floats
    queries: tuple[str, ...]
    first: int

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the columns by the file's own numbers."""
        return tuple(f"feature {i + self.first}" for i in range(self.matrix.shape[1]))


@dataclass(slots=True)
class _Rows:
    """Rows as they are read: numbers and values of all features one behind the other."""

    labels: list[float] = field(default_factory=list)
    queries: list[str] = field(default_factory=list)
    rows: array[int] = field(default_factory=lambda: array("q"))
    columns: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("f"))


def read_letor(path: Path, absent: str = "zero", sizes: Path | None = None, first: int | None = None) -> LetorFile:
    """Read a file, gzip too.

    Args:
        path: of the rows.
        absent: what a feature is that a line leaves out: "zero" or "missing".
        sizes: LightGBM's file of query sizes, one number a line; None: `path` with ".query" in place of or behind its
            suffix, where lines have no qid.
        first: the number of the first feature, 0 or 1, so that two files of one data set agree; None: 0 where the
            file has a feature 0.

    Raises:
        InputError: the file can't be read, a line is malformed, or queries are neither in it nor beside it.

    """
    if absent not in ("zero", "missing"):
        raise InputError(f'an absent feature is "zero" or "missing"; not {absent!r}')
    rows = _Rows()
    for number, line in enumerate(files.read_lines(str(path)), 1):
        if fields := line.partition("#")[0].split():
            _add(rows, fields, f"{path}:{number}")
    if not rows.labels:
        raise InputError(f"{path} holds no row; {_FORM}")
    queries = rows.queries or _of_sizes(path, sizes, len(rows.labels))
    columns = np.frombuffer(rows.columns, np.int64) if rows.columns else np.zeros(0, np.int64)
    lowest = 0 if columns.size and columns.min() == 0 else 1
    if first == 1 and lowest == 0:
        raise InputError(f"{path} has a feature 0, and the first is 1 in the file that it goes with; number both alike")
    base = lowest if first is None else first
    matrix = _matrix(rows, columns - base, absent)
    return LetorFile(matrix, np.array(rows.labels), tuple(queries), base)


def _matrix(rows: _Rows, columns: Integers, absent: str) -> Matrix:
    width = int(columns.max(initial=-1)) + 1
    matrix = np.full((len(rows.labels), width), 0.0 if absent == "zero" else np.nan, np.float32)
    if columns.size:
        matrix[np.frombuffer(rows.rows, np.int64), columns] = np.frombuffer(rows.values, np.float32)
    return matrix


def _add(rows: _Rows, fields: list[str], where: str) -> None:
    """One line's row."""
    try:
        rows.labels.append(float(fields[0]))
    except ValueError as error:
        raise InputError(f"{where} begins with {fields[0]!r} instead of a label; {_FORM}") from error
    features = fields[1:]
    if features and features[0].startswith("qid:"):
        rows.queries.append(features.pop(0).removeprefix("qid:"))
    if rows.queries and len(rows.queries) != len(rows.labels):
        raise InputError(f"{where} and the lines before it disagree on whether there is a qid; {_FORM}")
    columns = set()
    for text in features:
        column, value = _feature(text, where)
        if column in columns:
            raise InputError(f"{where} has feature {column} twice; leave one out")
        columns.add(column)
        rows.rows.append(len(rows.labels) - 1)
        rows.columns.append(column)
        rows.values.append(value)


def _feature(text: str, where: str) -> tuple[int, float]:
    name, colon, value = text.partition(":")
    try:
        column, number = int(name), float(value)
    except ValueError as error:
        raise InputError(f"{where} has {text!r} instead of NUMBER:VALUE; {_FORM}") from error
    if not 0 <= column <= _MOST_FEATURES or math.isinf(number):
        raise InputError(f"{where} has {text!r}; features are 0 to {_MOST_FEATURES:,}, and their values finite or nan")
    return column, number


def _of_sizes(path: Path, sizes: Path | None, count: int) -> list[str]:
    """The query of each row, by a file that says how many rows each query has."""
    places = [sizes] if sizes else list(_beside(path))
    place = next((p for p in places if p.exists()), None)
    if place is None:
        raise InputError(f"{path} has no qid, and {places[0]} is not there; {_FORM}, or name the file of query sizes")
    numbers = [line.strip() for line in files.read_lines(str(place)) if line.strip()]
    if wrong := next((text for text in numbers if not text.isdecimal()), None):
        raise InputError(f"{place} has {wrong!r} instead of a number of rows; each line is that of one query")
    total = sum(map(int, numbers))
    if total != count:
        raise InputError(f"{place} counts {total} rows and {path} has {count}; take the file that belongs to it")
    return [str(i) for i, number in enumerate(numbers, 1) for _ in range(int(number))]


def _beside(path: Path) -> Iterator[Path]:
    yield path.with_name(path.name + ".query")
    bare = path.with_name(path.name.removesuffix(".gz"))
    yield bare.with_suffix(".query")
    yield bare.with_name(bare.name + ".query")
