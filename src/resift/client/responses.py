"""What a reranking server said, checked entry by entry before any of it is believed."""

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

    Entries that are no entry, name no document, name one again, or have no finite score are left out of account; what
    they should have scored has no score, stands last in its first order, and `trace.reason` counts them.

    Args:
        ranking: the documents as they were sent.
        body: of a response with status 2xx.
        headers: of the response, by lower-case names; Resift's own say how many of the results were really scored.

    Raises:
        ModelFailed: no JSON, no list of results, or not one result that can be used.

    """
    said = _object(body)
    entries = said.get("results", said.get("data"))
    if not isinstance(entries, list):
        raise ModelFailed("the reranker's answer has no list of results; is the URL that of a reranker?")
    found: dict[int, float] = {}
    wrong = 0
    for entry in entries[: _really_scored(headers)]:
        index, value = _entry(entry)
        if index is None or value is None or not 0 <= index < len(ranking) or index in found:
            wrong += 1
        else:
            found[index] = value
    if not found and "x-resift-scored" not in headers:
        raise ModelFailed(f"the reranker's answer has no result that can be used, of {len(entries)}")
    source = said.get("model") if isinstance(said.get("model"), str) else "server"
    scored = [
        replace(c, score=Score(found[i], ScoreKind.RELEVANCE, str(source))) if i in found else c
        for i, c in enumerate(ranking)
    ]
    reason = headers.get("x-resift-reason") or _reason(len(found), len(ranking), wrong)
    trace = ranking.trace.then(
        Step(str(source), 0.0, len(ranking), 0, len(found), len(ranking)),
        *([Note(NoteCode.REMOTE, reason)] if reason else []),
        reranked=headers.get("x-resift-reranked", "true") == "true",
    )
    return Ranking.from_scores(ranking.query, scored, trace)


def _really_scored(headers: Mapping[str, str]) -> int | None:
    """How many results have a score and not only a number because the format demands one; None: all of them."""
    said = headers.get("x-resift-scored", "").split("/")[0]
    return int(said) if said.isdecimal() else None


def _reason(scored: int, sent: int, wrong: int) -> str:
    missing = f"the server scored {scored} of {sent} documents" if scored < sent else ""
    unusable = f"{wrong} of its results can't be used" if wrong else ""
    return "; ".join(said for said in (missing, unusable) if said)


def _object(body: bytes) -> dict[str, Any]:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ModelFailed("the reranker's answer is not JSON; is the URL that of a reranker?") from error
    return said if isinstance(said, dict) else {}


def _entry(entry: object) -> tuple[int | None, float | None]:
    """An entry's index and score; None for each that is not what it should be."""
    if not isinstance(entry, dict):
        return None, None
    index, value = entry.get("index"), entry.get("relevance_score", entry.get("score"))
    usable = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return (
        index if isinstance(index, int) and not isinstance(index, bool) else None,
        float(value) if usable and value is not None else None,
    )
