"""Resift's own wire format: everything that is known of a ranking, and nothing that is not (docs/serving.md)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from resift.errors import InputError
from resift.files import refuse_unknown
from resift.files.answers import SCHEMA, as_json
from resift.serve.dialects.strict_body import Fields, body_of, kind_of
from resift.serve.service import OnError, RerankAnswer, RerankRequest, SearchRequest, Service
from resift.text.clean import clean
from resift.types import Document, ScoreKind, Scores

_SPENDING = ("model", "top_k", "deadline_ms", "may_shrink", "on_error", "return_documents")
RERANK = ("query", "documents", "truncate_to", "min_score", *_SPENDING)
SEARCH = ("query", "depth", "blend", *_SPENDING)
SCORE = ("pairs", "model")


def routes(service: Service) -> list[BaseRoute]:
    """Routes under /api."""

    async def rerank(request: Request) -> Response:
        fields = await body_of(request, RERANK)
        given = [_document(d, i) for i, d in enumerate(fields.items("documents"))]
        asked = RerankRequest(
            fields.text("query"),
            tuple(Document(str(i), d.text, d.title, d.metadata) for i, d in enumerate(given)),
            fields.text("model", ""),
            fields.whole("top_k"),
            fields.whole("truncate_to"),
            fields.number("deadline_ms", 0),
            fields.flag("may_shrink", False),
            fields.choice("on_error", OnError),
        )
        least = fields.number("min_score")
        answer = await service.rerank(asked)
        body = _body(answer, fields.flag("return_documents", False))
        for found in body["results"]:
            found["index"] = int(found["id"])
            found["id"] = clean(given[found["index"]].id)
        return JSONResponse(body if least is None else _cut(body, answer, least))

    async def search(request: Request) -> Response:
        fields = await body_of(request, SEARCH)
        asked = SearchRequest(
            fields.text("query"),
            fields.whole("top_k") or 10,
            fields.whole("depth") or 100,
            fields.flag_or_number("blend", True),
            fields.text("model", ""),
            fields.number("deadline_ms", 0),
            fields.flag("may_shrink", False),
            fields.choice("on_error", OnError),
        )
        answer = await service.search(asked)
        return JSONResponse(_body(answer, fields.flag("return_documents", True)))

    async def score(request: Request) -> Response:
        fields = await body_of(request, SCORE)
        pairs = [_pair(p, i) for i, p in enumerate(fields.items("pairs"))]
        scores = await service.score(fields.text("model", ""), pairs)
        values = [_score(scores, i) for i in range(len(scores))]
        return JSONResponse(
            {"schema": SCHEMA, "model": scores.source, "kind": scores.kind, "scores": values, "tokens": scores.tokens}
        )

    return [
        Route("/api/rerank", rerank, methods=["POST"]),
        Route("/api/search", search, methods=["POST"]),
        Route("/api/score", score, methods=["POST"]),
    ]


def _document(value: object, i: int) -> Document:
    """A text, or an object with text, title, id and metadata."""
    if isinstance(value, str):
        return Document(str(i), value)
    if not isinstance(value, dict):
        raise InputError(f"document {i} must be a text or an object with text; not {kind_of(value)}")
    fields = Fields(value)
    metadata = {} if value.get("metadata") is None else value["metadata"]
    if not isinstance(metadata, dict):
        raise InputError(f"metadata of document {i} must be an object; not {kind_of(metadata)}")
    try:
        refuse_unknown(value, ("text", "title", "id", "metadata"))
        return Document(fields.text("id", str(i)), fields.text("text"), fields.text("title", ""), metadata)
    except InputError as error:
        raise InputError(f"document {i}: {error}") from error


def _pair(value: object, i: int) -> tuple[str, str]:
    if not isinstance(value, list) or len(value) != 2 or not all(isinstance(v, str) for v in value):
        raise InputError(f"pair {i} must be a list of two texts, query and document")
    return value[0], value[1]


def _body(answer: RerankAnswer, texts: bool) -> dict[str, Any]:
    """The schema of docs/json.md, with model, stage and cost; a logit brings its probability along."""
    body = as_json(answer.ranking)
    for found, candidate in zip(body["results"], answer.ranking, strict=True):
        if not texts:
            for name in ("title", "text", "metadata"):
                del found[name]
        if candidate.score is not None and candidate.score.kind is ScoreKind.LOGIT:
            found["probability"] = candidate.score.to_probability().value
    cost = {"model": answer.model, "stage": answer.stage, "tokens": answer.tokens, "ms": round(answer.ms, 3)}
    return body | cost


def _cut(body: dict[str, Any], answer: RerankAnswer, least: float) -> dict[str, Any]:
    """Leave out what scored under `least`, and list it; nothing is cut when another than the model asked answered."""
    applied = answer.stage == answer.model
    kept: list[dict[str, Any]] = []
    cut: list[dict[str, Any]] = []
    for found in body["results"]:
        low = applied and "score" in found and found["score"]["value"] < least
        (cut if low else kept).append(found)
    named = [{"index": f["index"], "score": f["score"]} for f in cut]
    return body | {"results": kept, "threshold": {"min_score": least, "applied": applied, "cut": named}}


def _score(scores: Scores, i: int) -> dict[str, Any]:
    """One pair's score; what it lacks is left out."""
    found: dict[str, Any] = {"index": i, "flags": sorted(scores.flags[i])}
    if (value := scores.values[i]) is not None:
        found["value"] = value
    if (span := scores.spans[i]) is not None:
        found["span"] = {"start": span.start, "end": span.end}
    return found


def fields_of(route: str) -> Sequence[str]:
    """The fields that a route reads; its schema must name the same."""
    return {"/api/rerank": RERANK, "/api/search": SEARCH, "/api/score": SCORE}[route]
