"""Jina: /v1/rerank, documents come back unless told otherwise."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import BaseRoute

from resift.serve.dialects.cohere import asked, result
from resift.serve.dialects.endpoint import plain, post
from resift.serve.dialects.reading import Body
from resift.serve.dialects.response_body import items, reply, usage
from resift.serve.service import Service


def routes(service: Service) -> list[BaseRoute]:
    """Exactly Jina, under its prefix."""
    refused = plain(422)
    return [post(f"/jina{path}", rerank, refused, service) for path in ("/v1/rerank", "/rerank")]


async def rerank(body: Body, service: Service) -> Response:
    """`model` and `usage` are always there: Haystack reads both."""
    answer = await service.rerank(asked(body))
    shown = body.flag("return_documents", True)
    results = [result(i, shown) for i in items(answer)]
    return reply({"model": answer.model, "usage": usage(answer.tokens), "results": results}, answer)
