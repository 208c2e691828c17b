"""Ranking functions as they are used: rows of features in, scores and contributions out; trees of two libraries."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from resift.errors import BrokenModel, MissingExtra

if TYPE_CHECKING:
    import lightgbm
    import xgboost

Library = Literal["lightgbm", "xgboost"]
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


class LightGBMTrees:
    """Trees of LightGBM."""

    library: FunctionKind = "lightgbm"
    is_correction = False

    def __init__(self, booster: lightgbm.Booster, content: bytes) -> None:
        self._booster, self._content = booster, content

    @classmethod
    def read(cls, content: bytes) -> LightGBMTrees:
        """Trees of a model file's content."""
        booster = import_lightgbm().Booster(model_str=content.decode("utf-8"))
        return cls(booster, content)

    @property
    def width(self) -> int:
        """See `RankingFunction`."""
        return int(self._booster.num_feature())

    def predict(self, matrix: Matrix) -> Floats:
        """See `RankingFunction`; one thread, since a ranking has few rows."""
        return np.asarray(self._booster.predict(matrix, raw_score=True, num_threads=1), np.float64)

    def contributions(self, matrix: Matrix) -> Floats:
        """See `RankingFunction`."""
        return np.asarray(self._booster.predict(matrix, pred_contrib=True, num_threads=1), np.float64)

    def gains(self) -> Floats:
        """See `RankingFunction`."""
        return np.asarray(self._booster.feature_importance("gain"), np.float64)

    def content(self) -> bytes:
        """See `RankingFunction`."""
        return self._content


class XGBoostTrees:
    """Trees of XGBoost."""

    library: FunctionKind = "xgboost"
    is_correction = False

    def __init__(self, booster: xgboost.Booster) -> None:
        self._booster = booster

    @classmethod
    def read(cls, content: bytes) -> XGBoostTrees:
        """Trees of a model file's content."""
        booster = import_xgboost().Booster({"nthread": 1})
        booster.load_model(bytearray(content))
        return cls(booster)

    @property
    def width(self) -> int:
        """See `RankingFunction`."""
        return int(self._booster.num_features())

    def predict(self, matrix: Matrix) -> Floats:
        """See `RankingFunction`."""
        return np.asarray(self._booster.predict(self._rows(matrix), output_margin=True), np.float64)

    def contributions(self, matrix: Matrix) -> Floats:
        """See `RankingFunction`."""
        return np.asarray(self._booster.predict(self._rows(matrix), pred_contribs=True), np.float64)

    def gains(self) -> Floats:
        """See `RankingFunction`."""
        gains = self._booster.get_score(importance_type="total_gain")
        names = self._booster.feature_names or [f"f{i}" for i in range(self.width)]
        return np.array([gains.get(name, 0.0) for name in names], np.float64)

    def content(self) -> bytes:
        """See `RankingFunction`."""
        return bytes(self._booster.save_raw("json"))

    def _rows(self, matrix: Matrix) -> xgboost.DMatrix:
        rows: xgboost.DMatrix = import_xgboost().DMatrix(matrix, feature_names=self._booster.feature_names)
        return rows


def read_trees(path: Path, library: Library) -> RankingFunction:
    """The trees of a model file.

    Raises:
        MissingExtra: the library is not installed.
        BrokenModel: the file is missing, or the library can't read it.

    """
    module = import_lightgbm() if library == "lightgbm" else import_xgboost()
    errors = module.basic.LightGBMError if library == "lightgbm" else module.core.XGBoostError
    try:
        content = path.read_bytes()
        return LightGBMTrees.read(content) if library == "lightgbm" else XGBoostTrees.read(content)
    except (OSError, UnicodeDecodeError, errors) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise BrokenModel(f"{path} can't be read by {library} ({reason[-1][:200]}); train the model again") from error


def import_lightgbm() -> Any:  # noqa: ANN401 - a module
    """LightGBM.

    Raises:
        MissingExtra: it is not installed.

    """
    try:
        import lightgbm
    except ImportError as error:
        raise MissingExtra("a model of LightGBM", "ltr") from error
    return lightgbm


def import_xgboost() -> Any:  # noqa: ANN401 - a module
    """XGBoost.

    Raises:
        MissingExtra: it is not installed.

    """
    try:
        import xgboost
    except ImportError as error:
        raise MissingExtra("a model of XGBoost", "ltr") from error
    return xgboost
