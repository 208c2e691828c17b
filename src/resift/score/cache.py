"""Keeps the scores of pairs that were scored before, in memory and, on request, in an SQLite file."""

from __future__ import annotations

import json
import os
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from resift.errors import InputError
from resift.types import Pair, Scores, Span

if TYPE_CHECKING:
    import sqlite3

    from resift.score.encoder import CrossEncoder
    from resift.score.late import LateInteraction

Key = bytes
_TABLE = """CREATE TABLE IF NOT EXISTS pairs
    (key BLOB PRIMARY KEY, value REAL, first INTEGER, last INTEGER, flags TEXT NOT NULL) WITHOUT ROWID"""


@dataclass(frozen=True, slots=True)
class Kept:
    """What a scorer said of one pair; a value of None means that it was not scored, see the flags."""

    value: float | None
    span: Span | None
    flags: frozenset[str]


class PairCache:
    """Scores by key; safe to share between threads and between models, whose keys differ.

    Args:
        entries: how many pairs memory holds; the least recently used ones leave first.
        path: an SQLite file that keeps all of them, also for other processes; it only grows. Delete it to empty it.

    Raises:
        InputError: the file is no cache, or can't be written.

    """

    def __init__(self, entries: int = 100_000, path: str | os.PathLike[str] | None = None) -> None:
        if entries < 1:
            raise InputError(f"a cache holds 1 entry or more; not {entries}")
        self.entries, self.hits, self.lookups = entries, 0, 0
        self._memory: OrderedDict[Key, Kept] = OrderedDict()
        self._lock = Lock()
        self._path = Path(path) if path is not None else None
        self._file = _opened(self._path) if self._path else None

    @property
    def hit_rate(self) -> float:
        """The share of pairs that were found, 0..1; 0 before the first."""
        return self.hits / self.lookups if self.lookups else 0.0

    def __len__(self) -> int:
        return len(self._memory)

    def get(self, keys: Sequence[Key]) -> list[Kept | None]:
        """What is kept under each key, else None."""
        with self._lock:
            found = [self._look_up(key) for key in keys]
            self.lookups += len(found)
            self.hits += sum(kept is not None for kept in found)
        return found

    def put(self, items: Iterable[tuple[Key, Kept]]) -> None:
        """Keep what a scorer said."""
        given = list(items)
        with self._lock:
            for key, kept in given:
                self._remember(key, kept)
            if self._file is not None:
                import sqlite3

                rows = [(key, k.value, *_ends(k.span), json.dumps(sorted(k.flags))) for key, k in given]
                try:
                    with self._file:
                        self._file.executemany("INSERT OR REPLACE INTO pairs VALUES (?, ?, ?, ?, ?)", rows)
                except sqlite3.Error as error:
                    raise InputError(f"can't write the cache {self._path}: {error}") from error

    def close(self) -> None:
        """Close the file, if there is one; what memory holds stays."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def _look_up(self, key: Key) -> Kept | None:
        kept = self._memory.get(key)
        if kept is not None:
            self._memory.move_to_end(key)
            return kept
        if self._file is None:
            return None
        row = self._file.execute("SELECT value, first, last, flags FROM pairs WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        value, first, last, flags = row
        kept = Kept(value, None if first is None else Span(first, last), frozenset(json.loads(flags)))
        self._remember(key, kept)
        return kept

    def _remember(self, key: Key, kept: Kept) -> None:
        self._memory[key] = kept
        self._memory.move_to_end(key)
        while len(self._memory) > self.entries:
            self._memory.popitem(last=False)


class Cached:
    """A scorer that asks its cache first, and the model only about the rest."""

    def __init__(self, scorer: CrossEncoder | LateInteraction, cache: PairCache) -> None:
        self.name, self.scorer, self.cache = scorer.name, scorer, cache
        contract = json.dumps(asdict(scorer.contract), sort_keys=True)
        self._model = digest(
            scorer.fingerprint, contract, scorer.runs_on, scorer.long_documents, str(scorer.contract.max_tokens)
        )

    def score(self, pairs: Sequence[Pair]) -> Scores:
        """What the scorer says of the pairs; `tokens` counts those that were read now."""
        keys = [self.key(pair) for pair in pairs]
        kept = self.cache.get(keys)
        missing = [i for i, found in enumerate(kept) if found is None]
        tokens = 0
        if missing:
            fresh = self.scorer.score([pairs[i] for i in missing])
            tokens = fresh.tokens
            for j, i in enumerate(missing):
                kept[i] = Kept(fresh.values[j], fresh.spans[j], fresh.flags[j])
            self.cache.put((keys[i], k) for i in missing if (k := kept[i]) is not None)
        found = [k for k in kept if k is not None]
        return Scores(
            tuple(k.value for k in found),
            self.scorer.contract.kind,
            self.name,
            tuple(k.flags for k in found),
            tuple(k.span for k in found),
            tokens,
        )

    def key(self, pair: Pair) -> Key:
        """A hash of everything that a score depends on."""
        query, document = pair[0], pair[1].document
        return digest(self._model.hex(), query.instruction, query.text, document.title, document.text)


def digest(*parts: str) -> bytes:
    """SHA-256 of parts, each behind its length, so that ("ab", "c") and ("a", "bc") differ."""
    hashed = sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        hashed.update(len(data).to_bytes(8, "big"))
        hashed.update(data)
    return hashed.digest()


def _ends(span: Span | None) -> tuple[int | None, int | None]:
    return (None, None) if span is None else (span.start, span.end)


def _opened(path: Path) -> sqlite3.Connection:
    """Open or make the file; the caller's lock keeps threads apart, SQLite's own keeps processes apart."""
    import sqlite3

    try:
        file = sqlite3.connect(path, timeout=30, check_same_thread=False)
        try:
            file.execute("PRAGMA journal_mode=WAL")
            file.execute(_TABLE)
            file.execute("SELECT value, first, last, flags FROM pairs LIMIT 0")
        except sqlite3.Error:
            file.close()
            raise
    except sqlite3.Error as error:
        raise InputError(f"{path} can't be used as a cache ({error}); name another file") from error
    return file
