"""Keeps the judgements of pairs in memory and, on request, in an SQLite file, so that no pair is scored twice."""

from __future__ import annotations

import json
import os
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from resift.errors import InputError
from resift.protocols import CutsTexts, KnowsLanguages, Role, RunsOn, Scorer
from resift.types import Flag, Judgement, Pair, Scores, Span

if TYPE_CHECKING:
    import sqlite3

    from resift.engine.batching import Engine


Key = bytes
_TABLE = """CREATE TABLE IF NOT EXISTS pairs
    (key BLOB PRIMARY KEY, value REAL, first INTEGER, last INTEGER, flags TEXT NOT NULL) WITHOUT ROWID"""


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
        self._memory: OrderedDict[Key, Judgement] = OrderedDict()
        self._lock = Lock()
        self._path = Path(path) if path is not None else None
        self._file = _opened(self._path) if self._path else None

    @property
    def hit_rate(self) -> float:
        """The share of looked-up pairs that were in the cache, 0..1; 0 before the first."""
        return self.hits / self.lookups if self.lookups else 0.0

    def __len__(self) -> int:
        return len(self._memory)

    def before(self, scorer: Scorer) -> Scorer:
        """A scorer that asks this cache first."""
        return Cached(scorer, self)

    def get(self, keys: Sequence[Key]) -> list[Judgement | None]:
        """The judgement under each key; None where there is none."""
        with self._lock:
            judgements = [self._look_up(key) for key in keys]
            self.lookups += len(judgements)
            self.hits += sum(judgement is not None for judgement in judgements)
        return judgements

    def put(self, items: Iterable[tuple[Key, Judgement]]) -> None:
        """Keep judgements by their keys."""
        rows = list(items)
        with self._lock:
            for key, judgement in rows:
                self._remember(key, judgement)
            if self._file is not None:
                import sqlite3

                values = [(key, j.value, *_ends(j.span), json.dumps(sorted(j.flags))) for key, j in rows]
                try:
                    with self._file:
                        self._file.executemany("INSERT OR REPLACE INTO pairs VALUES (?, ?, ?, ?, ?)", values)
                except sqlite3.Error as error:
                    raise InputError(f"can't write the cache {self._path}: {error}") from error

    def close(self) -> None:
        """Close the file, if there is one; what memory holds stays."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def _look_up(self, key: Key) -> Judgement | None:
        judgement = self._memory.get(key)
        if judgement is not None:
            self._memory.move_to_end(key)
            return judgement
        if self._file is None:
            return None
        row = self._file.execute("SELECT value, first, last, flags FROM pairs WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        value, first, last, flags = row
        span = None if first is None else Span(first, last)
        judgement = Judgement(value, span, frozenset(map(Flag, json.loads(flags))))
        self._remember(key, judgement)
        return judgement

    def _remember(self, key: Key, judgement: Judgement) -> None:
        self._memory[key] = judgement
        self._memory.move_to_end(key)
        while len(self._memory) > self.entries:
            self._memory.popitem(last=False)


class Cached:
    """A scorer that asks its cache first, and the model only about the rest."""

    def __init__(self, scorer: Scorer, cache: PairCache) -> None:
        self.info, self.scorer, self.cache = scorer.info, scorer, cache
        self._model = digest(json.dumps(asdict(scorer.info), sort_keys=True)).hex()

    def score(self, pairs: Sequence[Pair]) -> Scores:
        """The scorer's judgements; `tokens` counts those that it read in this call."""
        keys = [self.key(pair) for pair in pairs]
        judgements = self.cache.get(keys)
        missing = [i for i, judgement in enumerate(judgements) if judgement is None]
        tokens = 0
        if missing:
            fresh = self.scorer.score([pairs[i] for i in missing])
            tokens = fresh.tokens
            for i, judgement in zip(missing, fresh.judgements, strict=True):
                judgements[i] = judgement
            # Whoever gets such a judgement later reads no token for it.
            self.cache.put((keys[i], replace(j, tokens=0)) for i, j in zip(missing, fresh.judgements, strict=True))
        return Scores(tuple(j for j in judgements if j is not None), self.info.kind, self.info.name, tokens)

    def foreign(self, texts: Sequence[str], role: Role) -> list[str]:
        """The language of each text that the scorer does not read; see `KnowsLanguages`."""
        return self.scorer.foreign(texts, role) if isinstance(self.scorer, KnowsLanguages) else [""] * len(texts)

    def misfit(self, query: str, passages: Sequence[str]) -> str:
        """Why the scorer should not judge these texts; see `KnowsLanguages`."""
        return self.scorer.misfit(query, passages) if isinstance(self.scorer, KnowsLanguages) else ""

    def start_of(self, text: str, tokens: int) -> str:
        """The beginning of a text, as the scorer cuts it; all of it where the scorer can't."""
        return self.scorer.start_of(text, tokens) if isinstance(self.scorer, CutsTexts) else text

    def with_engine(self, wrap: Callable[[Engine], Engine]) -> Scorer:
        """The same cache before the scorer over another engine."""
        return Cached(self.scorer.with_engine(wrap), self.cache) if isinstance(self.scorer, RunsOn) else self

    def key(self, pair: Pair) -> Key:
        """A hash of everything that a score depends on."""
        query, document = pair[0], pair[1].document
        return digest(self._model, query.instruction, query.text, document.title, document.text)


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
