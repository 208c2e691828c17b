"""The paths that several dialects share: which one a request means is told by its fields and headers."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from resift.errors import ResiftError
from resift.serve.dialects import cohere, infinity, pinecone, tei, voyage
from resift.serve.dialects.endpoint import Refuse, Translate, plain, post
from resift.serve.dialects.reading import Body, read
from resift.serve.dialects.response_body import Item, items, reply, usage
from resift.serve.service import RerankAnswer, RerankRequest, Service


def routes(service: Service) -> list[BaseRoute]:
    """/rerank, /v1/rerank and /v2/rerank."""

    async def rerank(request: Request) -> Response:
        refused: Refuse = plain(400)
        try:
            body = await read(request)
            translate, refused = _meant(request, body)
            return await translate(body, service)
        except ResiftError as error:
            return refused(error)

    return [
        Route("/rerank", rerank, methods=["POST"]),
        post("/v1/rerank", v1, cohere.REFUSED, service),
        post("/v2/rerank", cohere.v2, cohere.REFUSED, service),
    ]


def _meant(request: Request, body: Body) -> tuple[Translate, Refuse]:
    if "texts" in body:
        return tei.rerank, tei.refused
    if pinecone.HEADER in request.headers:
        return pinecone.rerank, pinecone.refused
    if "raw_scores" in body:
        return infinity.rerank, infinity.REFUSED
    return bare, plain(400)


async def v1(body: Body, service: Service) -> Response:
    """Cohere v1, Jina and Voyage at once; `data` only for Voyage, whose documents are strings."""
    request = cohere.asked(body, cohere.rank_fields(body))
    answer = await service.rerank(request)
    shown, found = body.flag("return_documents"), items(answer)
    said = _superset(answer, request, found, shown)
    if voyage.is_meant(body):
        said |= {"object": "list", "data": [voyage.entry(i, shown) for i in found]}
    return reply(said, answer)


async def bare(body: Body, service: Service) -> Response:
    """Jina and vLLM at once: documents come back as objects, unless told otherwise; never `object`."""
    request = RerankRequest(
        body.query(),
        body.some_documents(fields=cohere.rank_fields(body)),
        body.text("model"),
        body.count("top_n", "top_k", least=0) or None,
        body.count("max_tokens_per_doc", least=0) or None,
    )
    answer = await service.rerank(request)
    found = items(answer, raw=not body.flag("use_activation", True))
    return reply(_superset(answer, request, found, body.flag("return_documents", True)), answer)


def _superset(answer: RerankAnswer, request: RerankRequest, found: Sequence[Item], shown: bool) -> dict[str, object]:
    """What Cohere v1, Jina and vLLM each want to find in an answer."""
    return {
        "id": str(uuid4()),
        "model": answer.model,
        "results": [cohere.result(i, shown) for i in found],
        "usage": usage(answer.tokens),
        "meta": cohere.meta(answer, request, "1"),
    }
