"""Arrays that grow on disk while they are written, and get their header at the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


def finish(folder: Path, name: str, dtype: npt.DTypeLike, shape: tuple[int, ...]) -> np.memmap[Any, np.dtype[Any]]:
    """Turn the bytes of NAME.raw into NAME.npy without holding them; returns it memory-mapped."""
    raw = folder / f"{name}.raw"
    target = np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.dtype(dtype), shape)
    if target.size:
        target[:] = np.memmap(raw, dtype, "r", shape=shape)
    target.flush()
    raw.unlink()
    return target
