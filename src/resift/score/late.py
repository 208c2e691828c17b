"""Late interaction: query and document are encoded apart, and compared token by token with MaxSim."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np

from resift.engine.batching import Engine, FloatArray, Sequences, pack
from resift.engine.maxsim import TokenVectors, densest, maxsim
from resift.errors import InputError
from resift.protocols import Role
from resift.score.contract import Contract
from resift.score.encoder import LongDocuments
from resift.score.pairs import NO_FLAGS, Distinct, Verdict, distinct, spread
from resift.score.tokens import Encoded, Tokens
from resift.text.clean import clean
from resift.text.sentences import widen
from resift.text.windows import windows
from resift.types import Document, Pair, Scores

_SPAN_TOKENS = 40  # the stretch of so many tokens that wins most of the score, grown to whole sentences, is the span


@dataclass(frozen=True, slots=True)
class QueryVectors:
    """A query's token vectors (Q, D), the share of each token (Q,), summing to 1, and its pooled vector (H,)."""

    values: FloatArray
    shares: FloatArray
    pooled: FloatArray
    cut: bool


@dataclass(frozen=True, slots=True)
class DocumentVectors:
    """A document's token vectors, one entry per window, and the pooled vector (H,): the windows' mean, of length 1."""

    windows: tuple[TokenVectors, ...]
    pooled: FloatArray
    tokens: int
    cut: bool


class TokenStore(Protocol):
    """Token vectors that were computed before."""

    def windows_of(self, document: Document) -> tuple[TokenVectors, ...] | None:
        """The document's windows; None when it is not stored."""


