"""Picks the best of many scores, ties by position."""

import numpy as np
import numpy.typing as npt


def best(values: npt.NDArray[np.float32], k: int) -> npt.NDArray[np.intp]:
    """Positions of the k largest values, descending; equal values in the order of their positions."""
    places = np.arange(len(values))
    if len(values) > k:
        threshold = np.partition(values, len(values) - k)[len(values) - k]
        places = np.flatnonzero(values >= threshold)
    return places[np.argsort(-values[places], kind="stable")[:k]]
