"""Remembers what a model made of documents, so that a document that many queries find is encoded once."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

from resift.score.cache import digest


class Encoded(Protocol):
    """What a model makes of a document; its size and tokens are known."""

    @property
    def tokens(self) -> int:
        """How many tokens were read."""

    @property
    def nbytes(self) -> int:
        """How much memory it takes."""


Vectors = TypeVar("Vectors", bound=Encoded)


class DocumentMemory(Generic[Vectors]):
    """Encoded documents by a hash of their texts; the least recently used ones leave first.

    Args:
        limit: bytes that it may hold.

    Attributes:
        spared_ms: what encoding those took that were not encoded again. Whoever measures time adds it, and so knows
            what a search takes that remembers nothing.

    """

    def __init__(self, limit: int) -> None:
        self.spared_ms = 0.0
        self._limit, self._bytes = limit, 0
        self._entries: OrderedDict[bytes, tuple[Vectors, float]] = OrderedDict()

    def encode(self, texts: Sequence[str], encode: Callable[[Sequence[str]], Sequence[Vectors]]) -> list[Vectors]:
        """One entry per text: remembered, or fresh from `encode`, which gets all the others at once."""
        keys = [digest(text) for text in texts]
        entries = {key: self._entries[key] for key in keys if key in self._entries}
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in entries}
        for key, (_, ms) in entries.items():
            self.spared_ms += ms
            self._entries.move_to_end(key)
        if missing:
            began = time.perf_counter()
            fresh = encode(list(missing.values()))
            ms = (time.perf_counter() - began) * 1e3
            whole = sum(max(1, vectors.tokens) for vectors in fresh)
            shares = (ms * max(1, vectors.tokens) / whole for vectors in fresh)
            entries |= {key: pair for key, pair in zip(missing, zip(fresh, shares, strict=True), strict=True)}
            self._remember({key: entries[key] for key in missing})
        return [entries[key][0] for key in keys]

    def _remember(self, entries: dict[bytes, tuple[Vectors, float]]) -> None:
        self._entries.update(entries)
        self._bytes += sum(vectors.nbytes for vectors, _ in entries.values())
        while self._bytes > self._limit and self._entries:
            _, (vectors, _) = self._entries.popitem(last=False)
            self._bytes -= vectors.nbytes
