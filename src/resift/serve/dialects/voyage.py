"""Voyage: /v1/rerank with `top_k`; the list is called `data`, and a document is a string."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response
from starlette.routing import BaseRoute

from resift.serve.dialects.cohere import asked
from resift.serve.dialects.endpoint import plain, post
from resift.serve.dialects.reading import Body
from resift.serve.dialects.response_body import Item, items, reply
from resift.serve.service import Service


def routes(service: Service) -> list[BaseRoute]:
    """Exactly Voyage, under its prefix."""
    refused = plain(400)
    return [post(f"/voyage{path}", rerank, refused, service) for path in ("/v1/rerank", "/rerank")]


def is_meant(body: Body) -> bool:
    """Whether the body has what only Voyage's clients send; they always send both."""
    return "top_k" in body or "truncation" in body


async def rerank(body: Body, service: Service) -> Response:
    """`truncation` changes nothing: long documents are read whole, in windows."""
    answer = await service.rerank(asked(body))
    data = [entry(i, body.flag("return_documents")) for i in items(answer)]
    said = {"object": "list", "data": data, "model": answer.model, "usage": {"total_tokens": answer.tokens}}
    return reply(said, answer)


def entry(item: Item, shown: bool) -> dict[str, Any]:
    """One result."""
    return {"index": item.index, "relevance_score": item.score} | ({"document": item.document.text} if shown else {})
