"""Reads the response of a reranking server, and checks each of its entries."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from resift.errors import ModelFailed
from resift.types import Note, NoteCode, Ranking, Score, ScoreKind, Step


def ranking_of(ranking: Ranking, body: bytes, headers: Mapping[str, str]) -> Ranking:
    """The ranking that an answer to /v1/rerank means.

    An entry is ignored where it is no object, names no document, names one again, or has no finite score. A document
    without an entry has no score and stands last, in the first order; `trace.reason` counts both.

    Args:
        ranking: the documents as they were sent.
        body: of a response with status 2xx.
        headers: of the response, by lower-case names; a server of Resift says there how many results it scored.

    Raises:
        ModelFailed: no JSON, no list of results, or not one result that can be used.

    """
    content = _object(body)
    entries = content.get("results", content.get("data"))
    if not isinstance(entries, list):
        raise ModelFailed("the reranker's answer has no list of results; is the URL that of a reranker?")
    values: dict[int, float] = {}
    unusable = 0
    for entry in entries[: _scored_count(headers)]:
        index, value = _entry(entry)
        if index is None or value is None or not 0 <= index < len(ranking) or index in values:
            unusable += 1
        else:
            values[index] = value
    if not values and "x-resift-scored" not in headers:
        raise ModelFailed(f"the reranker's answer has no result that can be used, of {len(entries)}")
    source = content.get("model") if isinstance(content.get("model"), str) else "server"
    scored = [
        replace(c, score=Score(values[i], ScoreKind.RELEVANCE, str(source))) if i in values else c
        for i, c in enumerate(ranking)
    ]
    reason = headers.get("x-resift-reason") or _reason(len(values), len(ranking), unusable)
    trace = ranking.trace.then(
        Step(str(source), 0.0, len(ranking), 0, len(values), len(ranking)),
        *([Note(NoteCode.REMOTE, reason)] if reason else []),
        reranked=headers.get("x-resift-reranked", "true") == "true",
    )
    return Ranking.from_scores(ranking.query, scored, trace)


def _scored_count(headers: Mapping[str, str]) -> int | None:
    """How many results the server scored; None: all. The others have a number only because the format demands one."""
    count = headers.get("x-resift-scored", "").split("/")[0]
    return int(count) if count.isdecimal() else None


def _reason(scored: int, documents: int, unusable: int) -> str:
    parts = [f"the server scored {scored} of {documents} documents"] if scored < documents else []
    return "; ".join([*parts, *([f"{unusable} of its results can't be used"] if unusable else [])])


def _object(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ModelFailed("the reranker's answer is not JSON; is the URL that of a reranker?") from error
    return content if isinstance(content, dict) else {}


def _entry(entry: object) -> tuple[int | None, float | None]:
    """An entry's index and score; None for one of another type."""
    if not isinstance(entry, dict):
        return None, None
    index, value = entry.get("index"), entry.get("relevance_score", entry.get("score"))
    usable = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return (
        index if isinstance(index, int) and not isinstance(index, bool) else None,
        float(value) if usable and value is not None else None,
    )
