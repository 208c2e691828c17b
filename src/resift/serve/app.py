"""Puts models, settings and dialects together into one ASGI application."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from resift.errors import ResiftError
from resift.serve import own
from resift.serve.dialects import cohere, elasticsearch, infinity, jina, openai, pinecone, root, tei, vllm, voyage
from resift.serve.models import ServedModel
from resift.serve.refusals import refusal
from resift.serve.room import Room
from resift.serve.service import Service
from resift.serve.settings import DEFAULTS, Settings


class Dialect(Protocol):
    """A module that speaks one wire format."""

    def routes(self, service: Service) -> list[BaseRoute]:
        """Its routes; what they raise from resift.errors becomes `refusal`, unless they answer it themselves."""


# Modules with `routes(service)`; the first that knows a path answers it.
DIALECTS: tuple[Dialect, ...] = (own, root, cohere, jina, voyage, tei, vllm, infinity, pinecone, openai, elasticsearch)


def create_app(models: Sequence[ServedModel], settings: Settings = DEFAULTS) -> Starlette:
    """The application; nothing is loaded or started by making it."""
    service = Room(models)
    routes = [Route("/health", _health), *(r for d in DIALECTS for r in d.routes(service))]
    app = Starlette(routes=routes, exception_handlers={ResiftError: _refused})
    app.state.service, app.state.settings = service, settings
    return app


async def _health(request: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _refused(request: Request, error: Exception) -> Response:
    return refusal(error)
