"""Finds the trees that an export begins with: a model's folder or a bare model file, and the names of its features."""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from pathlib import Path

from resift.errors import BrokenModel, InputError, NotAModel
from resift.trees import lightgbm_text, xgboost_json
from resift.trees.ensemble import Ensemble

# In a folder of learning to rank: the library's own model file, and what its columns are.
MODEL_FILES = ("model.txt", "model.json")
FEATURES_FILE = "features.toml"

_UNNAMED = re.compile(r"Column_\d+|f\d+")  # what LightGBM calls columns without a name; what XGBoost prints for them


def read_model(path: str | Path, names: str | Path | None = None) -> Ensemble:
    """Read trees, with a name for every feature.

    Args:
        path: a folder with `model.txt` (LightGBM) or `model.json` (XGBoost), or such a file.
        names: a file with the features' names in the order of the columns, one a line; it replaces those of the model.

    Raises:
        NotAModel: there is no model at the path.
        BrokenModel: a damaged model, or a folder whose `features.toml` has another number of features.
        InputError: a model that no engine takes, names that do not fit, or features without names.

    """
    file = _file(Path(path))
    text = _text(file, BrokenModel)
    # XGBoost's file is one JSON object; LightGBM's text begins with its own name.
    read = xgboost_json.read if text.lstrip()[:1] in ("{", "[") else lightgbm_text.read
    ensemble = read(text, str(file))
    if Path(path).is_dir():
        _check_count(Path(path) / FEATURES_FILE, ensemble)
    if names is not None:
        ensemble = replace(ensemble, features=_names(Path(names), ensemble.width))
    if not ensemble.features or all(_UNNAMED.fullmatch(name) for name in ensemble.features):
        raise InputError(
            f"{file} has no names for its features; pass --features FILE with a name per line, in the columns' order"
        )
    _check_distinct(ensemble.features, str(names or file))
    return ensemble


def _file(path: Path) -> Path:
    if path.is_file():
        return path
    if not path.is_dir():
        raise NotAModel(f"no model at {path}: no such file or folder")
    files = [path / name for name in MODEL_FILES if (path / name).is_file()]
    if not files:
        raise NotAModel(f"{path} holds no trees: neither {' nor '.join(MODEL_FILES)}; name the model's file")
    if len(files) > 1:
        raise NotAModel(f"{path} holds both {' and '.join(MODEL_FILES)}; name the file that is meant")
    return files[0]


def _text(path: Path, kind: type[BrokenModel] | type[InputError]) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise kind(f"can't read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        remedy = "; a binary model of XGBoost (.ubj) is saved anew as model.json" if kind is BrokenModel else ""
        raise kind(f"{path} is no UTF-8 text{remedy}") from error


def _check_count(path: Path, ensemble: Ensemble) -> None:
    """A folder's features are as many as the columns of its trees; without the file, the model's names suffice."""
    if not path.exists():
        return
    try:
        rows = tomllib.loads(_text(path, BrokenModel)).get("feature")
    except tomllib.TOMLDecodeError as error:
        raise BrokenModel(f"{path} is no TOML: {error}") from error
    if not isinstance(rows, list) or len(rows) != ensemble.width:
        count = len(rows) if isinstance(rows, list) else "no"
        raise BrokenModel(f"{path} lists {count} features and the trees read {ensemble.width}; train the model again")


def _names(path: Path, width: int) -> tuple[str, ...]:
    names = tuple(line.strip() for line in _text(path, InputError).splitlines() if line.strip())
    if len(names) != width:
        raise InputError(f"{path} has {len(names)} names and the trees read {width} features; write one a line")
    return names


def _check_distinct(names: tuple[str, ...], where: str) -> None:
    if repeated := [name for i, name in enumerate(names) if name in names[:i]]:
        raise InputError(f"{where} names the feature {repeated[0]!r} twice; engines find features by name")
