"""Does an engine compute from a file what the library computes? Rows at the trees' thresholds, random and with gaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from resift.errors import ModelError
from resift.trees.ensemble import Ensemble, Matrix
from resift.trees.formats.format import Format, Gap, Written

ROWS = 100
_ORDINARY = 1e30  # random values lie between thresholds that are not beyond it
_ABSENT = 0.3  # share of values that a row with absent values lacks
_TOLERANCE = {np.float64: 1e-12, np.float32: 2e-6}  # of the largest score that the trees could give


@dataclass(frozen=True, slots=True)
class Parity:
    """The comparison over one kind of rows.

    Attributes:
        rows: the kind: "random", "threshold" (each value is a threshold of its feature, or one step beside it) or
            "absent" (values are missing).
        count: how many were compared.
        left_out: how many of the kind hold a value at which the format is said to differ.
        largest_difference: between the engine's score and the library's.

    """

    rows: str
    count: int
    left_out: int
    largest_difference: float


def parity(ensemble: Ensemble, written: Written, form: Format, count: int, absent: bool) -> tuple[Parity, ...]:
    """Compare what the engine computes from the file with the library's prediction.

    Args:
        ensemble: what the file was made from.
        written: the file.
        form: of the file.
        count: rows in all; a third of them each are random, at thresholds, and with absent values.
        absent: whether values may be missing; else the other kinds share the rows.

    Raises:
        ModelError: a difference that rounding does not explain.

    """
    # XGBoost compares in float32, and so does every engine that takes its trees.
    precision = np.float32 if ensemble.library == "xgboost" else form.precision
    kinds = rows(ensemble, precision, count, absent)
    tolerance = max(_TOLERANCE[form.sums], _TOLERANCE[ensemble.dtype]) * max(ensemble.scale, 1e-30)
    results = []
    for kind, matrix in kinds.items():
        fitting = matrix[~_in_gaps(matrix, written.gaps)]
        difference = 0.0
        if len(fitting):
            scores = form.scores(written.content, ensemble.features, fitting)
            difference = float(np.abs(scores - ensemble.predict(fitting)).max())
        results.append(Parity(kind, len(fitting), len(matrix) - len(fitting), difference))
        if not difference <= tolerance:
            raise ModelError(
                f"{form.title} would score rows of kind {kind!r} by up to {difference:.3g} otherwise than the model; "
                "nothing was written, please report this with the model's file"
            )
    return tuple(results)


def rows(
    ensemble: Ensemble, precision: type[np.float32] | type[np.float64], count: int, absent: bool
) -> dict[str, Matrix]:
    """Rows by kind, the same for the same trees: numbers of the precision, finite or missing."""
    random = np.random.default_rng(0)
    steps = [_steps(column, precision) for column in _thresholds(ensemble)]
    kinds = ("random", "threshold", "absent") if absent else ("random", "threshold")
    sizes = dict(zip(kinds, [len(part) for part in np.array_split(np.arange(count), len(kinds))], strict=True))
    shape = (sizes["random"], ensemble.width)
    ordinary = [column[np.abs(column) < _ORDINARY] if (np.abs(column) < _ORDINARY).any() else [0.0] for column in steps]
    low, high = (np.array([extreme(column) for column in ordinary]) for extreme in (np.min, np.max))
    spread = np.maximum(high - low, 1.0)
    matrices = {"random": (low - 0.1 * spread + random.random(shape) * 1.2 * spread).astype(precision)}
    at = [random.choice(column, sizes["threshold"]) for column in steps]
    matrices["threshold"] = np.stack(at, axis=1).astype(precision)
    if absent:
        lacking = np.stack([random.choice(column, sizes["absent"]) for column in steps], axis=1).astype(precision)
        lacking[random.random(lacking.shape) < _ABSENT] = np.nan
        lacking[0] = np.nan
        matrices["absent"] = lacking
    return matrices


def _thresholds(ensemble: Ensemble) -> list[list[float]]:
    """By feature; 0 where none is asked, which changes nothing."""
    columns: list[list[float]] = [[] for _ in range(ensemble.width)]
    for tree, node in ensemble.splits():
        columns[tree.feature[node]].append(float(tree.threshold[node]))
    return [column or [0.0] for column in columns]


def _steps(thresholds: Sequence[float], precision: type[np.float32] | type[np.float64]) -> Matrix:
    """Each threshold as a number of the precision, and the numbers next to it, short of the largest there is."""
    with np.errstate(over="ignore"):
        at = np.unique(np.array(thresholds, precision))
        both = [np.nextafter(at, precision(direction)) for direction in (-np.inf, np.inf)]
    steps = np.concatenate([at, *both])
    finite: Matrix = steps[np.abs(steps) < np.finfo(precision).max]
    return finite if len(finite) else np.zeros(1)


def _in_gaps(matrix: Matrix, gaps: Sequence[Gap]) -> npt.NDArray[np.bool_]:
    inside = np.zeros(len(matrix), bool)
    for gap in gaps:
        column = matrix[:, gap.feature]
        inside |= (column > gap.low) & (column <= gap.high)
    return inside
