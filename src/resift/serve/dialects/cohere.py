"""Cohere v1 and v2: /v1/rerank and /v2/rerank."""

from __future__ import annotations

import math
from typing import Any
from uuid import uuid4

from starlette.responses import Response
from starlette.routing import BaseRoute

from resift.serve.dialects.endpoint import plain, post
from resift.serve.dialects.reading import Body
from resift.serve.dialects.response_body import Item, echo, items, reply, warnings
from resift.serve.service import RerankAnswer, RerankRequest, Service

REFUSED = plain(400)
_DOCUMENTS_PER_UNIT = 100


def routes(service: Service) -> list[BaseRoute]:
    """Exactly Cohere, under its prefix."""
    return [
        post("/cohere/v1/rerank", v1, REFUSED, service),
        post("/cohere/v2/rerank", v2, REFUSED, service),
    ]


def asked(body: Body, fields: tuple[str, ...] = ()) -> RerankRequest:
    """The request; `top_k` counts as `top_n` does."""
    return RerankRequest(
        body.query(),
        body.some_documents(fields=fields),
        body.text("model"),
        body.count("top_n", "top_k"),
        body.count("max_tokens_per_doc"),
    )


async def v1(body: Body, service: Service) -> Response:
    """Objects as documents, and `rank_fields` of them; the document comes back when `return_documents`."""
    request = asked(body, rank_fields(body))
    answer = await service.rerank(request)
    results = [result(i, body.flag("return_documents")) for i in items(answer)]
    return reply({"id": str(uuid4()), "results": results, "meta": meta(answer, request, "1")}, answer)


async def v2(body: Body, service: Service) -> Response:
    """Strings as documents; `relevant_spans` on request; `return_documents` is no part of v2, but LiteLLM sends it."""
    request = asked(body)
    answer = await service.rerank(request)
    shown, wanted = body.flag("return_documents"), body.inside("relevant_spans")
    spans = wanted.text("mode") == "enabled"
    threshold, most = wanted.number("threshold", 0.1), wanted.count("max_spans", least=0)
    results = []
    for item in items(answer):
        found = _spans(item, threshold)[:most] if spans else None
        results.append(result(item, shown) | ({} if found is None else {"relevant_spans": found}))
    return reply({"id": str(uuid4()), "results": results, "meta": meta(answer, request, "2")}, answer)


def rank_fields(body: Body) -> tuple[str, ...]:
    """The fields of object documents that are read."""
    return tuple(body.texts("rank_fields")) if body.get("rank_fields") is not None else ()


def result(item: Item, shown: bool) -> dict[str, Any]:
    """One result; Dify reads document.text, so a document is always an object."""
    return {"index": item.index, "relevance_score": item.score} | ({"document": echo(item.document)} if shown else {})


def meta(answer: RerankAnswer, request: RerankRequest, version: str) -> dict[str, Any]:
    """What Cohere says of cost, with warnings when there is something to warn of."""
    said = warnings(answer)
    return {
        "api_version": {"version": version},
        "billed_units": {"search_units": math.ceil(len(request.documents) / _DOCUMENTS_PER_UNIT)},
        "tokens": {"input_tokens": answer.tokens, "output_tokens": 0},
    } | ({"warnings": said} if said else {})


def _spans(item: Item, threshold: float) -> list[dict[str, Any]]:
    """The stretch that won, with the document's score: half-open, in code points."""
    if item.span is None or not item.scored or item.score < threshold:
        return []
    return [{"start": item.span.start, "end": item.span.end, "score": item.score}]
