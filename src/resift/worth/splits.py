"""Which queries tune and which are reported: by text, so that no query is reported by parameters that it tuned."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import numpy.typing as npt

from resift.types import Query

HALVES_FROM = 200  # queries from which one half tunes and the other is reported
FOLDS = 5  # below, each fold is reported by parameters of the others

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Split:
    """Q queries in two: those that tune, and those that are reported; no text is in both."""

    tune: Bools
    report: Bools


def splits(queries: Sequence[Query], seed: int = 0) -> list[Split]:
    """Two halves from 200 queries on, else 5-fold cross-fitting, in which each query is reported once.

    Queries whose texts are the same but for letter case, width and white space are one query, and stay together. Texts
    are dealt by a hash of seed and text, the most frequent first, each into the smallest part; so neither ids nor the
    order of a file change a split. With a single text there is nothing to tune on, and the list is empty.

    Args:
        queries: whose texts are split.
        seed: another one gives another split.

    """
    halves = len(queries) >= HALVES_FROM
    parts = _parts(queries, 2 if halves else FOLDS, seed)
    return parts[1:] if halves else parts


def folds(queries: Sequence[Query], seed: int = 0) -> list[Split]:
    """5-fold cross-fitting, however many queries there are; else as `splits`."""
    return _parts(queries, FOLDS, seed)


def _parts(queries: Sequence[Query], most: int, seed: int) -> list[Split]:
    """Each part is reported once, and the others tune."""
    texts = [_normal(query.text) for query in queries]
    sizes = Counter(texts)
    if len(sizes) < 2:
        return []
    count = min(most, len(sizes))
    part_of: dict[str, int] = {}
    filled = [0] * count
    for text in sorted(sizes, key=lambda text: (-sizes[text], _hash(seed, text))):
        part_of[text] = min(range(count), key=lambda part: (filled[part], part))
        filled[part_of[text]] += sizes[text]
    parts = np.array([part_of[text] for text in texts])
    return [Split(parts != part, parts == part) for part in range(count)]


def _normal(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _hash(seed: int, text: str) -> bytes:
    return sha256(f"{seed}\n{text}".encode("utf-8", "surrogatepass")).digest()