class LateInteraction:
    """Scores pairs by MaxSim over token vectors, which depend on one text alone and so can be kept.

    The model's outputs are token vectors (B, T, D) and pooled vectors (B, H), of length 1, and token weights (B, T).
    The span is the sentences in which most of the score was won.
    A document over the window is encoded in overlapping windows, and the best one counts (flag "windowed"); with
    long_documents="truncate" only the first window is read (flag "truncated").
    """

    def __init__(
        self, contract: Contract, tokens: Tokens, engine: Engine, pad: int, long_documents: LongDocuments = "windows"
    ) -> None:
        self.name, self.contract = contract.name, contract
        self.tokens, self._engine, self._pad = tokens, engine, pad
        self.long_documents, self.fingerprint = long_documents, ""
        self._store: TokenStore | None = None
        self._prefix, self._suffix = tokens.template.prefix, tokens.template.suffix

    def score(self, pairs: Sequence[Pair]) -> Scores:
        """MaxSim of the pairs, a weighted mean of cosines in -1..1; a pair with an empty document has none.

        Raises:
            InputError: a query without any token.

        """
        work = distinct(pairs)
        queries, documents = self.encode_queries(work.queries), self._vectors_of(work)
        verdicts = [
            replace(v, span=widen(work.documents[d], *v.span)) if v.span else v
            for v, (_, d) in zip(compare(queries, documents, work), work.rows, strict=True)
        ]
        tokens = sum(len(q.values) for q in queries) + sum(d.tokens for d in documents)
        return spread(pairs, work, verdicts, self.contract.kind, self.name, tokens)

    def encode_queries(self, texts: Sequence[str]) -> list[QueryVectors]:
        """Encode queries; one over the model's window is cut."""
        encoded = self.tokens.encode(texts)
        room = self.contract.max_tokens - len(self._prefix) - len(self._suffix)
        found: dict[int, QueryVectors] = {}
        ids = [e.ids[:room] for e in encoded]
        if any(not self._content(i).any() for i in ids):
            raise InputError("the query has no token that the model can read; ask with at least one word")
        for batch, (vectors, pooled, weights) in self._engine.run(pack(self._sequences(ids), self._pad)):
            for j, i in enumerate(batch.rows):
                keep = np.flatnonzero(self._content(ids[i])) + len(self._prefix)
                own = weights[j][keep]
                found[i] = QueryVectors(vectors[j][keep], own / own.sum(), pooled[j], len(encoded[i].ids) > room)
        return [found[i] for i in range(len(texts))]

    def with_store(self, store: TokenStore) -> LateInteraction:
        """The same model, which takes the token vectors of stored documents from `store` instead of encoding them."""
        stored = copy(self)
        stored._store = store
        return stored

    def with_engine(self, wrap: Callable[[Engine], Engine]) -> LateInteraction:
        """The same model on another engine, which `wrap` makes of its own."""
        other = copy(self)
        other._engine = wrap(self._engine)
        return other

    @cached_property
    def _sample(self) -> QueryVectors:
        return self.encode_queries(["a"])[0]

    @property
    def dims(self) -> int:
        """The pooled vector's dimensions."""
        return len(self._sample.pooled)

    @property
    def token_dims(self) -> int:
        """A token vector's dimensions."""
        return int(self._sample.values.shape[1])

    def _vectors_of(self, work: Distinct) -> list[DocumentVectors]:
        """Stored vectors where there are any; the other documents are encoded."""
        stored = [self._store.windows_of(d) if self._store else None for d in work.sources]
        missing = [text for text, windows_ in zip(work.documents, stored, strict=True) if windows_ is None]
        encoded = iter(self.encode_documents(missing))
        return [next(encoded) if w is None else DocumentVectors(w, np.zeros(0, np.float32), 0, False) for w in stored]

    def embed(self, texts: Sequence[str], role: Role) -> FloatArray:
        """Pooled vectors (n, H) of length 1: the same pass that gives token vectors serves dense retrieval."""
        cleaned = [clean(t) for t in texts]
        if role == "query":
            return np.stack([q.pooled for q in self.encode_queries(cleaned)])
        pooled = [d.pooled for d in self.encode_documents(cleaned)]
        return np.stack([p if len(p) else np.zeros(self.dims, np.float32) for p in pooled])

    def encode_documents(self, texts: Sequence[str]) -> list[DocumentVectors]:
        """Encode documents, each in as many windows as it needs; one without any token has none."""
        encoded = self.tokens.encode(texts)
        size = min(self.contract.window_tokens, self.contract.max_tokens) - len(self._prefix) - len(self._suffix)
        parts: list[tuple[int, int, int]] = []
        for i, e in enumerate(encoded):
            ranges = windows(len(e.ids), size, size // 4) if e.ids else []
            parts += [(i, start, end) for start, end in (ranges[:1] if self.long_documents == "truncate" else ranges)]
        found: dict[int, tuple[TokenVectors, FloatArray]] = {}
        ids = [encoded[i].ids[start:end] for i, start, end in parts]
        for batch, (vectors, pooled, _) in self._engine.run(pack(self._sequences(ids), self._pad)):
            for j, p in enumerate(batch.rows):
                i, start, end = parts[p]
                keep = np.flatnonzero(self._content(ids[p]))
                spans = np.array(encoded[i].offsets[start:end], dtype=np.int32).reshape(-1, 2)[keep]
                found[p] = TokenVectors.quantized(vectors[j][keep + len(self._prefix)], spans), pooled[j]
        return self._gather(encoded, parts, found)

    def _gather(
        self,
        encoded: Sequence[Encoded],
        parts: Sequence[tuple[int, int, int]],
        found: Mapping[int, tuple[TokenVectors, FloatArray]],
    ) -> list[DocumentVectors]:
        """Put the windows of each document together again."""
        own: list[list[int]] = [[] for _ in encoded]
        for p, (i, _, _) in enumerate(parts):
            own[i].append(p)
        gathered = []
        for i, e in enumerate(encoded):
            kept = [found[p] for p in own[i] if len(found[p][0])]
            pooled = np.mean([v for _, v in kept], axis=0) if kept else np.zeros(0, np.float32)
            length = float(np.linalg.norm(pooled)) or 1.0
            covered = parts[own[i][-1]][2] if own[i] else 0
            read = sum(parts[p][2] - parts[p][1] for p in own[i])
            gathered.append(DocumentVectors(tuple(t for t, _ in kept), pooled / length, read, covered < len(e.ids)))
        return gathered

    def _sequences(self, ids: Sequence[list[int]]) -> Sequences:
        return Sequences([self._prefix + i + self._suffix for i in ids])

    def _content(self, ids: Sequence[int]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Which tokens take part in MaxSim."""
        return ~np.isin(np.asarray(ids, dtype=np.int64), self.contract.skip)


def compare(queries: Sequence[QueryVectors], documents: Sequence[DocumentVectors], work: Distinct) -> list[Verdict]:
    """MaxSim of each row of `work`; the span is where the best window's best-matching tokens lie."""
    by_query: dict[int, list[int]] = {}
    for row, (q, _) in enumerate(work.rows):
        by_query.setdefault(q, []).append(row)
    verdicts: dict[int, Verdict] = {}
    for q, rows in by_query.items():
        query = queries[q]
        parts = [(row, w) for row in rows for w in documents[work.rows[row][1]].windows]
        scores, places, cosines = maxsim(query.values, query.shares, [w for _, w in parts])
        best: dict[int, int] = {}
        for p, (row, _) in enumerate(parts):
            if row not in best or scores[p] > scores[best[row]]:
                best[row] = p
        for row in rows:
            document = documents[work.rows[row][1]]
            if row not in best:
                verdicts[row] = Verdict(None, flags=frozenset({"empty"}))
                continue
            p = best[row]
            first, last = densest(places[p], cosines[p] * query.shares, _SPAN_TOKENS)
            spans = parts[p][1].spans
            span = int(spans[first, 0]), int(spans[last, 1])
            read = len(query.values) + document.tokens
            verdicts[row] = Verdict(float(scores[p]), span, _flags(query, document), read)
    return [verdicts[row] for row in range(len(work.rows))]


def _flags(query: QueryVectors, document: DocumentVectors) -> frozenset[str]:
    named = {"query_truncated": query.cut, "truncated": document.cut, "windowed": len(document.windows) > 1}
    return frozenset(name for name, true in named.items() if true) or NO_FLAGS
