"""infinity: /rerank with `raw_scores` and documents as strings."""

from __future__ import annotations

import time
from uuid import uuid4

from starlette.responses import Response
from starlette.routing import BaseRoute

from resift.serve.dialects.cohere import rerank_request
from resift.serve.dialects.endpoint import openai_refusals, post
from resift.serve.dialects.request_body import RequestBody
from resift.serve.dialects.response_body import ranked_items, rerank_response, usage
from resift.serve.dialects.voyage import result_entry
from resift.serve.service import Service

REFUSE = openai_refusals(422)


def routes(service: Service) -> list[BaseRoute]:
    """Infinity's calls, under its prefix."""
    return [post(f"/infinity{path}", rerank, REFUSE, service) for path in ("/rerank", "/v1/rerank")]


async def rerank(body: RequestBody, service: Service) -> Response:
    """infinity_client refuses another `object` than "rerank", and a document that is no string."""
    answer = await service.rerank(rerank_request(body))
    with_document = body.flag("return_documents")
    results = [result_entry(item, with_document) for item in ranked_items(answer, raw=body.flag("raw_scores"))]
    return rerank_response(
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
