"""Voyage: /v1/rerank with `top_k`; the list is called `data`, and a document is a string."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response
from starlette.routing import BaseRoute

from resift.serve.dialects.cohere import rerank_request
from resift.serve.dialects.endpoint import plain_refusals, post
from resift.serve.dialects.request_body import RequestBody
from resift.serve.dialects.response_body import Item, ranked_items, rerank_response
from resift.serve.service import Service


def routes(service: Service) -> list[BaseRoute]:
    """Voyage's calls, under its prefix."""
    refuse = plain_refusals(400)
    return [post(f"/voyage{path}", rerank, refuse, service) for path in ("/v1/rerank", "/rerank")]


def is_voyage(body: RequestBody) -> bool:
    """Whether a body has one of the two fields that only Voyage's clients send, and always send."""
    return "top_k" in body or "truncation" in body


async def rerank(body: RequestBody, service: Service) -> Response:
    """`truncation` changes nothing: long documents are read whole, in windows."""
    answer = await service.rerank(rerank_request(body))
    data = [result_entry(item, body.flag("return_documents")) for item in ranked_items(answer)]
    content = {"object": "list", "data": data, "model": answer.model, "usage": {"total_tokens": answer.tokens}}
    return rerank_response(content, answer)


def result_entry(item: Item, with_document: bool) -> dict[str, Any]:
    """One result."""
    return {"index": item.index, "relevance_score": item.score} | (
        {"document": item.document.text} if with_document else {}
    )
