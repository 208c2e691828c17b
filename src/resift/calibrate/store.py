"""calibration.json: where calibrations of a model lie, and how they are read and written."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from resift.atomic import blaming, check_folder, write
from resift.calibrate.calibration import Binding, Calibration
from resift.errors import InputError, NotCalibrated
from resift.models.folder import CALIBRATION
from resift.score.load import BUNDLED, find_model
from resift.types import ModelInfo

VERSION = 1


def data_folder(model: str) -> Path:
    """$XDG_DATA_HOME/resift/calibrations/MODEL, else below ~/.local/share: for models that can't be written to.

    Raises:
        InputError: neither the variable nor a home folder is known.

    """
    shared = os.path.expanduser(os.environ.get("XDG_DATA_HOME") or "~/.local/share")
    if shared.startswith("~"):
        raise InputError(
            "there is no home folder to keep a calibration in; name a folder (--out), or set XDG_DATA_HOME"
        )
    return Path(shared) / "resift" / "calibrations" / model


def place_of(model: str) -> Path:
    """Where `resift calibrate` keeps a model's calibration: in its folder, if named by its path; else `data_folder`.

    Bundled models belong to the package, and those of the hub to its cache: nothing is written there.
    """
    folder = Path(os.path.expanduser(model))
    for path in (BUNDLED / model, folder):
        if path.is_dir() and BUNDLED.resolve() in path.resolve().parents:
            return data_folder(path.resolve().name)
    return folder if folder.is_dir() else data_folder(model)


def places_of(model: str) -> list[Path]:
    """Where a model's calibration may lie: where `resift calibrate` puts it, else beside its files."""
    return list(dict.fromkeys([place_of(model), find_model(model)]))


def file_in(place: Path) -> Path:
    """The calibration file of a folder; a path that ends in .json is the file itself."""
    return place if place.suffix == ".json" else place / CALIBRATION


def read(file: Path) -> list[Calibration]:
    """The calibrations of a file, one for each precision and setting of a model.

    Raises:
        InputError: it can't be read, is damaged, or was written by a newer Resift.

    """
    try:
        entries: Any = json.loads(file.read_text("utf-8"))
        version = entries["version"]
        if version == VERSION:
            return [Calibration.of(each) for each in entries["calibrations"]]
    except OSError as error:
        raise InputError(f"the calibration {file} can't be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError, InputError) as error:
        raise InputError(f"the calibration {file} is damaged ({error!r}); run resift calibrate again") from error
    raise InputError(
        f"the calibration {file} is of version {version!r}, and this Resift reads {VERSION}; update Resift"
    )


def check(place: Path) -> None:
    """Refuse a place where nothing can be kept, before anything is scored.

    Raises:
        InputError: it can't be made or written.

    """
    file = file_in(place)
    check_folder(file.parent)
    if file.is_dir():
        raise InputError(f"can't write {file}: it is a folder; name another place with --out")


def add(place: Path, calibration: Calibration) -> Path:
    """Write a calibration beside those of the same model at other precisions and settings, instead of its predecessor.

    Those of another version of the model's files go: nothing can use them any more.

    Raises:
        InputError: the folder can't be written, or what it holds is damaged.

    """
    file = file_in(place)
    new = calibration.binding
    others = [
        other
        for other in (read(file) if file.exists() else [])
        if other.binding != new and other.binding.fingerprint == new.fingerprint
    ]
    entries = [each.entries() for each in (*others, calibration)]
    text = json.dumps({"version": VERSION, "calibrations": entries}, ensure_ascii=False, allow_nan=False, indent=1)
    try:
        with blaming(file):
            file.parent.mkdir(parents=True, exist_ok=True)
        write(file, [(text + "\n").encode()])
    except InputError as error:
        raise InputError(f"{error}; name another folder with --out") from error
    return file


def find(info: ModelInfo, places: list[Path]) -> Calibration:
    """The calibration that belongs to a model as it was loaded, from the first of some places that has one.

    Raises:
        InputError: none of the places has a calibration; the message has the command that makes one.
        NotCalibrated: those that there are belong to another model, precision or setting.

    """
    present = [file for place in places if (file := file_in(place)).exists()]
    if not present:
        where = " or ".join(str(file_in(place)) for place in places)
        raise InputError(
            f"{info.name} is not calibrated: there is no {where}; make one: resift calibrate LABELS --model {info.name}"
        )
    calibrations = [calibration for file in present for calibration in read(file)]
    for calibration in calibrations:
        if not calibration.binding.difference(Binding.of(info)):
            return calibration
    if not calibrations:
        raise InputError(f"{present[0]} holds no calibration; run resift calibrate again")
    calibrations[0].check(info)
    raise NotCalibrated(f"no calibration of {info.name} belongs to it")
