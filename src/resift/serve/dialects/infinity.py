"""infinity: /rerank with `raw_scores` and documents as strings."""

from __future__ import annotations

import time
from uuid import uuid4

from starlette.responses import Response
from starlette.routing import BaseRoute

from resift.serve.dialects.cohere import asked
from resift.serve.dialects.endpoint import openai, post
from resift.serve.dialects.reading import Body
from resift.serve.dialects.response_body import items, reply, usage
from resift.serve.dialects.voyage import entry
from resift.serve.service import Service

REFUSED = openai(422)


def routes(service: Service) -> list[BaseRoute]:
    """Exactly infinity, under its prefix."""
    return [post(f"/infinity{path}", rerank, REFUSED, service) for path in ("/rerank", "/v1/rerank")]


async def rerank(body: Body, service: Service) -> Response:
    """infinity_client takes no `object` but "rerank", and no document but a string."""
    answer = await service.rerank(asked(body))
    shown = body.flag("return_documents")
    results = [entry(i, shown) for i in items(answer, raw=body.flag("raw_scores"))]
    return reply(
        {
            "object": "rerank",
            "results": results,
            "model": answer.model,
            "usage": usage(answer.tokens),
            "id": f"infinity-{uuid4()}",
            "created": int(time.time()),
        },
        answer,
    )
