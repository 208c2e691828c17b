"""Rankings as JSON: what commands print and the server sends."""

from __future__ import annotations

import math
from typing import Any

from resift.text.clean import clean
from resift.types import Candidate, Ranking, Score, Signal, Trace

SCHEMA = 1


def as_json(ranking: Ranking) -> dict[str, Any]:
    """A ranking in the schema of docs/json.md; a score or span that a candidate lacks is absent, never null."""
    return {
        "schema": SCHEMA,
        "query": {"id": clean(ranking.query.id), "text": clean(ranking.query.text)},
        "reranked": ranking.trace.reranked,
        "reason": ranking.trace.reason,
        "results": [_candidate(c) for c in ranking],
        "trace": _trace(ranking.trace),
    }


def _candidate(c: Candidate) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "rank": c.rank,
        "first_rank": c.first_rank,
        "id": clean(c.document.id),
        "title": clean(c.document.title),
        "text": clean(c.document.text),
        "metadata": _plain(dict(c.document.metadata)),
        "flags": sorted(c.flags),
        "signals": [_signal(s) for s in c.signals],
    }
    if c.score is not None:
        fields["score"] = _score(c.score)
    if c.span is not None:
        fields["span"] = {"start": c.span.start, "end": c.span.end}
    return fields


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever the metadata of a document holds
    """Metadata as JSON can hold it: unsafe characters replaced, NaN and infinity as text."""
    if isinstance(value, dict):
        return {clean(str(k)): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, (bool, int, float)) or value is None else clean(str(value))


def _signal(s: Signal) -> dict[str, Any]:
    return {"source": s.source, "rank": s.rank} | ({"score": _score(s.score)} if s.score else {})


def _score(s: Score) -> dict[str, Any]:
    return {"value": s.value, "kind": s.kind.value, "source": s.source, "stage": s.stage}


def _trace(trace: Trace) -> list[dict[str, Any]]:
    return [
        {
            "name": s.name, "ms": round(s.ms, 3), "pairs": s.pairs, "tokens": s.tokens,
            "scored": s.scored, "total": s.total, "truncated": s.truncated,
        }
        for s in trace.steps
    ]  # fmt: skip
