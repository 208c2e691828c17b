"""Routes for operators and their tools: health, readiness, metrics, the models, the OpenAPI document."""

from __future__ import annotations

from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from resift.serve.http.openapi import document
from resift.serve.runtime.request_runner import RequestRunner


def routes(runner: RequestRunner) -> list[BaseRoute]:
    """The routes, over one RequestRunner."""

    async def health(request: Request) -> Response:
        """200 as long as the process answers."""
        return JSONResponse({"status": "ok"})

    async def ready(request: Request) -> Response:
        """200 once every model has run on real shapes."""
        if runner.ready:
            return JSONResponse({"status": "ready"})
        return JSONResponse({"status": "warming"}, 503, {"Retry-After": "1"})

    async def metrics(request: Request) -> Response:
        text, content_type = runner.metrics.exposition()
        return Response(text, media_type=content_type)

    async def models(request: Request) -> Response:
        return JSONResponse({"models": [asdict(model) for model in runner.models()]})

    async def openapi(request: Request) -> Response:
        return JSONResponse(document())

    return [
        Route("/health", health),
        Route("/ready", ready),
        Route("/metrics", metrics),
        Route("/api/models", models),
        Route("/openapi.json", openapi),
    ]
