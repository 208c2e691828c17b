"""A client for Resift's server, and for any other that has Jina's or Cohere's /v1/rerank.

One request per call, whatever happens: a batch that failed is never sent again in pieces.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from resift import arguments, files
from resift.client.responses import ranking_of
from resift.errors import InputError, MissingExtra, ModelFailed, Overloaded, ServiceError, TooLarge, UnknownModel
from resift.types import Document, Query, Ranking

if TYPE_CHECKING:
    from resift.files.records import DocumentLike

TRANSIENT = frozenset({408, 409, 429, 500, 502, 503, 504})
_LONGEST_WAIT = 60.0
_log = logging.getLogger("resift.client")


@dataclass(frozen=True, slots=True)
class Policy:
    """How long and how often a client tries.

    Attributes:
        deadline: seconds for the whole call, waits between attempts included.
        retries: attempts after the first; only after a lost connection or one of the statuses in TRANSIENT.
        backoff: seconds; the wait before attempt n is drawn evenly from 0 to backoff * 2**n. Retry-After comes on top.

    """

    deadline: float = 30.0
    retries: int = 3
    backoff: float = 0.25


DEFAULT_POLICY = Policy()


def endpoint(url: str) -> str:
    """The address of a server's rerank call, from its URL with or without /v1 or /v1/rerank."""
    bare = url.strip().rstrip("/")
    if "://" not in bare:
        raise InputError(f"{url!r} is no URL; give one such as http://localhost:8080")
    for tail in ("/rerank", "/v1"):
        bare = bare.removesuffix(tail)
    return f"{bare}/v1/rerank"


@dataclass(slots=True)
class _Call:
    """One rerank call: its clock, its attempts, and what becomes of each answer."""

    ranking: Ranking
    body: dict[str, Any]
    policy: Policy
    attempts: int = 0
    until: float = field(init=False)

    def __post_init__(self) -> None:
        self.until = time.monotonic() + self.policy.deadline

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return self.until - time.monotonic()

    def answered(self, status: int, body: bytes, headers: Mapping[str, str]) -> Ranking | float:
        """The ranking, or the seconds to wait before the next attempt.

        Raises:
            ServiceError: the server refuses, or its answer can't be used.

        """
        if 200 <= status < 300:
            return ranking_of(self.ranking, body, headers)
        # The body may quote keys, texts or the server's insides: it is for the log, not for whoever sees the error.
        _log.warning("rerank: status %d: %s", status, body[:1000].decode("utf-8", "replace"))
        return self._again(_refusal(status), _seconds(headers.get("retry-after")) if status in TRANSIENT else None)

    def lost(self, error: Exception) -> float:
        """The seconds to wait after a connection that failed."""
        _log.warning("rerank: %s: %s", type(error).__name__, error)
        return self._again(ModelFailed(f"the reranker can't be reached ({type(error).__name__}); is its URL right?"), 0)

    def _again(self, error: ServiceError, least: float | None) -> float:
        wait = (least or 0) + random.uniform(0, self.policy.backoff * 2**self.attempts)
        self.attempts += 1
        if least is None or self.attempts > self.policy.retries or wait >= self.left:
            raise error
        return wait

    def late(self) -> ServiceError:
        """The deadline has passed."""
        return ModelFailed(f"the reranker did not answer within {self.policy.deadline:g} s")


class _Settings:
    """What both clients have in common."""

    def __init__(self, url: str, api_key: str = "", model: str = "", policy: Policy = DEFAULT_POLICY) -> None:
        """Speak to the server at `url`, with or without /v1.

        Args:
            url: of the server.
            api_key: sent as a bearer token when given.
            model: that the server is asked for; its first one when empty.
            policy: deadline and retries.

        Raises:
            InputError: no URL.
            MissingExtra: httpx is not installed.

        """
        self._url, self._model, self._policy = endpoint(url), model, policy
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}

    def _call(self, query: str | Query, documents: Iterable[DocumentLike]) -> _Call:
        asked = arguments.query(query)
        given = list(files.documents(documents))
        # Always n: a server's own default would cut the list.
        body = {
            "query": asked.text,
            "documents": [_text(d) for d in given],
            "top_n": len(given),
            "return_documents": False,
        } | ({"model": self._model} if self._model else {})
        return _Call(Ranking.unscored(asked, given), body, self._policy)


