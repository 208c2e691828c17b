"""What every request passes on its way in: key, rate, size; and the watch for clients that leave."""

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
from resift.serve.http.error_responses import refusal, refuse
from resift.serve.http.logs import FACTS, event, where
from resift.serve.http.memory_limit import Ceiling
from resift.serve.runtime.metrics import Metrics
from resift.serve.settings import Settings

OPEN = ("/health", "/ready", "/ping")  # need no key and have no rate
_KNOWN_CALLERS = 10_000  # whose rate is remembered


class Left(Exception):
    """The client closed the connection before its answer."""


class Gate:
    """ASGI middleware; see the module."""

    def __init__(
        self, app: ASGIApp, settings: Settings, keys: Sequence[str], metrics: Metrics, ceiling: Ceiling
    ) -> None:
        self._app, self._settings, self._metrics, self._ceiling = app, settings, metrics, ceiling
        self._keys = [key.encode() for key in keys]
        self._rate = Rate(settings.rate_limit)

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
            await self._through(scope, receive, answer)
        except Left:
            status = status or 499  # nginx's number for a client that closed the request
            self._metrics.left.inc()
        except Exception as error:  # noqa: BLE001 - the last frame: logged here, and the client told no more than that
            event("error", logging.ERROR, request=identity, **where(error))
            if not status:
                await refusal(error)(scope, receive, answer)
        finally:
            facts = FACTS.get()
            FACTS.reset(token)
            self._finished(scope, status, time.perf_counter() - began, facts)

    def _finished(self, scope: Scope, status: int, seconds: float, facts: dict[str, object]) -> None:
        route = getattr(scope.get("route"), "path", None) or "other"
        self._metrics.requests.labels(route, status).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        level = logging.DEBUG if scope["path"] in OPEN else logging.INFO
        event("request", level, method=scope["method"], path=scope["path"], status=status,
              ms=round(seconds * 1e3, 2), **facts)  # fmt: skip

    async def _through(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        if scope["path"] not in OPEN and (refused := self._refused(scope, headers)):
            await refused(scope, receive, send)
            return
        size = int(length) if (length := headers.get("content-length", "0")).isdigit() else 0
        try:
            self._fits(size)
            self._ceiling.hold(size)
        except (TooLarge, Overloaded) as error:
            await refusal(error)(scope, receive, send)
            return
        try:
            await self._answered(scope, receive, send)
        finally:
            self._ceiling.release(size)

    def _refused(self, scope: Scope, headers: Headers) -> Response | None:
        """The answer to a caller without a key, or with too many requests."""
        key = key_of(headers)
        if self._keys and not sum(hmac.compare_digest(key, known) for known in self._keys):
            said = "the API key is missing or wrong; send it as 'Authorization: Bearer KEY'"
            return refuse(401, "Unauthorized", said, {"WWW-Authenticate": "Bearer"})
        caller = key.decode("latin-1") if self._keys else (scope.get("client") or ("", 0))[0]
        if wait := self._rate.wait(caller):
            limit = f"{self._settings.rate_limit:g} requests a minute are allowed"
            return refusal(Overloaded(f"{limit}; come again in {wait:.1f} s", wait))
        return None

    def _fits(self, size: int) -> None:
        if size > (limit := self._settings.max_body_bytes):
            raise TooLarge(f"the request has {size} bytes; {limit} are allowed")

    async def _answered(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body, then run the application until it answers or the client leaves."""
        try:
            body = await self._body(receive)
        except TooLarge as error:
            await refusal(error)(scope, receive, send)
            return
        given = complete = False

        async def answer(message: Message) -> None:
            nonlocal complete
            await send(message)
            complete = message["type"] == "http.response.body" and not message.get("more_body")

        async def replay() -> Message:
            nonlocal given
            if not given:
                given = True
                return {"type": "http.request", "body": body, "more_body": False}
            return await receive()

        task = asyncio.ensure_future(self._app(scope, replay, answer))
        watch = asyncio.ensure_future(_gone(receive))
        try:
            await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done() and not complete:
                raise Left
            await task
        finally:
            for running in (task, watch):
                running.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await running

    async def _body(self, receive: Receive) -> bytes:
        parts, size = [], 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Left
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            self._fits(size)
            if not message.get("more_body"):
                return b"".join(parts)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def key_of(headers: Headers) -> bytes:
    """The key of a request: bearer token, or the headers that Pinecone's and other clients use."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    found = token if scheme.lower() == "bearer" else headers.get("api-key") or headers.get("x-api-key") or ""
    return found.strip().encode("latin-1", "replace")


class Rate:
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
        if len(self._buckets) > _KNOWN_CALLERS:
            self._buckets.popitem(last=False)
        return 0.0 if admitted else (1 - level) / rate
