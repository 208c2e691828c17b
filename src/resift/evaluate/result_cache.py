"""What first stages returned and what models said, kept on disk, so that a run goes on where it was stopped."""

from __future__ import annotations

import json
import os
import sqlite3
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from resift.errors import InputError
from resift.protocols import KnowsLanguages, RemembersDocuments, Role, Scorer
from resift.score.cache import digest
from resift.types import Candidate, Document, Flag, Judgement, Pair, Query, Scores, Span

_TABLES = (
    "CREATE TABLE IF NOT EXISTS judgements (key BLOB PRIMARY KEY, value REAL, first INTEGER, last INTEGER, "
    "flags TEXT NOT NULL, tokens REAL NOT NULL, ms REAL NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS rankings (key BLOB PRIMARY KEY, ranking BLOB NOT NULL)",
)
_AT_ONCE = 500  # keys of one query to SQLite


@dataclass(slots=True)
class Cost:
    """What models took: milliseconds and tokens of judgements, fresh or kept, and the seconds that passed here."""

    ms: float = 0.0
    tokens: float = 0.0
    seconds: float = 0.0

    def clear(self) -> None:
        """Begin anew, for the next query."""
        self.ms = self.tokens = self.seconds = 0.0


@dataclass(frozen=True, slots=True)
class CostlyJudgement:
    """A judgement with what it took when it was made."""

    judgement: Judgement
    tokens: float
    ms: float


class ResultCache:
    """An SQLite file of judgements and rankings by key; without a folder, memory.

    Raises:
        InputError: the folder can't be written, or the file is no cache.

    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self._path = ":memory:" if folder is None else str(folder / "results.sqlite")
        with self._blaming():
            if folder is not None:
                os.makedirs(folder, exist_ok=True)
            self._file = sqlite3.connect(self._path, timeout=30, isolation_level=None)
            self._file.execute("PRAGMA journal_mode=WAL")
            self._file.execute("PRAGMA synchronous=NORMAL")
            for table in _TABLES:
                self._file.execute(table)
            self._file.execute("SELECT key, value, first, last, flags, tokens, ms FROM judgements LIMIT 0")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def judgements(self, keys: Sequence[bytes]) -> dict[bytes, CostlyJudgement]:
        """The judgements that are kept under these keys."""
        stored: dict[bytes, CostlyJudgement] = {}
        for start in range(0, len(keys), _AT_ONCE):
            part = keys[start : start + _AT_ONCE]
            marks = ",".join("?" * len(part))
            with self._blaming():
                rows = self._file.execute(f"SELECT * FROM judgements WHERE key IN ({marks})", part).fetchall()
            for key, value, first, last, flags, tokens, ms in rows:
                span = None if first is None else Span(first, last)
                stored[key] = CostlyJudgement(
                    Judgement(value, span, frozenset(map(Flag, json.loads(flags)))), tokens, ms
                )
        return stored

    def keep(self, items: Iterable[tuple[bytes, CostlyJudgement]]) -> None:
        """Keep judgements under their keys."""
        rows = [
            (key, j.value, j.span and j.span.start, j.span and j.span.end, json.dumps(sorted(j.flags)), c.tokens, c.ms)
            for key, c in items
            for j in [c.judgement]
        ]
        with self._blaming():
            self._file.execute("BEGIN IMMEDIATE")
            try:
                self._file.executemany("INSERT OR REPLACE INTO judgements VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
            finally:
                self._file.execute("COMMIT")

    def ranking(self, key: bytes) -> str | None:
        """The text of a ranking; None where it is not kept."""
        with self._blaming():
            row = self._file.execute("SELECT ranking FROM rankings WHERE key = ?", (key,)).fetchone()
        return None if row is None else zlib.decompress(row[0]).decode()

    def keep_ranking(self, key: bytes, text: str) -> None:
        """Keep the text of a ranking."""
        with self._blaming():
            self._file.execute("INSERT OR REPLACE INTO rankings VALUES (?, ?)", (key, zlib.compress(text.encode(), 1)))

    @contextmanager
    def _blaming(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise InputError(f"can't use the cache {self._path} ({error}); name another folder with --cache") from error


class RecordedScorer:
    """A scorer whose judgements are kept; a pair that was judged before is looked up, with what it took then.

    The model is called once for a short pair before its first pair is timed, so that no query pays for reading weights.
    """

    def __init__(self, scorer: Scorer, cache: ResultCache, cost: Cost) -> None:
        self.info, self.scorer, self.cache, self.cost = scorer.info, scorer, cache, cost
        self.fresh = 0  # pairs that the model judged
        self._model = digest(json.dumps(asdict(self.info), sort_keys=True)).hex()

    def score(self, pairs: Sequence[Pair]) -> Scores:
        """The scorer's judgements; `tokens` are those that were read for them, now or before."""
        costly = self.costly(pairs)
        return Scores(
            tuple(c.judgement for c in costly), self.info.kind, self.info.name, round(sum(c.tokens for c in costly))
        )

    def costly(self, pairs: Sequence[Pair]) -> list[CostlyJudgement]:
        """A judgement for each pair, with what it took."""
        began = time.perf_counter()
        keys = [self._key(pair) for pair in pairs]
        judged = self.cache.judgements(keys)
        missing = {key: i for i, key in enumerate(keys) if key not in judged}
        if missing:
            fresh = self._fresh([pairs[i] for i in missing.values()])
            judged |= zip(missing, fresh, strict=True)
            self.cache.keep(zip(missing, fresh, strict=True))
        costly = [judged[key] for key in keys]
        self.cost.ms += sum(c.ms for c in costly)
        self.cost.tokens += sum(c.tokens for c in costly)
        self.cost.seconds += time.perf_counter() - began
        return costly

    def foreign(self, texts: Sequence[str], role: Role) -> list[str]:
        """The language of each text that the scorer does not read; see `KnowsLanguages`."""
        return self.scorer.foreign(texts, role) if isinstance(self.scorer, KnowsLanguages) else [""] * len(texts)

    def misfit(self, query: str, passages: Sequence[str]) -> str:
        """Why the scorer should not judge these texts; see `KnowsLanguages`."""
        return self.scorer.misfit(query, passages) if isinstance(self.scorer, KnowsLanguages) else ""

    def _fresh(self, pairs: Sequence[Pair]) -> list[CostlyJudgement]:
        """What the model says now; time and tokens of the call are shared out by the pairs' lengths."""
        if not self.fresh:
            self.scorer.score([(Query("a"), Candidate(Document("", "a")))])
        began, spared = time.perf_counter(), self._spared_ms()
        scores = self.scorer.score(pairs)
        ms = (time.perf_counter() - began) * 1e3 + self._spared_ms() - spared
        self.fresh += len(pairs)
        lengths = [j.tokens or 1 for j in scores.judgements]
        whole = sum(lengths)
        return [
            CostlyJudgement(replace(j, tokens=0), scores.tokens * length / whole, ms * length / whole)
            for j, length in zip(scores.judgements, lengths, strict=True)
        ]

    def _spared_ms(self) -> float:
        """What remembered documents took when they were encoded: it belongs to every query that needs them."""
        memory = self.scorer.memory if isinstance(self.scorer, RemembersDocuments) else None
        return memory.spared_ms if memory else 0.0

    def _key(self, pair: Pair) -> bytes:
        query, document = pair[0], pair[1].document
        return digest(self._model, query.instruction, query.text, document.title, document.text)
