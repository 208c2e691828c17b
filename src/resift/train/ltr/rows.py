"""What ranking trees learn from: rows of features with labels, grouped by query, checked, and what is wrong counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from resift.errors import InputError
from resift.rerank.ranking_function import Floats, Matrix

Integers = npt.NDArray[np.int64]

FEW = 50  # queries; below so many the figures are rough
_EXPONENTIAL = 30  # the highest label of the gain 2^label - 1
_NAMED = 5  # names that a sentence lists


@dataclass(frozen=True, eq=False)
class TrainingRows:
    """Rows that were checked; those of one list of candidates stand side by side, in the order of the first stage.

    Attributes:
        features: (F,) names.
        matrix: (n, F), NaN where a value is missing.
        labels: (n,) whole numbers from 0.
        sizes: (L,), how many rows each list has.
        queries: (L,), the query of each list; several lists may have one (sessions of a click log).
        weights: (L,), how much each list counts; None: all the same.
        ideals: per list the labels above 0 of all documents that were judged for it, candidates or not, highest first;
            None: those of the candidates.
        issues: what was left out or is odd, counted and named.

    """

    features: tuple[str, ...]
    matrix: Matrix
    labels: Integers
    sizes: Integers
    queries: tuple[str, ...]
    weights: Floats | None = None
    ideals: tuple[Integers, ...] | None = None
    issues: tuple[str, ...] = ()

    @property
    def starts(self) -> Integers:
        """(L + 1,), where each list begins, and the end of the last."""
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(self.sizes)])

    def lists(self, places: Integers) -> TrainingRows:
        """Some of the lists."""
        starts = self.starts
        rows = np.concatenate([np.arange(starts[i], starts[i + 1]) for i in places] or [np.zeros(0, np.int64)])
        return replace(
            self,
            matrix=self.matrix[rows],
            labels=self.labels[rows],
            sizes=self.sizes[places],
            queries=tuple(self.queries[i] for i in places),
            weights=None if self.weights is None else self.weights[places],
            ideals=None if self.ideals is None else tuple(self.ideals[i] for i in places),
        )

    def without(self, columns: Sequence[int]) -> TrainingRows:
        """The rows without some features."""
        rest = [i for i in range(len(self.features)) if i not in set(columns)]
        return replace(self, features=tuple(self.features[i] for i in rest), matrix=self.matrix[:, rest])


def checked_rows(
    matrix: npt.ArrayLike,
    labels: npt.ArrayLike,
    queries: Sequence[str],
    features: Sequence[str] = (),
    weights: npt.ArrayLike | None = None,
    most: int = _EXPONENTIAL,
) -> TrainingRows:
    """Rows of any order, grouped by query and checked.

    A query with one candidate, or whose candidates all have one label, teaches no order: it is left out and counted.
    Labels below 0 count as 0. Features that never change are named.

    Args:
        matrix: (n, F) numbers, NaN where missing.
        labels: (n,) whole numbers.
        queries: (n,) the query of each row.
        features: (F,) names; none: "feature 1" and so on.
        weights: (n,), how much each row's query counts, the same for all of its rows; None: all the same.
        most: the highest label that the gains allow.

    Raises:
        InputError: shapes that don't fit, labels that are no whole numbers or too high, infinite features, weights that
            are no positive numbers, fewer than two queries to learn from, or no feature that changes.

    """
    values, grades = np.asarray(matrix, np.float32), np.asarray(labels, np.float64)
    if values.ndim != 2 or grades.shape != (len(values),) or len(queries) != len(values):
        shapes = f"{values.shape} features, {grades.shape} labels, {len(queries)} queries"
        raise InputError(f"rows, labels and queries don't fit: {shapes}; give one label and one query for each row")
    names = tuple(features) or tuple(f"feature {i}" for i in range(1, values.shape[1] + 1))
    if len(names) != values.shape[1] or len(set(names)) != len(names):
        raise InputError(f"{values.shape[1]} features have {len(set(names))} different names; name each once")
    if np.isinf(values).any():
        column = int(np.flatnonzero(np.isinf(values).any(axis=0))[0])
        raise InputError(f"feature {names[column]!r} is infinite; leave such a value out (missing), or bound it")
    whole, issues = _whole_labels(grades, most)
    order, sizes, ids = _grouped(queries)
    rows = TrainingRows(names, values[order], whole[order], sizes, ids, _list_weights(weights, order, sizes, ids))
    rows, left_out = _teaching(rows)
    return replace(rows, issues=(*issues, *left_out, *_constant(rows)))


def _whole_labels(grades: Floats, most: int) -> tuple[Integers, list[str]]:
    wrong = np.flatnonzero(~np.isfinite(grades))
    if len(wrong):
        raise InputError(f"{len(wrong)} labels are no finite numbers, such as that of row {wrong[0] + 1}; grade them")
    wrong = np.flatnonzero(grades != np.rint(grades))
    if len(wrong):
        example = f"row {wrong[0] + 1} has {grades[wrong[0]]:g}"
        raise InputError(f"{len(wrong)} labels are no whole numbers ({example}); grade with 0, 1, 2, …")
    if len(grades) and grades.max() > most:
        remedy = ", or take the linear gain (--gain linear)" if most <= _EXPONENTIAL else ""
        raise InputError(
            f"the highest label is {grades.max():.0f}, and this gain allows {most} at most; "
            f"map the grades to 0, 1, 2, …{remedy}"
        )
    negative = int((grades < 0).sum())
    issues = [f"{negative} labels below 0 count as 0"] if negative else []
    return np.maximum(grades, 0).astype(np.int64), issues


def _grouped(queries: Sequence[str]) -> tuple[Integers, Integers, tuple[str, ...]]:
    """The rows' order by query, queries in the order of their first rows; how many rows each has; the queries."""
    numbers: dict[str, int] = {}
    of_row = np.fromiter((numbers.setdefault(query, len(numbers)) for query in queries), np.int64, len(queries))
    return np.argsort(of_row, kind="stable"), np.bincount(of_row, minlength=len(numbers)), tuple(numbers)


