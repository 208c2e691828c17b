"""Resift's own wire format: everything that is known of a ranking."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from resift import files
from resift.errors import InputError
from resift.serve.service import RerankRequest, Service
from resift.types import Document


def routes(service: Service) -> list[BaseRoute]:
    """Routes under /api."""

    async def rerank(request: Request) -> Response:
        body = await request.json()
        if not isinstance(body, dict):
            raise InputError("the body must be a JSON object")
        given = [files.document(d, str(i)) for i, d in enumerate(body["documents"])]
        documents = tuple(Document(str(i), d.text, d.title) for i, d in enumerate(given))
        answer = await service.rerank(RerankRequest(body["query"], documents, body.get("model") or ""))
        results = [
            {"index": int(c.document.id)} | ({"score": c.score.value, "kind": c.score.kind} if c.score else {})
            for c in answer.ranking
        ]
        return JSONResponse({"model": answer.model, "stage": answer.stage, "results": results})

    return [Route("/api/rerank", rerank, methods=["POST"])]
