"""The paths that several dialects share: the fields and headers of a request say which dialect it speaks."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from resift.errors import ResiftError
from resift.serve.dialects import cohere, infinity, pinecone, tei, voyage
from resift.serve.dialects.endpoint import Answer, Refuse, plain_refusals, post
from resift.serve.dialects.request_body import RequestBody, read_body
from resift.serve.dialects.response_body import Item, ranked_items, rerank_response, usage
from resift.serve.service import RerankAnswer, RerankRequest, Service


def routes(service: Service) -> list[BaseRoute]:
    """/rerank, /v1/rerank and /v2/rerank."""

    async def rerank(request: Request) -> Response:
        refuse: Refuse = plain_refusals(400)
        try:
            body = await read_body(request)
            answer, refuse = _dialect_of(request, body)
            return await answer(body, service)
        except ResiftError as error:
            return refuse(error)

    return [
        Route("/rerank", rerank, methods=["POST"]),
        post("/v1/rerank", v1, cohere.REFUSE, service),
        post("/v2/rerank", cohere.v2, cohere.REFUSE, service),
    ]


def _dialect_of(request: Request, body: RequestBody) -> tuple[Answer, Refuse]:
    if "texts" in body:
        return tei.rerank, tei.refuse
    if pinecone.HEADER in request.headers:
        return pinecone.rerank, pinecone.refuse
    if "raw_scores" in body:
        return infinity.rerank, infinity.REFUSE
    return bare, plain_refusals(400)


async def v1(body: RequestBody, service: Service) -> Response:
    """Cohere v1, Jina and Voyage at once; the field `data` only for Voyage, whose documents are strings."""
    request = cohere.rerank_request(body, cohere.rank_fields(body))
    answer = await service.rerank(request)
    with_document, ranking = body.flag("return_documents"), ranked_items(answer)
    content = _superset(answer, request, ranking, with_document)
    if voyage.is_voyage(body):
        content |= {"object": "list", "data": [voyage.result_entry(item, with_document) for item in ranking]}
    return rerank_response(content, answer)


async def bare(body: RequestBody, service: Service) -> Response:
    """Jina and vLLM at once: documents come back as objects unless `return_documents` is false; no field `object`."""
    request = RerankRequest(
        body.query(),
        body.some_documents(fields=cohere.rank_fields(body)),
        body.text("model"),
        body.whole("top_n", "top_k", least=0) or None,
        body.whole("max_tokens_per_doc", least=0) or None,
    )
    answer = await service.rerank(request)
    ranking = ranked_items(answer, raw=not body.flag("use_activation", True))
    return rerank_response(_superset(answer, request, ranking, body.flag("return_documents", True)), answer)


def _superset(
    answer: RerankAnswer, request: RerankRequest, ranking: Sequence[Item], with_document: bool
) -> dict[str, object]:
    """All fields that clients of Cohere v1, Jina and vLLM read."""
    return {
        "id": str(uuid4()),
        "model": answer.model,
        "results": [cohere.result(item, with_document) for item in ranking],
        "usage": usage(answer.tokens),
        "meta": cohere.meta(answer, request, "1"),
    }
