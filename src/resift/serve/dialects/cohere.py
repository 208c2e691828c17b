"""Cohere v1 and v2: /v1/rerank and /v2/rerank."""

from __future__ import annotations

import math
from typing import Any
from uuid import uuid4

from starlette.responses import Response
from starlette.routing import BaseRoute

from resift.serve.dialects.endpoint import plain_refusals, post
from resift.serve.dialects.request_body import RequestBody
from resift.serve.dialects.response_body import Item, document_as_sent, ranked_items, rerank_response, warnings
from resift.serve.service import RerankAnswer, RerankRequest, Service

REFUSE = plain_refusals(400)
_DOCUMENTS_PER_UNIT = 100
_THRESHOLD = 0.1  # score that a span has at least, where a request does not say


def routes(service: Service) -> list[BaseRoute]:
    """Cohere's calls, under its prefix."""
    return [
        post("/cohere/v1/rerank", v1, REFUSE, service),
        post("/cohere/v2/rerank", v2, REFUSE, service),
    ]


def rerank_request(body: RequestBody, fields: tuple[str, ...] = ()) -> RerankRequest:
    """The request of a body; `top_k` is the same as `top_n`."""
    return RerankRequest(
        body.query(),
        body.some_documents(fields=fields),
        body.text("model"),
        body.whole("top_n", "top_k"),
        body.whole("max_tokens_per_doc"),
    )


async def v1(body: RequestBody, service: Service) -> Response:
    """Documents may be objects, of which `rank_fields` are read; they come back with `return_documents`."""
    request = rerank_request(body, rank_fields(body))
    answer = await service.rerank(request)
    results = [result(item, body.flag("return_documents")) for item in ranked_items(answer)]
    return rerank_response({"id": str(uuid4()), "results": results, "meta": meta(answer, request, "1")}, answer)


async def v2(body: RequestBody, service: Service) -> Response:
    """Documents are strings; `relevant_spans` on request. LiteLLM sends `return_documents`, which is no part of v2."""
    request = rerank_request(body)
    answer = await service.rerank(request)
    with_document, options = body.flag("return_documents"), body.inner("relevant_spans")
    with_spans, threshold = options.text("mode") == "enabled", options.number("threshold")
    most = options.whole("max_spans", least=0)
    results = []
    for item in ranked_items(answer):
        spans = _spans(item, _THRESHOLD if threshold is None else threshold)[:most]
        results.append(result(item, with_document) | ({"relevant_spans": spans} if with_spans else {}))
    return rerank_response({"id": str(uuid4()), "results": results, "meta": meta(answer, request, "2")}, answer)


def rank_fields(body: RequestBody) -> tuple[str, ...]:
    """The fields of object documents that are read."""
    return tuple(body.texts("rank_fields")) if body.get("rank_fields") is not None else ()


def result(item: Item, with_document: bool) -> dict[str, Any]:
    """One result. A document is always an object, since Dify reads document.text."""
    return {"index": item.index, "relevance_score": item.score} | (
        {"document": document_as_sent(item.document)} if with_document else {}
    )


def meta(answer: RerankAnswer, request: RerankRequest, version: str) -> dict[str, Any]:
    """The cost in Cohere's format, and warnings where there are any."""
    messages = warnings(answer)
    return {
        "api_version": {"version": version},
        "billed_units": {"search_units": math.ceil(len(request.documents) / _DOCUMENTS_PER_UNIT)},
        "tokens": {"input_tokens": answer.tokens, "output_tokens": 0},
    } | ({"warnings": messages} if messages else {})


def _spans(item: Item, threshold: float) -> list[dict[str, Any]]:
    """The span that won, half-open in code points, with the document's score; none below the threshold."""
    if item.span is None or not item.scored or item.score < threshold:
        return []
    return [{"start": item.span.start, "end": item.span.end, "score": item.score}]
