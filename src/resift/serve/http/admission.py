"""Middleware that every request passes: it checks key, rate and size, and drops the work of clients that leave."""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from uuid import uuid4

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from resift.errors import Overloaded, TooLarge
from resift.serve.http.error_responses import error_response, refusal_response
from resift.serve.http.logs import FACTS, error_facts, event
from resift.serve.http.memory_limit import MemoryLimit
from resift.serve.runtime.metrics import Metrics
from resift.serve.settings import Settings

OPEN_PATHS = ("/health", "/ready", "/ping")  # need no key and have no rate
_MOST_CALLERS = 10_000  # whose rates are remembered


class ClientLeft(Exception):
    """The client closed the connection before its answer."""


class Admission:
    """ASGI middleware: lets requests in, counts and logs them, and drops those whose client leaves."""

    def __init__(
        self, app: ASGIApp, settings: Settings, keys: Sequence[str], metrics: Metrics, memory_limit: MemoryLimit
    ) -> None:
        self._app, self._settings, self._metrics, self._memory_limit = app, settings, metrics, memory_limit
        self._keys = [key.encode() for key in keys]
        self._rate = RateLimit(settings.rate_limit)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or refuse it; count it and write its line."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 0
        identity = Headers(scope=scope).get("x-request-id", "")[:100] or uuid4().hex

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", identity.encode("latin-1", "replace"))]
            await send(message)

        token = FACTS.set({"request": identity})
        try:
            await self._admit(scope, receive, answer)
        except ClientLeft:
            status = status or 499  # nginx's number for a client that closed the request
            self._metrics.left.inc()
        except Exception as error:  # noqa: BLE001 - the last frame: the log has it, and the client learns no more
            event("error", logging.ERROR, request=identity, **error_facts(error))
            if not status:
                await error_response(error)(scope, receive, answer)
        finally:
            facts = FACTS.get()
            FACTS.reset(token)
            self._count(scope, status, time.perf_counter() - began, facts)

    def _count(self, scope: Scope, status: int, seconds: float, facts: dict[str, object]) -> None:
        route = getattr(scope.get("route"), "path", None) or "other"
        self._metrics.requests.labels(route, status).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        level = logging.DEBUG if scope["path"] in OPEN_PATHS else logging.INFO
        event("request", level, method=scope["method"], path=scope["path"], status=status,
              ms=round(seconds * 1e3, 2), **facts)  # fmt: skip

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        if scope["path"] not in OPEN_PATHS and (response := self._refusal(scope, headers)):
            await response(scope, receive, send)
            return
        size = int(length) if (length := headers.get("content-length", "0")).isdigit() else 0
        try:
            self._fits(size)
            self._memory_limit.reserve(size)
        except (TooLarge, Overloaded) as error:
            await error_response(error)(scope, receive, send)
            return
        try:
            await self._answer(scope, receive, send)
        finally:
            self._memory_limit.release(size)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        """The answer to a caller without a key, or with too many requests."""
        key = key_of(headers)
        if self._keys and not sum(hmac.compare_digest(key, allowed) for allowed in self._keys):
            message = "the API key is missing or wrong; send it as 'Authorization: Bearer KEY'"
            return refusal_response(401, "Unauthorized", message, {"WWW-Authenticate": "Bearer"})
        caller = key.decode("latin-1") if self._keys else (scope.get("client") or ("", 0))[0]
        if wait := self._rate.wait(caller):
            limit = f"{self._settings.rate_limit:g} requests a minute are allowed"
            return error_response(Overloaded(f"{limit}; come again in {wait:.1f} s", wait))
        return None

    def _fits(self, size: int) -> None:
        if size > (limit := self._settings.max_body_bytes):
            raise TooLarge(f"the request has {size} bytes; {limit} are allowed")

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body, then run the application until it answers or the client leaves."""
        try:
            body = await self._body(receive)
        except TooLarge as error:
            await error_response(error)(scope, receive, send)
            return
        is_replayed = complete = False

        async def answer(message: Message) -> None:
            nonlocal complete
            await send(message)
            complete = message["type"] == "http.response.body" and not message.get("more_body")

        async def replay() -> Message:
            nonlocal is_replayed
            if not is_replayed:
                is_replayed = True
                return {"type": "http.request", "body": body, "more_body": False}
            return await receive()

        answering = asyncio.ensure_future(self._app(scope, replay, answer))
        leaving = asyncio.ensure_future(_client_left(receive))
        try:
            await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not answering.done() and not complete:
                raise ClientLeft
            await answering
        finally:
            for task in (answering, leaving):
                task.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await task

    async def _body(self, receive: Receive) -> bytes:
        parts, size = [], 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientLeft
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            self._fits(size)
            if not message.get("more_body"):
                return b"".join(parts)


async def _client_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def key_of(headers: Headers) -> bytes:
    """The key of a request: bearer token, or the headers that Pinecone's and other clients use."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    key = token if scheme.lower() == "bearer" else headers.get("api-key") or headers.get("x-api-key") or ""
    return key.strip().encode("latin-1", "replace")


class RateLimit:
    """A bucket per caller that holds a minute's requests and refills steadily."""

    def __init__(self, per_minute: float) -> None:
        self._per_minute = per_minute
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, caller: str) -> float:
        """Count a request; seconds until it would be let in, 0 when it is."""
        if not self._per_minute:
            return 0.0
        now, rate, full = time.monotonic(), self._per_minute / 60, max(1.0, self._per_minute)
        level, since = self._buckets.pop(caller, (full, now))
        level = min(full, level + (now - since) * rate)
        admitted = level >= 1
        self._buckets[caller] = (level - admitted, now)
        if len(self._buckets) > _MOST_CALLERS:
            self._buckets.popitem(last=False)
        return 0.0 if admitted else (1 - level) / rate
