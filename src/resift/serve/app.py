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
from resift.serve.dialects import (
    cohere,
    elasticsearch,
    infinity,
    jina,
    openai,
    pinecone,
    shared_paths,
    tei,
    vllm,
    voyage,
)
from resift.serve.dialects import resift as resift_dialect
from resift.serve.http import operator_routes
from resift.serve.http.admission import Admission
from resift.serve.http.error_responses import error_response, refusal_response
from resift.serve.http.logs import error_facts, event
from resift.serve.http.memory_limit import MemoryLimit
from resift.serve.runtime.request_runner import RequestRunner
from resift.serve.runtime.served_models import ServedModel
from resift.serve.service import Service
from resift.serve.settings import DEFAULTS, Settings


class Dialect(Protocol):
    """A module that speaks one wire format."""

    def routes(self, service: Service) -> list[BaseRoute]:
        """Its routes; an error of `resift.errors` that one raises becomes an `error_response`."""


# The first module that has a route for a path answers it.
DIALECTS: tuple[Dialect, ...] = (
    resift_dialect, shared_paths, cohere, jina, voyage, tei, vllm, infinity, pinecone, openai, elasticsearch,
)  # fmt: skip


def create_app(
    models: Sequence[ServedModel],
    settings: Settings = DEFAULTS,
    index: Index | None = None,
    on_ready: Callable[[], None] = lambda: None,
    on_broken: Callable[[Exception], None] = lambda error: None,
) -> Starlette:
    """The application. Making it loads nothing, and nothing runs before its lifespan or first request.

    Args:
        models: the default one first.
        settings: limits, keys, failure policy; `models`, `index`, `host` and `port` are for whoever calls this.
        index: answers /api/search.
        on_ready: called when the models are warm.
        on_broken: called when a model can't be used after all, or memory does not suffice; /ready stays 503.

    Raises:
        InputError: settings that can't be met.

    """
    runner = RequestRunner(models, settings, index)
    memory_limit = MemoryLimit(parse_size(settings.max_memory) if settings.max_memory else 0)
    keys = settings.allowed_keys()  # read now: starlette makes the middleware when the first request comes
    middleware = [
        Middleware(Admission, settings=settings, keys=keys, metrics=runner.metrics, memory_limit=memory_limit)
    ]
    if settings.cors_origins:
        allowed = {"allow_origins": list(settings.cors_origins), "allow_methods": ["*"], "allow_headers": ["*"]}
        middleware.insert(0, Middleware(CORSMiddleware, **allowed))  # type: ignore[arg-type]

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        warming = asyncio.create_task(_warm_up(runner, memory_limit, on_ready, on_broken))
        yield
        warming.cancel()
        await runner.workers.idle()
        event("stopped")

    app = Starlette(
        routes=[*operator_routes.routes(runner), *(route for dialect in DIALECTS for route in dialect.routes(runner))],
        exception_handlers={ResiftError: _refused, HTTPException: _no_route},
        middleware=middleware,
        lifespan=lifespan,
    )
    app.state.service, app.state.settings = runner, settings
    return app


async def _warm_up(
    runner: RequestRunner,
    memory_limit: MemoryLimit,
    on_ready: Callable[[], None],
    on_broken: Callable[[Exception], None],
) -> None:
    try:
        await runner.warm()
        memory_limit.measure_models()
    except Exception as error:  # noqa: BLE001 - whatever it is, the server can't serve, and its owner must know
        runner.ready = False
        event("not ready", logging.ERROR, **error_facts(error))
        on_broken(error)
        return
    on_ready()
    event("ready", models=[model.name for model in runner.models()], queue_tokens=runner.queue.capacity,
          tokens_per_second=round(runner.queue.throughput.rate))  # fmt: skip


async def _refused(request: Request, error: Exception) -> Response:
    return error_response(error)


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    messages = {404: f"there is nothing at {request.url.path}", 405: f"{request.method} is not for {request.url.path}"}
    message = messages.get(error.status_code, error.detail)
    return refusal_response(error.status_code, "HTTPError", message, dict(error.headers or {}))
