"""At which precision a model runs when the caller does not say: what was measured here, else what is known of it."""

from __future__ import annotations

import json
from pathlib import Path

from resift.atomic import replacing
from resift.engine.native import processor
from resift.errors import InputError
from resift.score.contract import Contract

# What `resift bench --pick` asks of a precision, on the user's own queries: mean over queries, against f32. Higher than
# the bar of `agreement`, whose probes are few.
PICK_TAU, PICK_TOP10 = 0.99, 0.98


def default_precision(contract: Contract, made_by: str) -> str:
    """The precision that `resift bench --pick` remembered for this model and CPU, else one by rule.

    That is int8 where the contract allows it and the CPU gains by it; else bf16 where the CPU has it; else f32.
    Nothing is timed here: one machine gives the same scores every time.

    Raises:
        InputError: what was remembered can't be read.

    """
    from resift.engine.openvino import fastest_float, has_int8

    known = _read().get(_key(made_by))
    return known or ("int8" if contract.int8 and has_int8() else fastest_float())


def remember(made_by: str, precision: str) -> Path:
    """Keep a precision for a model, by the fingerprint of its files, and this CPU; gives the file."""
    path = _path()
    path.parent.mkdir(parents=True, exist_ok=True)
    known = json.dumps({**_read(), _key(made_by): precision}, indent=1) + "\n"
    with replacing(path) as file:
        file.write(known.encode())
    return path


def _key(made_by: str) -> str:
    return f"{made_by} on {processor()}"


def _path() -> Path:
    from resift.engine.openvino import cache_folder

    return cache_folder() / "precisions.json"


def _read() -> dict[str, str]:
    path = _path()
    from resift.engine.openvino import PRECISIONS

    try:
        found: dict[str, str] = json.loads(path.read_text("utf-8")) if path.exists() else {}
        if strange := [v for v in found.values() if v not in PRECISIONS]:
            raise ValueError(f"{strange[0]!r} is none of {', '.join(PRECISIONS)}")
        return found
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(f"{path} can't be read ({error}); delete it, or set RESIFT_CACHE to another folder") from error
