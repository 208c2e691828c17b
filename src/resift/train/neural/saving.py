"""Writes a trained model, and proves by computing again that what was written is what was measured."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from resift import atomic
from resift.errors import BrokenModel, InputError
from resift.train.neural.adapters import write_adapter
from resift.train.neural.trainable import BaseModel, Floats, Pairs

TOLERANCE = 1e-4  # of a score or of a vector's number, relative to the largest one where that is over 1
ADAPTER = "adapter"
_PROBES = 32


def check_place(out: Path) -> None:
    """Refuse a place where no model can be written, before anything is trained.

    Raises:
        InputError: it exists and is not empty, or can't be made.

    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} is there already; name a folder that is not")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=out.parent).close()
    except OSError as error:
        raise InputError(f"{out} can't be written ({error.strerror or error}); name another folder") from error


def write(base: BaseModel, out: Path, pairs: Pairs, texts: Mapping[str, str], merge: bool = True) -> dict[str, float]:
    """Write a model, load it again, and compare what it computes with what it did; all of the folder or nothing.

    Adapters and the head are written as peft writes them: beside the merged model, in the folder `adapter`, or alone.
    The model in memory is merged where it is written so.

    Args:
        base: the trained model.
        out: a folder that does not exist, or is empty.
        pairs: texts that are scored before and after.
        texts: other files, by name.
        merge: whether the merged model is written.

    Returns:
        The largest change of a score, or of a vector's number, by who loaded the folder.

    Raises:
        BrokenModel: what was written computes otherwise; nothing is left behind.

    """
    probes = _probes(base, pairs)
    try:
        with atomic.folder(out) as part:
            outputs: dict[str, tuple[Floats, Floats]] = {}
            if base.adapted is not None:
                expected = base.score(probes)
                outputs["peft"] = expected, write_adapter(base, part / ADAPTER if merge else part, probes)
            if base.adapted is None or merge:
                outputs |= base.kind.write(base, part, out.name, probes)
            for name, text in texts.items():
                (part / name).write_text(text, "utf-8")
            deltas = {reader: _change(reader, *values, out) for reader, values in outputs.items()}
            if out.exists():
                out.rmdir()  # what was put there meanwhile is not replaced
    except OSError as error:
        raise InputError(f"{out} can't be written ({error.strerror or error}); name another folder") from error
    return deltas


def _probes(base: BaseModel, pairs: Pairs) -> list[tuple[str, str]]:
    """Some pairs that no limit cuts, so that all who load the model read the same."""
    chosen = []
    for pair in dict.fromkeys(pairs):
        if all(text.strip() for text in pair) and base.kind.fits(base.model, pair):
            chosen.append(pair)
        if len(chosen) == _PROBES:
            break
    return chosen or [("what is water", "the water of the lamp")]


def _change(reader: str, before: Floats, after: Floats, out: Path) -> float:
    """The largest change.

    Raises:
        BrokenModel: it is too large, or not a number.

    """
    change = float(np.abs(after - before).max()) if after.shape == before.shape else float("inf")
    if not change <= TOLERANCE * max(1.0, float(np.abs(before).max())):
        raise BrokenModel(
            f"{out} was not written: loaded by {reader} its scores differ by {change:.2g} from the trained model's"
        )
    return change
