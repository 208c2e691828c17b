"""Pinecone: /rerank with object documents, told by its version header."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import BaseRoute

from resift.errors import InputError, ResiftError
from resift.serve.dialects.endpoint import post
from resift.serve.dialects.reading import Body
from resift.serve.dialects.response_body import Json, echo, items, reply
from resift.serve.http.error_responses import headers_of, message_of, status_of
from resift.serve.service import RerankRequest, Service

HEADER = "x-pinecone-api-version"
_CODES = {400: "INVALID_ARGUMENT", 404: "NOT_FOUND", 413: "INVALID_ARGUMENT", 429: "RESOURCE_EXHAUSTED"}


def routes(service: Service) -> list[BaseRoute]:
    """Exactly Pinecone, under its prefix."""
    return [post("/pinecone/rerank", rerank, refused, service)]


async def rerank(body: Body, service: Service) -> Response:
    """`parameters` change nothing: long documents are read whole, in windows."""
    fields = tuple(body.texts("rank_fields")) if body.get("rank_fields") is not None else ("text",)
    documents = body.some_documents(fields=fields)
    answer = await service.rerank(
        RerankRequest(body.query(), documents, body.text("model"), body.count("top_n", "top_k"))
    )
    shown = body.flag("return_documents", True)
    data = [
        {"index": i.index, "score": i.score, "document": echo(i.document) if shown else None} for i in items(answer)
    ]
    return reply({"model": answer.model, "data": data, "usage": {"rerank_units": 1}}, answer)


def refused(error: ResiftError) -> Response:
    """A refusal in Pinecone's words."""
    status = 400 if isinstance(error, InputError) else status_of(error)
    code = _CODES.get(status, "UNAVAILABLE" if status == 503 else "INTERNAL")
    return Json({"error": {"code": code, "message": message_of(error)}, "status": status}, status, headers_of(error))
