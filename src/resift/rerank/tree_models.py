"""Ranking functions of LightGBM and XGBoost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from resift.errors import BrokenModel, MissingExtra
from resift.rerank.ranking_function import Floats, FunctionKind, Matrix, RankingFunction

if TYPE_CHECKING:
    import lightgbm
    import xgboost

Library = Literal["lightgbm", "xgboost"]


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
