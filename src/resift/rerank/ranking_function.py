"""What a ranking function is: rows of features in, scores and contributions out; trees and weights have this form."""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

FunctionKind = Literal["lightgbm", "xgboost", "linear"]
Matrix = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]

MODEL_FILES: dict[FunctionKind, str] = {"lightgbm": "model.txt", "xgboost": "model.json", "linear": "linear.json"}


class RankingFunction(Protocol):
    """Scores rows of features; NaN is a missing value.

    Attributes:
        library: whose trees, or "linear".
        is_correction: whether a score is what the score in front of the stage lacks, in standard deviations of that
            one among a query's candidates; else only the order within a query means something.

    """

    library: FunctionKind
    is_correction: bool

    @property
    def width(self) -> int:
        """How many features a row has."""

    def predict(self, matrix: Matrix) -> Floats:
        """Return (n,), the score of each row of (n, F)."""

    def contributions(self, matrix: Matrix) -> Floats:
        """Return (n, F + 1): what each feature adds to a row's score, and the bias; they add up to it.

        Of trees these are SHAP values.
        """

    def gains(self) -> Floats:
        """Return (F,), what each feature is worth: the loss that splits on it took away, or its absolute weight."""

    def content(self) -> bytes:
        """Return the model's file."""
