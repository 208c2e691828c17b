"""What the answers of all formats share: scores from 0 to 1, usage, and headers for what a format has no field for."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import JSONResponse, Response

from resift.errors import InputError
from resift.serve.service import RerankAnswer
from resift.types import Document, Flag, Score, ScoreKind, Scores, Span

_SURROGATES = re.compile("[\ud800-\udfff]")
NOT_SCORED = 0.0  # the bottom of the scale, where a format demands a number; `Item.scored` and headers say so


@dataclass(frozen=True, slots=True)
class Item:
    """One result: the document's position in the request and its score."""

    index: int
    score: float
    document: Document
    scored: bool
    span: Span | None


class Json(JSONResponse):
    """JSON in UTF-8 that is always valid: a lone surrogate becomes U+FFFD, NaN is refused."""

    def render(self, content: Any) -> bytes:  # noqa: ANN401 - as starlette has it
        """Return the bytes of the body."""
        text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return _SURROGATES.sub("�", text).encode()


def on_unit_scale(score: Score) -> float:
    """A number in 0..1 in the order of the scores, in float64.

    A logit by the logistic function; a probability or relevance as it is; a cosine, or the mean of cosines that a
    late-interaction model gives, as (1 + s) / 2. Kinds without bounds as (1 + s / (1 + |s|)) / 2, which keeps the
    order and no more.
    """
    value, kind = score.value, score.kind
    if kind is ScoreKind.LOGIT:
        return score.to_probability().value
    if kind in (ScoreKind.PROBABILITY, ScoreKind.RELEVANCE):
        return value
    if kind in (ScoreKind.COSINE, ScoreKind.MAXSIM):
        return min(max((1 + value) / 2, 0.0), 1.0)  # rounding puts the cosine of equal vectors just above 1
    return (1 + value / (1 + abs(value))) / 2


def ranked_items(answer: RerankAnswer, *, raw: bool = False) -> list[Item]:
    """The results in their order; a document without a score of the last stage has NOT_SCORED.

    Args:
        answer: of the service.
        raw: the model's own numbers instead of 0..1.

    Raises:
        InputError: raw scores are asked for and a document has none: no number would be below all others.

    """
    stages = [c.score.stage for c in answer.ranking if c.score is not None]
    items = []
    for c in answer.ranking:
        score = c.score if c.score is not None and c.score.stage == max(stages) else None
        if score is None and raw:
            raise _no_raw_score(c.document.id, answer.ranking.trace.reason)
        value = NOT_SCORED if score is None else score.value if raw else on_unit_scale(score)
        items.append(Item(int(c.document.id), value, c.document, score is not None, c.span))
    return items


def pair_numbers(scores: Scores, *, raw: bool = False) -> list[float]:
    """The numbers of pairs in their order, as in `ranked_items`."""
    numbers = []
    for i, value in enumerate(scores.values):
        if value is None and raw:
            raise _no_raw_score(str(i), "")
        score = None if value is None else Score(value, scores.kind, scores.source)
        numbers.append(NOT_SCORED if score is None else score.value if raw else on_unit_scale(score))
    return numbers


def _no_raw_score(index: str, reason: str) -> InputError:
    why = reason or "is it empty?"
    return InputError(f"document {index} has no raw score ({why}); leave it out, or ask for scores from 0 to 1")


def document_as_sent(document: Document) -> dict[str, Any]:
    """The document as an object: as it was sent, or its text."""
    return dict(document.metadata) or {"text": document.text}


def usage(tokens: int) -> dict[str, int]:
    """Tokens as OpenAI-like formats count them."""
    return {"prompt_tokens": tokens, "total_tokens": tokens}


def warnings(answer: RerankAnswer) -> list[str]:
    """What a reader of the scores should know, in plain sentences."""
    ranking = answer.ranking
    cut = [c.document.id for c in ranking if c.flags & {Flag.TRUNCATED, Flag.QUERY_TRUNCATED}]
    unscored = [c.document.id for c in ranking if c.score is None]
    return [
        *([f"not reranked: {ranking.trace.reason}"] if not ranking.trace.reranked and ranking.trace.reason else []),
        *([f"truncated: documents {', '.join(cut)}"] if cut else []),
        *([f"not scored, and therefore last with {NOT_SCORED}: documents {', '.join(unscored)}"] if unscored else []),
    ]


def rerank_response(content: object, answer: RerankAnswer) -> Response:
    """The response, with headers that say how the ranking was made."""
    ranking = answer.ranking
    kinds = {c.score.kind for c in ranking if c.score is not None}
    headers = {
        "X-Resift-Reranked": str(ranking.trace.reranked).lower(),
        "X-Resift-Stage": answer.stage,
        "X-Resift-Scored": f"{sum(c.score is not None for c in ranking)}/{len(ranking)}",
        "X-Resift-Truncated": str(sum(Flag.TRUNCATED in c.flags for c in ranking)),
        "X-Resift-Kind": ",".join(sorted(kinds)),
        "X-Resift-Reason": ranking.trace.reason,
    }
    return Json(content, headers=_ascii(headers))


def _ascii(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers with values of one line of ASCII; those without a value are left out."""
    return {k: " ".join(v.encode("ascii", "replace").decode().split()) for k, v in headers.items() if v}
