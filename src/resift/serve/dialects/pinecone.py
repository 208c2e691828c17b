"""Pinecone: /rerank, whose documents are objects; a header with its version marks a request."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import BaseRoute

from resift.errors import InputError, ResiftError
from resift.serve.dialects.endpoint import post
from resift.serve.dialects.request_body import RequestBody
from resift.serve.dialects.response_body import Json, document_as_sent, ranked_items, rerank_response
from resift.serve.http.error_responses import headers_of, message_of, status_of
from resift.serve.service import RerankRequest, Service

HEADER = "x-pinecone-api-version"
_CODES = {400: "INVALID_ARGUMENT", 404: "NOT_FOUND", 413: "INVALID_ARGUMENT", 429: "RESOURCE_EXHAUSTED"}


def routes(service: Service) -> list[BaseRoute]:
    """Pinecone's call, under its prefix."""
    return [post("/pinecone/rerank", rerank, refuse, service)]


async def rerank(body: RequestBody, service: Service) -> Response:
    """`parameters` change nothing: long documents are read whole, in windows."""
    fields = tuple(body.texts("rank_fields")) if body.get("rank_fields") is not None else ("text",)
    documents = body.some_documents(fields=fields)
    answer = await service.rerank(
        RerankRequest(body.query(), documents, body.text("model"), body.whole("top_n", "top_k"))
    )
    with_document = body.flag("return_documents", True)
    data = [
        {
            "index": item.index,
            "score": item.score,
            "document": document_as_sent(item.document) if with_document else None,
        }
        for item in ranked_items(answer)
    ]
    return rerank_response({"model": answer.model, "data": data, "usage": {"rerank_units": 1}}, answer)


def refuse(error: ResiftError) -> Response:
    """A refusal in Pinecone's format."""
    status = 400 if isinstance(error, InputError) else status_of(error)
    code = _CODES.get(status, "UNAVAILABLE" if status == 503 else "INTERNAL")
    return Json({"error": {"code": code, "message": message_of(error)}, "status": status}, status, headers_of(error))
