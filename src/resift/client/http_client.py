"""A client for Resift's server, and for any other that has Jina's or Cohere's /v1/rerank.

A call sends all documents in one request: a batch that failed is never sent again in pieces.
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
class _RerankCall:
    """One rerank call: its deadline, its attempts, and what follows from each response."""

    ranking: Ranking
    body: dict[str, Any]
    policy: Policy
    attempts: int = 0
    deadline: float = field(init=False)  # on the monotonic clock

    def __post_init__(self) -> None:
        self.deadline = time.monotonic() + self.policy.deadline

    @property
    def seconds_left(self) -> float:
        """Seconds until the deadline; negative after it."""
        return self.deadline - time.monotonic()

    @property
    def timeout(self) -> float:
        """Seconds that the next attempt has; above 0."""
        return max(self.seconds_left, 0.001)

    def outcome(self, status: int, body: bytes, headers: Mapping[str, str]) -> Ranking | float:
        """The ranking, or the seconds to wait before the next attempt.

        Raises:
            ServiceError: the server refuses, or its answer can't be used.

        """
        if 200 <= status < 300:
            return ranking_of(self.ranking, body, headers)
        # The body may quote keys, texts or internals of the server: it goes to the log, not into the error.
        _log.warning("rerank: status %d: %s", status, body[:1000].decode("utf-8", "replace"))
        return self._wait(_refusal(status), _seconds(headers.get("retry-after")) if status in TRANSIENT else None)

    def wait_after_loss(self, error: Exception) -> float:
        """The seconds to wait before the next attempt, after a connection that failed."""
        _log.warning("rerank: %s: %s", type(error).__name__, error)
        return self._wait(ModelFailed(f"the reranker can't be reached ({type(error).__name__}); is its URL right?"), 0)

    def _wait(self, error: ServiceError, least: float | None) -> float:
        """The seconds to wait; raises the error where `least` is None, or where attempts or time run out."""
        wait = (least or 0) + random.uniform(0, self.policy.backoff * 2**self.attempts)
        self.attempts += 1
        if least is None or self.attempts > self.policy.retries or wait >= self.seconds_left:
            raise error
        return wait

    def deadline_error(self) -> ServiceError:
        """The error where the deadline has passed."""
        return ModelFailed(f"the reranker did not answer within {self.policy.deadline:g} s")


class _ClientBase:
    """Address, key, model and policy of both clients."""

    def __init__(self, url: str, api_key: str = "", model: str = "", policy: Policy = DEFAULT_POLICY) -> None:
        """Send requests to the server at `url`.

        Args:
            url: of the server, with or without /v1.
            api_key: sent as a bearer token; empty: no key is sent.
            model: its name on the server; empty: the server's first one.
            policy: deadline and retries.

        Raises:
            InputError: no URL.
            MissingExtra: httpx is not installed.

        """
        self._url, self._model, self._policy = endpoint(url), model, policy
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}

    def _call(self, query: str | Query, documents: Iterable[DocumentLike]) -> _RerankCall:
        first = Ranking.unscored(arguments.query(query), files.documents(documents))
        # top_n is always n, since a server's own default would cut the list.
        body = {
            "query": first.query.text,
            "documents": [_text(candidate.document) for candidate in first],
            "top_n": len(first),
            "return_documents": False,
        } | ({"model": self._model} if self._model else {})
        return _RerankCall(first, body, self._policy)


class Client(_ClientBase):
    """Reranks on a server as `Reranker` does in this process; safe to share between threads."""

    def __init__(self, url: str, api_key: str = "", model: str = "", policy: Policy = DEFAULT_POLICY) -> None:
        super().__init__(url, api_key, model, policy)
        self._http = _httpx().Client(headers=self._headers)

    def rerank(self, query: str | Query, documents: Iterable[DocumentLike], top_k: int | None = None) -> Ranking:
        """Order documents; all come back, and those that the server left out are last, without a score.

        Raises:
            InputError: an empty query, a document without text, or a request that the server can't use.
            ServiceError: the server refuses or fails; see `resift.errors`.

        """
        call, limit = self._call(query, documents), arguments.whole(top_k, "top_k")
        while len(call.ranking):
            outcome = self._attempt(call)
            if isinstance(outcome, Ranking):
                return outcome.top(limit)
            time.sleep(outcome)
        return call.ranking

    def _attempt(self, call: _RerankCall) -> Ranking | float:
        import httpx

        try:
            with self._http.stream(
                "POST", self._url, json=call.body, timeout=max(call.seconds_left, 0.001)
            ) as response:
                body = b"".join(_within_deadline(response.iter_bytes(), call))
        except httpx.TimeoutException as error:
            raise call.deadline_error() from error
        except httpx.TransportError as error:
            return call.wait_after_loss(error)
        return call.outcome(response.status_code, body, response.headers)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()


class AsyncClient(_ClientBase):
    """`Client` for asyncio."""

    def __init__(self, url: str, api_key: str = "", model: str = "", policy: Policy = DEFAULT_POLICY) -> None:
        super().__init__(url, api_key, model, policy)
        self._http = _httpx().AsyncClient(headers=self._headers)

    async def rerank(self, query: str | Query, documents: Iterable[DocumentLike], top_k: int | None = None) -> Ranking:
        """Order documents; see `Client.rerank`."""
        call, limit = self._call(query, documents), arguments.whole(top_k, "top_k")
        while len(call.ranking):
            outcome = await self._attempt(call)
            if isinstance(outcome, Ranking):
                return outcome.top(limit)
            await asyncio.sleep(outcome)
        return call.ranking

    async def _attempt(self, call: _RerankCall) -> Ranking | float:
        import httpx

        try:
            async with self._http.stream("POST", self._url, json=call.body, timeout=call.timeout) as response:
                body = b"".join([part async for part in _within_deadline_async(response.aiter_bytes(), call)])
        except httpx.TimeoutException as error:
            raise call.deadline_error() from error
        except httpx.TransportError as error:
            return call.wait_after_loss(error)
        return call.outcome(response.status_code, body, response.headers)

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


def _within_deadline(parts: Iterator[bytes], call: _RerankCall) -> Iterator[bytes]:
    """The parts of a response. A timeout holds for one part; a server that sends many small ones has this deadline."""
    for part in parts:
        if call.seconds_left <= 0:
            raise call.deadline_error()
        yield part


async def _within_deadline_async(parts: AsyncIterator[bytes], call: _RerankCall) -> AsyncIterator[bytes]:
    async for part in parts:
        if call.seconds_left <= 0:
            raise call.deadline_error()
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
    fact = f"the reranker answered with status {status}"
    if status == 404:
        return UnknownModel(f"{fact}: check the URL and the model's name")
    if status in (401, 403):
        return ServiceError(f"{fact}: check the API key")
    if status == 413:
        return TooLarge(f"{fact}: send fewer or shorter documents")
    if status == 429:
        return Overloaded(f"{fact}: come again later", 1.0)
    if status in TRANSIENT:
        return ModelFailed(f"{fact}: come again later")
    return ServiceError(f"{fact}: the log has its reason")
