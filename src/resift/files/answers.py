"""Rankings as JSON: what commands print and the server sends."""

from __future__ import annotations

import math
from typing import Any

from resift.text.clean import clean
from resift.types import Candidate, Ranking, Reason, Score, ScoreKind, Signal, Trace

SCHEMA = 1


def as_json(ranking: Ranking) -> dict[str, Any]:
    """A ranking in the schema of docs/json.md; a score or span that a candidate lacks is absent, never null."""
    left_out = {"left_out": [_left_out(c) for c in ranking.left_out]} if ranking.left_out else {}
    return {
        "schema": SCHEMA,
        "query": {"id": clean(ranking.query.id), "text": clean(ranking.query.text)},
        "reranked": ranking.trace.reranked,
        "reason": ranking.trace.reason,
        "results": [_candidate(c) for c in ranking],
        "trace": _trace(ranking.trace),
    } | left_out


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
    if (probability := _calibrated(c)) is not None:
        fields["probability"] = probability
    if c.level is not None:
        fields["level"] = c.level.value
    if c.span is not None:
        fields["span"] = {"start": c.span.start, "end": c.span.end}
    return fields


def _calibrated(c: Candidate) -> float | None:
    """The probability of relevance that a calibration gave, also where a blend made the order."""
    scores = (signal.score for signal in reversed(c.signals))
    return next((score.value for score in scores if score and score.kind is ScoreKind.PROBABILITY), None)


def _left_out(c: Candidate) -> dict[str, Any]:
    """What is said of a candidate that a threshold left out."""
    probability = _calibrated(c)
    return {"id": clean(c.document.id)} | ({} if probability is None else {"probability": probability})


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
    level = {} if s.level is None else {"level": s.level.value}
    reasons = {"reasons": [_reason(r) for r in s.reasons]} if s.reasons else {}
    return {"source": s.source, "rank": s.rank} | ({"score": _score(s.score)} if s.score else {}) | level | reasons


def _reason(r: Reason) -> dict[str, Any]:
    value = {} if r.value is None else {"value": r.value}
    return {"feature": r.feature} | value | {"contribution": r.contribution, "words": r.words}


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
