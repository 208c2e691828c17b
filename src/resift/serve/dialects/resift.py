"""Resift's own wire format: all that is known of a ranking, and no made-up number (docs/serving.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from resift.errors import InputError
from resift.files import refuse_unknown
from resift.files.answers import SCHEMA, as_json
from resift.serve.dialects.endpoint import post
from resift.serve.dialects.request_body import RequestBody, json_type
from resift.serve.http.error_responses import error_response
from resift.serve.service import OnError, RerankAnswer, RerankRequest, SearchRequest, Service
from resift.text.clean import clean
from resift.types import Document, NoteCode, ScoreKind, Scores

_SHARED_FIELDS = ("model", "top_k", "min_relevance", "deadline_ms", "may_shrink", "on_error", "return_documents")
# The fields that each route reads; its schema has the same.
FIELDS: Mapping[str, tuple[str, ...]] = {
    "/api/rerank": ("query", "documents", "truncate_to", "min_score", *_SHARED_FIELDS),
    "/api/search": ("query", "depth", "blend", *_SHARED_FIELDS),
    "/api/score": ("pairs", "model"),
}


def routes(service: Service) -> list[BaseRoute]:
    """Routes under /api."""
    answers = {"/api/rerank": rerank, "/api/search": search, "/api/score": score}
    return [post(path, answer, error_response, service, FIELDS[path]) for path, answer in answers.items()]


async def rerank(body: RequestBody, service: Service) -> Response:
    """Put the documents in order; each result has its document's index in the request."""
    documents = [_document(value, i) for i, value in enumerate(body.items("documents"))]
    request = RerankRequest(
        body.text("query", None),
        tuple(Document(str(i), d.text, d.title, d.metadata) for i, d in enumerate(documents)),
        body.text("model"),
        body.whole("top_k"),
        body.whole("truncate_to"),
        body.number("deadline_ms", 0),
        body.flag("may_shrink"),
        body.choice("on_error", OnError),
        body.number_or_word("min_relevance", ("high", "some")),
    )
    min_score = body.number("min_score")
    answer = await service.rerank(request)
    content = _content(answer, body.flag("return_documents"))
    for result in content["results"]:
        result["index"] = int(result["id"])
        result["id"] = clean(documents[result["index"]].id)
    for entry in content.get("left_out", ()):
        entry["index"] = int(entry["id"])
        entry["id"] = clean(documents[entry["index"]].id)
    return JSONResponse(content if min_score is None else _with_threshold(content, answer, min_score))


async def search(body: RequestBody, service: Service) -> Response:
    """Search the server's index."""
    request = SearchRequest(
        body.text("query", None),
        body.whole("top_k") or 10,
        body.whole("depth") or 100,
        body.flag_or_weight("blend", True),
        body.text("model"),
        body.number("deadline_ms", 0),
        body.flag("may_shrink"),
        body.choice("on_error", OnError),
        body.number_or_word("min_relevance", ("high", "some")),
    )
    answer = await service.search(request)
    return JSONResponse(_content(answer, body.flag("return_documents", True)))


async def score(body: RequestBody, service: Service) -> Response:
    """Score pairs, in their order."""
    pairs = [_pair(value, i) for i, value in enumerate(body.items("pairs"))]
    scores = await service.score(body.text("model"), pairs)
    results = [_score(scores, i) for i in range(len(scores))]
    return JSONResponse(
        {"schema": SCHEMA, "model": scores.source, "kind": scores.kind, "scores": results, "tokens": scores.tokens}
    )


def _document(value: object, i: int) -> Document:
    """A text, or an object with text, title, id and metadata."""
    if isinstance(value, str):
        return Document(str(i), value)
    if not isinstance(value, dict):
        raise InputError(f"document {i} must be a text or an object with text; not {json_type(value)}")
    fields = RequestBody(value, strict=True)
    metadata = {} if value.get("metadata") is None else value["metadata"]
    if not isinstance(metadata, dict):
        raise InputError(f"metadata of document {i} must be an object; not {json_type(metadata)}")
    try:
        refuse_unknown(value, ("text", "title", "id", "metadata"))
        return Document(fields.text("id", str(i)), fields.text("text", None), fields.text("title"), metadata)
    except InputError as error:
        raise InputError(f"document {i}: {error}") from error


def _pair(value: object, i: int) -> tuple[str, str]:
    if not isinstance(value, list) or len(value) != 2 or not all(isinstance(text, str) for text in value):
        raise InputError(f"pair {i} must be a list of two texts, query and document")
    return value[0], value[1]


def _content(answer: RerankAnswer, with_texts: bool) -> dict[str, Any]:
    """The schema of docs/json.md, with model, stage and cost; beside a logit stands its probability."""
    content = as_json(answer.ranking)
    for result, candidate in zip(content["results"], answer.ranking, strict=True):
        if not with_texts:
            for name in ("title", "text", "metadata"):
                del result[name]
        if candidate.score is not None and candidate.score.kind is ScoreKind.LOGIT:
            result["probability"] = candidate.score.to_probability().value
    cost = {"model": answer.model, "stage": answer.stage, "tokens": answer.tokens, "ms": round(answer.ms, 3)}
    return content | cost


def _with_threshold(content: dict[str, Any], answer: RerankAnswer, min_score: float) -> dict[str, Any]:
    """Leave out results that score less, and list them.

    All stay where another model than the one asked answered, or the language chose another than the first.
    """
    by_language = any(note.code is NoteCode.MODEL for note in answer.ranking.trace.notes)
    applied = answer.stage == answer.model and not by_language
    results: list[dict[str, Any]] = []
    below: list[dict[str, Any]] = []
    for result in content["results"]:
        is_below = applied and "score" in result and result["score"]["value"] < min_score
        (below if is_below else results).append(result)
    cut = [{"index": result["index"], "score": result["score"]} for result in below]
    return content | {"results": results, "threshold": {"min_score": min_score, "applied": applied, "cut": cut}}


def _score(scores: Scores, i: int) -> dict[str, Any]:
    """One pair's score; a value or span that it does not have is left out."""
    score: dict[str, Any] = {"index": i, "flags": sorted(scores.flags[i])}
    if (value := scores.values[i]) is not None:
        score["value"] = value
    if (span := scores.spans[i]) is not None:
        score["span"] = {"start": span.start, "end": span.end}
    return score
