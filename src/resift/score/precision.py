"""The precision of a model when the caller names none: the one that was measured here, else one by rule."""

from __future__ import annotations

import json
from pathlib import Path

from resift.atomic import replacing
from resift.engine.compiled_models import VARIABLE, cache_folder
from resift.errors import InputError
from resift.machine import processor
from resift.models.contract import Contract

# The agreement with f32 that `resift bench --pick` demands on the user's own queries, as a mean over queries. It is
# higher than the bar of `inspection.agreement`, whose probes are few.
PICK_TAU, PICK_TOP10 = 0.99, 0.98


def default_precision(contract: Contract, fingerprint: str) -> str:
    """The precision that `resift bench --pick` remembered for this model and CPU, else one by rule.

    That is int8 where the contract allows it and the CPU gains by it; else bf16 where the CPU has it; else f32.
    Nothing is timed here: one machine gives the same scores every time.

    Raises:
        InputError: the file that remembers can't be read.

    """
    from resift.engine.openvino import fastest_float, has_int8

    remembered = _read().get(_key(fingerprint))
    return remembered or ("int8" if contract.int8 and has_int8() else fastest_float())


def remember(fingerprint: str, precision: str) -> Path:
    """Keep a precision for a model, by the fingerprint of its files, and this CPU; gives the file.

    Raises:
        InputError: there is no such folder, or it can't be written.

    """
    path, content = _path(), {**_read(), _key(fingerprint): precision}
    if path is None:
        raise InputError(f"there is no home folder to remember {precision} in; set {VARIABLE} to a folder")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            file.write((json.dumps(content, indent=1) + "\n").encode())
    except OSError as error:
        raise InputError(
            f"can't remember {precision} in {path} ({error.strerror or error}); set {VARIABLE} to a folder that can be "
            f"written, or load with precision={precision!r}"
        ) from error
    return path


def _key(fingerprint: str) -> str:
    return f"{fingerprint} on {processor()}"


def _path() -> Path | None:
    folder = cache_folder()
    return folder / "precisions.json" if folder else None


def _read() -> dict[str, str]:
    path = _path()
    from resift.engine.openvino import PRECISIONS

    if path is None or not _there(path):
        return {}
    try:
        precisions: dict[str, str] = json.loads(path.read_text("utf-8"))
        if strange := [v for v in precisions.values() if v not in PRECISIONS]:
            raise ValueError(f"{strange[0]!r} is none of {', '.join(PRECISIONS)}")
        return precisions
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(f"{path} can't be read ({error}); delete it, or set {VARIABLE} to another folder") from error


def _there(path: Path) -> bool:
    """Whether the file exists; in another user's folder, which may not be looked into, nothing was remembered."""
    try:
        return path.exists()
    except PermissionError:
        return False
