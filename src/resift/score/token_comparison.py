"""Compares a query's token vectors with documents': MaxSim, the share of the pooled vectors, and the span."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from resift.engine.batching import FloatArray
from resift.engine.exact import ExactVectors, exact_maxsim
from resift.engine.maxsim import TokenVectors, densest, maxsim
from resift.score.pairs import NO_FLAGS, NON_FINITE, Distinct
from resift.types import Flag, Judgement, Span

Places = npt.NDArray[np.int32]

_SPAN_TOKENS = 40  # the span is the stretch of 40 tokens that wins most of the score, grown to whole sentences
_NOWHERE = 1 << 30  # the place of a match that covers no characters, further from all others than any span is long


@dataclass(frozen=True, slots=True)
class QueryVectors:
    """A query's token vectors (Q, D), the share of each token (Q,), and its pooled vector (H,), empty without one.

    The shares sum to 1, or to Q where the contract says that a score is a sum. `flags` is "rescored" where only f32
    gave finite vectors, "non_finite" where f32 gave none either.
    """

    values: FloatArray
    shares: FloatArray
    pooled: FloatArray
    cut: bool
    flags: frozenset[Flag] = NO_FLAGS


@dataclass(frozen=True, slots=True)
class DocumentVectors:
    """A document's token vectors, one entry per window, and the pooled vector (H,): the windows' mean, of length 1.

    There is no window where the flags say "non_finite"; see QueryVectors.
    """

    windows: tuple[TokenVectors, ...] | tuple[ExactVectors, ...]
    pooled: FloatArray
    tokens: int
    cut: bool
    flags: frozenset[Flag] = NO_FLAGS

    @property
    def nbytes(self) -> int:
        """How much memory the vectors take, about."""
        return self.pooled.nbytes + sum(w.values.nbytes + w.spans.nbytes for w in self.windows)


def compare(
    queries: Sequence[QueryVectors], documents: Sequence[DocumentVectors], work: Distinct, pooled_share: float = 0.0
) -> list[Judgement]:
    """MaxSim of each row of `work`, and the cosine of the pooled vectors by its share.

    The span is where the best window's best-matching tokens lie.
    """
    by_query: dict[int, list[int]] = {}
    for row, (q, _) in enumerate(work.rows):
        by_query.setdefault(q, []).append(row)
    judgements: dict[int, Judgement] = {}
    for q, rows in by_query.items():
        if queries[q].flags >= NON_FINITE:
            judgements |= dict.fromkeys(rows, Judgement(None, flags=queries[q].flags))
        else:
            judgements |= _compared(queries[q], [documents[work.rows[row][1]] for row in rows], rows, pooled_share)
    return [judgements[row] for row in range(len(work.rows))]


def _compared(
    query: QueryVectors, documents: Sequence[DocumentVectors], rows: Sequence[int], pooled_share: float
) -> dict[int, Judgement]:
    """One query against the documents of its rows."""
    limit = round(float(query.shares.sum(dtype=np.float64)), 5)  # vectors rounded to int8 may be longer than 1
    parts = [(row, w) for row, document in zip(rows, documents, strict=True) for w in document.windows]
    scores, places, cosines = _matches(query, [w for _, w in parts])
    best: dict[int, int] = {}
    for p, (row, _) in enumerate(parts):
        if row not in best or scores[p] > scores[best[row]]:
            best[row] = p
    won = list(best.values())
    spans = _spans([parts[p][1].spans for p in won], places[won], cosines[won] * query.shares)
    span_of = dict(zip(won, spans, strict=True))
    judgements = {}
    for row, document in zip(rows, documents, strict=True):
        if row in best:
            p, tokens = best[row], len(query.values) + document.tokens
            value = float(np.clip(scores[p], -limit, limit))
            if pooled_share:
                cosine = float(np.clip(query.pooled @ document.pooled, -1, 1))
                value = (1 - pooled_share) * value + pooled_share * cosine
            judgements[row] = Judgement(value, span_of[p], _flags(query, document), tokens)
        else:
            judgements[row] = Judgement(None, flags=document.flags or frozenset({Flag.EMPTY}))
    return judgements


def _matches(
    query: QueryVectors, windows: Sequence[TokenVectors | ExactVectors]
) -> tuple[FloatArray, Places, FloatArray]:
    exact = [w for w in windows if isinstance(w, ExactVectors)]
    if exact:
        return exact_maxsim(query.values, query.shares, exact)
    return maxsim(query.values, query.shares, [w for w in windows if isinstance(w, TokenVectors)])


def _spans(spans: Sequence[npt.NDArray[np.int32]], places: Places, gains: FloatArray) -> list[Span | None]:
    """The characters where most was gained; None when all was at tokens that cover none, such as [CLS]."""
    places = places.copy()
    for characters, row in zip(spans, places, strict=True):
        row[characters[row, 1] <= characters[row, 0]] = _NOWHERE
    gains = np.where(places == _NOWHERE, np.float32(0), gains)
    return [
        None if first == _NOWHERE else Span(int(characters[first, 0]), int(characters[last, 1]))
        for characters, (first, last) in zip(spans, densest(places, gains, _SPAN_TOKENS).tolist(), strict=True)
    ]


def _flags(query: QueryVectors, document: DocumentVectors) -> frozenset[Flag]:
    flags = {
        Flag.QUERY_TRUNCATED: query.cut,
        Flag.TRUNCATED: document.cut,
        Flag.WINDOWED: len(document.windows) > 1,
    }
    return frozenset(flag for flag, true in flags.items() if true) | query.flags | document.flags