class Client(_Settings):
    """Reranks on a server as `Reranker` does in this process; safe to share between threads."""

    def __init__(self, url: str, api_key: str = "", model: str = "", policy: Policy = DEFAULT_POLICY) -> None:
        super().__init__(url, api_key, model, policy)
        self._http = _httpx().Client(headers=self._headers)

    def rerank(self, query: str | Query, documents: Iterable[DocumentLike], top_k: int | None = None) -> Ranking:
        """Order documents; all of them come back, those that the server left out last and without a score.

        Raises:
            InputError: an empty query, a document without text, or a request that the server can't use.
            ServiceError: the server refuses or fails; see `resift.errors`.

        """
        call, most = self._call(query, documents), arguments.whole(top_k, "top_k")
        while len(call.ranking):
            outcome = self._attempt(call)
            if isinstance(outcome, Ranking):
                return outcome.top(most)
            time.sleep(outcome)
        return call.ranking

    def _attempt(self, call: _Call) -> Ranking | float:
        import httpx

        try:
            with self._http.stream("POST", self._url, json=call.body, timeout=max(call.left, 0.001)) as response:
                body = b"".join(_until(response.iter_bytes(), call))
        except httpx.TimeoutException as error:
            raise call.late() from error
        except httpx.TransportError as error:
            return call.lost(error)
        return call.answered(response.status_code, body, response.headers)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()


class AsyncClient(_Settings):
    """`Client` for asyncio."""

    def __init__(self, url: str, api_key: str = "", model: str = "", policy: Policy = DEFAULT_POLICY) -> None:
        super().__init__(url, api_key, model, policy)
        self._http = _httpx().AsyncClient(headers=self._headers)

    async def rerank(self, query: str | Query, documents: Iterable[DocumentLike], top_k: int | None = None) -> Ranking:
        """Order documents; see `Client.rerank`."""
        call, most = self._call(query, documents), arguments.whole(top_k, "top_k")
        while len(call.ranking):
            outcome = await self._attempt(call)
            if isinstance(outcome, Ranking):
                return outcome.top(most)
            await asyncio.sleep(outcome)
        return call.ranking

    async def _attempt(self, call: _Call) -> Ranking | float:
        import httpx

        timeout = max(call.left, 0.001)
        try:
            async with self._http.stream("POST", self._url, json=call.body, timeout=timeout) as response:
                body = b"".join([part async for part in _until_async(response.aiter_bytes(), call)])
        except httpx.TimeoutException as error:
            raise call.late() from error
        except httpx.TransportError as error:
            return call.lost(error)
        return call.answered(response.status_code, body, response.headers)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()


def _httpx() -> Any:  # noqa: ANN401 - a module
    try:
        import httpx
    except ImportError as error:
        raise MissingExtra("the client", "client") from error
    return httpx


def _until(parts: Iterator[bytes], call: _Call) -> Iterator[bytes]:
    """A timeout holds for one read; a server that sends a byte now and then must meet the deadline too."""
    for part in parts:
        if call.left <= 0:
            raise call.late()
        yield part


async def _until_async(parts: AsyncIterator[bytes], call: _Call) -> AsyncIterator[bytes]:
    async for part in parts:
        if call.left <= 0:
            raise call.late()
        yield part


def _text(document: Document) -> str:
    return f"{document.title}\n{document.text}" if document.title else document.text


def _seconds(retry_after: str | None) -> float:
    """Retry-After in seconds, 0 when it is absent or a date; never more than a minute."""
    try:
        return min(max(float(retry_after or 0), 0.0), _LONGEST_WAIT)
    except ValueError:
        return 0.0


def _refusal(status: int) -> ServiceError:
    said = f"the reranker answered with status {status}"
    if status == 404:
        return UnknownModel(f"{said}: check the URL and the model's name")
    if status in (401, 403):
        return ServiceError(f"{said}: check the API key")
    if status == 413:
        return TooLarge(f"{said}: send fewer or shorter documents")
    if status == 429:
        return Overloaded(f"{said}: come again later", 1.0)
    if status in TRANSIENT:
        return ModelFailed(f"{said}: come again later")
    return ServiceError(f"{said}: the log has its reason")