def _list_weights(
    weights: npt.ArrayLike | None, order: Integers, sizes: Integers, ids: tuple[str, ...]
) -> Floats | None:
    if weights is None:
        return None
    values = np.asarray(weights, np.float64)
    if values.shape != order.shape or not np.isfinite(values).all() or (values <= 0).any():
        raise InputError("a weight is a finite number above 0, one for each row; leave weights out, or correct them")
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
    ordered = values[order]
    firsts = ordered[starts]
    if (uneven := np.flatnonzero(ordered != np.repeat(firsts, sizes))).size:
        query = ids[int(np.searchsorted(np.cumsum(sizes), uneven[0], side="right"))]
        raise InputError(f"query {query!r} has rows of different weights; a weight is one of the whole query")
    return firsts


def _teaching(rows: TrainingRows) -> tuple[TrainingRows, list[str]]:
    """The lists that teach an order, and sentences on the others."""
    starts = rows.starts[:-1]
    if len(rows.labels):
        highest = np.maximum.reduceat(rows.labels, starts)
        lowest = np.minimum.reduceat(rows.labels, starts)
    else:
        highest = lowest = np.zeros(0, np.int64)
    single, even = rows.sizes == 1, (rows.sizes > 1) & (highest == lowest)
    issues = []
    if single.any():
        issues.append(f"{_queries(int(single.sum()))} with one candidate left out: they teach no order")
    if even.any():
        issues.append(f"{_queries(int(even.sum()))} left out whose candidates all have one label: they teach no order")
    teaching = rows.lists(np.flatnonzero(~single & ~even))
    count = len(set(teaching.queries))
    if count < 2:
        reasons = f" ({'; '.join(issues)})" if issues else ""
        raise InputError(
            f"{_queries(count)} to learn from{reasons}; learning to rank needs candidates of different labels for 3 "
            "queries at least, and for about 50 before it pays"
        )
    if count < FEW:
        issues.append(f"only {_queries(count)} to learn from: the figures are rough below {FEW}")
    return teaching, issues


def _constant(rows: TrainingRows) -> list[str]:
    """A sentence on features that have one value everywhere.

    Raises:
        InputError: no feature changes.

    """
    present = ~np.isnan(rows.matrix)
    low = np.where(present, rows.matrix, np.inf).min(axis=0)
    high = np.where(present, rows.matrix, -np.inf).max(axis=0)
    constant = ~((high > low) | ((high == low) & ~present.all(axis=0)))  # missing here and there is a difference
    names = [name for name, still in zip(rows.features, constant, strict=True) if still]
    if len(names) == len(rows.features):
        raise InputError("no feature changes from candidate to candidate; there is nothing to learn an order from")
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    sentence = f"{len(names)} features never change, so that nothing is learned of them: "
    return [f"{sentence}{', '.join(names[:_NAMED])}{more}"] if names else []


def _queries(count: int) -> str:
    return f"{count} quer{'y' if count == 1 else 'ies'}"
