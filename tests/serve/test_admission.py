"""Keys, rates and sizes: who is let in, and what the refusals say."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from starlette.testclient import TestClient

from resift import Reranker
from resift.errors import InputError, Overloaded
from resift.machine import held
from resift.serve.app import create_app
from resift.serve.http.admission import RateLimit
from resift.serve.http.memory_limit import MemoryLimit
from resift.serve.runtime.served_models import ServedModel
from resift.serve.settings import Settings

BODY = {"query": "who lit the lamp", "documents": ["the keeper", "the cook"]}


Serve = Callable[..., TestClient]


@pytest.fixture
def serve(mini: Reranker) -> Serve:
    return lambda **settings: TestClient(create_app([ServedModel.of(mini)], Settings(**settings)))


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": "Bearer alph"}, 401),
        ({"Authorization": "Basic alpha"}, 401),
        ({"Authorization": "Bearer alpha"}, 200),
        ({"authorization": "bearer  beta "}, 200),
        ({"Api-Key": "alpha"}, 200),
        ({"X-Api-Key": "beta"}, 200),
        ({"X-Api-Key": "ä".encode("latin-1").decode("latin-1")}, 401),
    ],
)
def test_keys(mini: Reranker, headers: dict[str, str], status: int) -> None:
    import asyncio

    app = create_app([ServedModel.of(mini)], Settings(api_keys=("alpha", "beta")))

    async def once() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://t") as client:
            encoded = [(k.encode(), v.encode("latin-1")) for k, v in headers.items()]
            return await client.post("/api/rerank", json=BODY, headers=encoded)

    answer = asyncio.run(once())
    assert answer.status_code == status
    if status == 401:
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "alpha" not in answer.text


def test_without_a_key_only_health_is_told(serve: Serve, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("alpha\n")
    client = serve(api_keys_file=str(keys))
    statuses = {path: client.get(path).status_code for path in ("/health", "/metrics", "/api/models", "/openapi.json")}
    assert statuses == {"/health": 200, "/metrics": 401, "/api/models": 401, "/openapi.json": 401}
    assert client.get("/ready").status_code in (200, 503)


def test_a_key_file_that_is_missing_stops_the_server(mini: Reranker) -> None:
    with pytest.raises(InputError, match="can't be read"):
        create_app([ServedModel.of(mini)], Settings(api_keys_file="/nowhere"))


def test_when_no_key_is_set_any_is_ignored(serve: Serve) -> None:
    assert serve().post("/api/rerank", json=BODY, headers={"Authorization": "Bearer fake-api-key"}).status_code == 200


def test_a_rate_per_key(serve: Serve) -> None:
    client = serve(api_keys=("alpha", "beta"), rate_limit=3)
    alpha, beta = ({"Authorization": f"Bearer {k}"} for k in ("alpha", "beta"))
    assert [client.get("/api/models", headers=alpha).status_code for _ in range(4)] == [200, 200, 200, 429]
    refused = client.get("/api/models", headers=alpha)
    assert 1 <= int(refused.headers["retry-after"]) <= 20
    assert "3 requests a minute" in refused.json()["message"]
    assert client.get("/api/models", headers=beta).status_code == 200
    assert client.get("/health").status_code == 200


def test_a_bucket_refills(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    rate = RateLimit(2)
    assert [rate.wait("a"), rate.wait("a")] == [0, 0]
    assert rate.wait("a") == pytest.approx(30)
    now[0] = 30.1
    assert rate.wait("a") == 0
    assert rate.wait("a") > 0


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"query": "a", "documents": ["b"] * 11}, "11 documents; 10 are allowed"),
        ({"query": "a", "documents": ["b", "c" * 101]}, "document 1 has 101 characters; 100 are allowed"),
        ({"query": "a" * 51, "documents": ["b"]}, "query has 51 characters; 50 are allowed"),
        ({"query": "a", "documents": ["b" * 3000]}, "3030 bytes; 2000 are allowed"),
    ],
)
def test_what_is_too_large_is_told_with_both_numbers(serve: Serve, body: dict[str, object], message: str) -> None:
    client = serve(max_documents=10, max_document_chars=100, max_query_chars=50, max_body_bytes=2000)
    sent = json.dumps(body, separators=(",", ":")).encode()
    answer = client.post("/api/rerank", content=sent)
    assert (answer.status_code, answer.json()["error_type"]) == (413, "TooLarge")
    assert message in answer.json()["message"]
    chunked = client.post("/api/rerank", content=iter([sent[:10], sent[10:]]))  # no Content-Length
    assert (chunked.status_code, chunked.json()["message"]) == (413, answer.json()["message"])


def test_no_other_site_may_ask_unless_told(serve: Serve) -> None:
    preflight = {"Origin": "https://example.org", "Access-Control-Request-Method": "POST"}
    assert "access-control-allow-origin" not in serve().options("/api/rerank", headers=preflight).headers
    allowed = serve(cors_origins=("https://example.org",), api_keys=("a",)).options("/api/rerank", headers=preflight)
    assert allowed.headers["access-control-allow-origin"] == "https://example.org"


def test_requests_are_named(serve: Serve) -> None:
    client = serve()
    assert client.get("/health", headers={"X-Request-Id": "abc"}).headers["x-request-id"] == "abc"
    assert len(client.get("/health").headers["x-request-id"]) == 32


def test_bodies_share_the_memory_under_the_limit() -> None:
    with pytest.raises(InputError, match="--max-memory"):
        MemoryLimit(held() + 1000).measure_models()
    limit = MemoryLimit(held() + (96 << 20))
    limit.measure_models()
    limit.reserve(8 << 20)
    with pytest.raises(Overloaded, match="bytes"):
        limit.reserve(12 << 20)
    limit.release(8 << 20)
    limit.reserve(12 << 20)
    MemoryLimit(0).reserve(1 << 40)
