"""Which queries train, which choose the checkpoint, and which are reported; a query's text is in one part alone."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from resift.errors import InputError
from resift.train.examples import TrainingQuery

LEAST = 10  # distinct queries that choose, and as many that are reported
_SHARE = 0.1
_MOST = 300


@dataclass(frozen=True, slots=True)
class Parts:
    """Queries that train, that choose the checkpoint (dev), and that are reported (test)."""

    train: tuple[TrainingQuery, ...]
    dev: tuple[TrainingQuery, ...]
    test: tuple[TrainingQuery, ...]


def split(queries: Sequence[TrainingQuery], seed: int = 0) -> Parts:
    """Deal queries by a hash of seed and text: a tenth to dev and a tenth to test, 10 to 300 texts each.

    Queries whose texts are the same but for letter case, width and white space stay together; so neither another id
    nor the order of a file brings a query into two parts. Only queries with a positive and with another candidate can
    be measured, and go to dev and test; the others train.

    Raises:
        InputError: fewer than 40 distinct queries that can be measured.

    """
    texts = sorted({normal(q.query.text) for q in queries if _measurable(q)}, key=lambda text: _hash(seed, text))
    if len(texts) < 4 * LEAST:
        raise InputError(
            f"{len(texts)} distinct queries have a positive; training takes {4 * LEAST}, of which {2 * LEAST} are held "
            "out to measure it: judge more (resift judge), or give them with --dev"
        )
    count = max(LEAST, min(_MOST, round(len(texts) * _SHARE)))
    dev, test = frozenset(texts[:count]), frozenset(texts[count : 2 * count])
    return Parts(
        tuple(q for q in queries if normal(q.query.text) not in dev | test),
        tuple(q for q in queries if normal(q.query.text) in dev),
        tuple(q for q in queries if normal(q.query.text) in test),
    )


def halves(count: int, texts: Sequence[str], seed: int = 0) -> tuple[list[int], list[int]]:
    """Places of `count` texts in two halves, by a hash of seed and text; the same text is in one half."""
    order = sorted({normal(text) for text in texts}, key=lambda text: _hash(seed, text))
    first = frozenset(order[: len(order) // 2])
    inside = [normal(text) in first for text in texts]
    return [i for i in range(count) if inside[i]], [i for i in range(count) if not inside[i]]


def without_texts(queries: Sequence[TrainingQuery], texts: Iterable[str]) -> tuple[tuple[TrainingQuery, ...], int]:
    """Queries whose texts are not among these, and how many were."""
    others = {normal(text) for text in texts}
    rest = tuple(q for q in queries if normal(q.query.text) not in others)
    return rest, len(queries) - len(rest)


def normal(text: str) -> str:
    """A text without differences of letter case, width and white space."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _measurable(query: TrainingQuery) -> bool:
    return any((c.label or 0) > 0 for c in query.candidates)


def _hash(seed: int, text: str) -> bytes:
    return sha256(f"{seed}\n{text}".encode("utf-8", "surrogatepass")).digest()
