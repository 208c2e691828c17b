"""Runs of n characters that a query shares with its documents, counted for all documents at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

_SHORT, _LONG = np.uint32(0x9E3779B1), np.uint64(0x9E3779B97F4A7C15)  # odd and without pattern: 2^b / the golden ratio
_SHIFT = np.uint32(16)  # the upper half of a short hash, which depends on all characters


def _characters(text: str) -> npt.NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def _short(characters: npt.NDArray[np.uint32], n: int) -> npt.NDArray[np.uint32]:
    """The upper 16 bits of a polynomial hash of each run of n characters, in order."""
    count = max(0, len(characters) - n + 1)
    hashes = characters[:count] * _SHORT
    for i in range(1, n):
        hashes += characters[i : i + count]
        hashes *= _SHORT
    hashes >>= _SHIFT
    return hashes


def _long(characters: npt.NDArray[np.uint32], n: int, places: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    """A 64-bit polynomial hash of the runs of n characters at some places.

    Two runs of one hash would count as one; among a million of them that happens once in ten million texts.
    """
    hashes = np.zeros(len(places), np.uint64)
    for i in range(n):
        hashes += characters[places + i]
        hashes *= _LONG
    return hashes


def shared_grams(query: str, texts: Sequence[str], n: int) -> tuple[npt.NDArray[np.int64], int]:
    """How many different runs of n characters of a query stand in each text, and how many it has.

    Args:
        query: without line breaks.
        texts: without line breaks, too.
        n: from 1.

    """
    characters = _characters(query)
    wanted = np.unique(_long(characters, n, np.arange(max(0, len(characters) - n + 1))))
    counts = np.zeros(len(texts), np.int64)
    if not len(wanted) or not len(texts):
        return counts, len(wanted)
    likely = np.zeros(1 << 16, bool)
    likely[_short(characters, n)] = True
    characters = _characters("\n".join(texts) + "\n")
    places = np.flatnonzero(likely[_short(characters, n)])
    hashes = _long(characters, n, places)
    which = np.searchsorted(wanted, hashes)
    which[which == len(wanted)] = 0
    exact = wanted[which] == hashes
    ends = np.cumsum([len(text) + 1 for text in texts])
    present = np.zeros((len(texts), len(wanted)), bool)
    present[np.searchsorted(ends, places[exact], side="right"), which[exact]] = True
    return present.sum(axis=1), len(wanted)
