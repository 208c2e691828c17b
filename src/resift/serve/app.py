"""Puts models, settings and dialects together into one ASGI application."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

from resift.errors import MissingExtra, ResiftError

try:
    import prometheus_client  # noqa: F401 - the metrics need it
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.middleware import Middleware
    from starlette.middleware.cors import CORSMiddleware
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute
except ImportError as error:
    raise MissingExtra("the server", "serve") from error

from resift.api import Index
from resift.machine import parse_size
from resift.serve.dialects import cohere, elasticsearch, infinity, jina, openai, pinecone, root, tei, vllm, voyage
from resift.serve.dialects import resift as own
from resift.serve.http import health as operations
from resift.serve.http.admission import Gate
from resift.serve.http.error_responses import refusal, refuse
from resift.serve.http.logs import event, where
from resift.serve.http.memory_limit import Ceiling
from resift.serve.runtime.request_runner import Room
from resift.serve.runtime.served_models import ServedModel
from resift.serve.service import Service
from resift.serve.settings import DEFAULTS, Settings


class Dialect(Protocol):
    """A module that speaks one wire format."""

    def routes(self, service: Service) -> list[BaseRoute]:
        """Its routes; what they raise from resift.errors becomes `refusal`, unless they answer it themselves."""


# Modules with `routes(service)`; the first that knows a path answers it.
DIALECTS: tuple[Dialect, ...] = (own, root, cohere, jina, voyage, tei, vllm, infinity, pinecone, openai, elasticsearch)


def create_app(
    models: Sequence[ServedModel],
    settings: Settings = DEFAULTS,
    index: Index | None = None,
    on_ready: Callable[[], None] = lambda: None,
    on_broken: Callable[[Exception], None] = lambda error: None,
) -> Starlette:
    """The application; nothing is loaded by making it, and nothing runs before its lifespan or first request.

    Args:
        models: the default one first.
        settings: limits, keys, failure policy; `models`, `index`, `host` and `port` are for whoever calls this.
        index: answers /api/search.
        on_ready: hears when the models are warm.
        on_broken: hears when a model can't be used after all, or memory does not suffice; /ready stays 503.

    Raises:
        InputError: settings that can't be met.

    """
    room = Room(models, settings, index)
    ceiling = Ceiling(parse_size(settings.max_memory) if settings.max_memory else 0)
    keys = settings.allowed_keys()  # read here: middleware is made when the first request comes
    middleware = [Middleware(Gate, settings=settings, keys=keys, metrics=room.metrics, ceiling=ceiling)]
    if settings.cors_origins:
        allowed = {"allow_origins": list(settings.cors_origins), "allow_methods": ["*"], "allow_headers": ["*"]}
        middleware.insert(0, Middleware(CORSMiddleware, **allowed))  # type: ignore[arg-type]

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        warming = asyncio.create_task(_warm(room, ceiling, on_ready, on_broken))
        yield
        warming.cancel()
        await room.workers.idle()
        event("stopped")

    app = Starlette(
        routes=[*operations.routes(room), *(r for d in DIALECTS for r in d.routes(room))],
        exception_handlers={ResiftError: _refused, HTTPException: _no_route},
        middleware=middleware,
        lifespan=lifespan,
    )
    app.state.service, app.state.settings = room, settings
    return app


async def _warm(
    room: Room, ceiling: Ceiling, on_ready: Callable[[], None], on_broken: Callable[[Exception], None]
) -> None:
    try:
        await room.warm()
        ceiling.settle()
    except Exception as error:  # noqa: BLE001 - whatever it is, the server can't serve, and its owner must hear of it
        room.ready = False
        event("not ready", logging.ERROR, **where(error))
        on_broken(error)
        return
    on_ready()
    event("ready", models=[m.name for m in room.models()], queue_tokens=room.queue.capacity,
          tokens_per_second=round(room.queue.drain.rate))  # fmt: skip


async def _refused(request: Request, error: Exception) -> Response:
    return refusal(error)


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    said = {404: f"there is nothing at {request.url.path}", 405: f"{request.method} is not for {request.url.path}"}
    message = said.get(error.status_code, error.detail)
    return refuse(error.status_code, "HTTPError", message, dict(error.headers or {}))
