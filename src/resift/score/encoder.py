"""Cross-encoders: query and document in one input, one logit out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from typing import Literal

import numpy as np

from resift.engine.batching import Engine, Sequences, pack
from resift.errors import InputError
from resift.score.contract import Contract
from resift.score.pairs import NO_FLAGS, Verdict, distinct, spread
from resift.score.tokens import Encoded, Tokens
from resift.text.windows import windows
from resift.types import Pair, Scores

LongDocuments = Literal["windows", "truncate"]


class CrossEncoder:
    """Scores pairs with a sequence classifier.

    A pair over the window is scored in overlapping windows of the document; the best one counts and is the span
    (flag "windowed"). With long_documents="truncate" only what fits is read (flag "truncated"). The query is cut to
    three quarters of the window at most (flag "query_truncated"), as FlagEmbedding does.
    """

    def __init__(
        self, contract: Contract, tokens: Tokens, engine: Engine, pad: int, long_documents: LongDocuments = "windows"
    ) -> None:
        self.name, self.contract = contract.name, contract
        self.tokens, self._engine, self._pad = tokens, engine, pad
        self.long_documents, self.fingerprint = long_documents, ""

    def score(self, pairs: Sequence[Pair]) -> Scores:
        """Logits of the pairs; a pair with an empty document has none.

        Raises:
            InputError: a query without any token.
            NonFiniteScore: the model gave NaN or infinity.

        """
        work = distinct(pairs)
        queries, documents = self.tokens.encode(work.queries), self.tokens.encode(work.documents)
        ids, segments, owners = [], [], []
        spans: list[tuple[int, int]] = []
        flags: list[frozenset[str]] = []
        for row, (q, d) in enumerate(work.rows):
            parts, flag = self._parts(queries[q], documents[d])
            flags.append(flag)
            for query_ids, start, end in parts:
                pair = self.tokens.template.pair(query_ids, documents[d].ids[start:end])
                ids.append(pair[0])
                segments.append(pair[1])
                owners.append(row)
                spans.append(_characters(documents[d], start, end))
        logits = np.empty(len(ids))
        for batch, (output,) in self._engine.run(pack(Sequences(ids, segments), self._pad)):
            logits[batch.rows] = output[:, 0]
        best: dict[int, int] = {}
        for part, row in enumerate(owners):
            if row not in best or logits[part] > logits[best[row]]:
                best[row] = part
        read = [0] * len(flags)
        for part, row in enumerate(owners):
            read[row] += len(ids[part])
        verdicts = [
            Verdict(float(logits[best[r]]), spans[best[r]] if "windowed" in f else None, f, read[r])
            for r, f in enumerate(flags)
        ]
        return spread(pairs, work, verdicts, self.contract.kind, self.name, sum(map(len, ids)))

    def with_engine(self, wrap: Callable[[Engine], Engine]) -> CrossEncoder:
        """The same model on another engine, which `wrap` makes of its own."""
        other = copy(self)
        other._engine = wrap(self._engine)
        return other

    def _parts(self, query: Encoded, document: Encoded) -> tuple[list[tuple[list[int], int, int]], frozenset[str]]:
        """(query ids, start, end) of each input that the pair needs, and what to say about it."""
        if not query.ids:
            raise InputError("the query has no token that the model can read; ask with at least one word")
        room = self.contract.max_tokens - self.tokens.template.size
        total = len(query.ids) + len(document.ids)
        if total <= room:
            return [(query.ids, 0, len(document.ids))], NO_FLAGS
        if self.long_documents == "truncate" and self.contract.truncation == "longest_first":
            first, second = longest_first(len(query.ids), len(document.ids), room)
            return [(query.ids[:first], 0, second)], frozenset({"truncated"})
        query_ids = query.ids[: self.contract.max_tokens * 3 // 4]
        flags = {"query_truncated"} if len(query_ids) < len(query.ids) else set()
        size = min(room - len(query_ids), self.contract.window_tokens)
        if self.long_documents == "truncate":
            cut = len(document.ids) > room - len(query_ids)
            return [(query_ids, 0, room - len(query_ids))], frozenset(flags | ({"truncated"} if cut else set()))
        ranges = windows(len(document.ids), size, min(80, size // 4))
        flags |= {"windowed"} if len(ranges) > 1 else set()
        return [(query_ids, start, end) for start, end in ranges], frozenset(flags)


def longest_first(first: int, second: int, room: int) -> tuple[int, int]:
    """Lengths left of a pair when tokens are taken from the longer text until both fit (rule of `tokenizers`)."""
    short, long = sorted((first, second))
    long = max(short, room - short) if short <= room else short
    if short + long > room:
        short, long = room // 2, room - room // 2
    return (short, long) if first <= second else (long, short)


def _characters(document: Encoded, start: int, end: int) -> tuple[int, int]:
    """The characters that the tokens start..end cover."""
    return (document.offsets[start][0], document.offsets[end - 1][1]) if end > start else (0, 0)
