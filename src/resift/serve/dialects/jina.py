"""Jina: /v1/rerank; documents come back unless `return_documents` is false."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import BaseRoute

from resift.serve.dialects.cohere import rerank_request, result
from resift.serve.dialects.endpoint import plain_refusals, post
from resift.serve.dialects.request_body import RequestBody
from resift.serve.dialects.response_body import ranked_items, rerank_response, usage
from resift.serve.service import Service


def routes(service: Service) -> list[BaseRoute]:
    """Jina's calls, under its prefix."""
    refuse = plain_refusals(422)
    return [post(f"/jina{path}", rerank, refuse, service) for path in ("/v1/rerank", "/rerank")]


async def rerank(body: RequestBody, service: Service) -> Response:
    """`model` and `usage` are always there: Haystack reads both."""
    answer = await service.rerank(rerank_request(body))
    with_document = body.flag("return_documents", True)
    results = [result(item, with_document) for item in ranked_items(answer)]
    return rerank_response({"model": answer.model, "usage": usage(answer.tokens), "results": results}, answer)
