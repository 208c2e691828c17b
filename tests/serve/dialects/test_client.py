"""Resift's client against a server that answers by a script: rows 37 to 45 of the known failures of rerankers."""

import asyncio
import json
import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from resift import Reranker
from resift.client.http_client import AsyncClient, Client, Policy, endpoint
from resift.errors import InputError, ModelFailed, Overloaded, ServiceError, TooLarge, UnknownModel
from resift.types import Ranking, ScoreKind
from tests.serve.dialects.bodies import DOCUMENTS, QUERY

QUICK = Policy(deadline=5, retries=2, backoff=0.01)
GOOD = {"model": "far", "results": [{"index": i, "relevance_score": s} for i, s in ((1, 0.9), (2, 0.5), (0, 0.1))]}


@dataclass
class Scripted:
    """The answers of the server in turn (status, body, headers), and the requests that it had, with their times."""

    says: list[tuple[int, Any, dict[str, str]]] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def server() -> Iterator[Scripted]:
    script = Scripted()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            script.times.append(time.monotonic())
            script.paths.append(self.path)
            script.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            status, body, headers = script.says.pop(0)
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if "X-Slow" in headers:
                for byte in content:
                    time.sleep(0.05)
                    self.wfile.write(bytes([byte]))
            else:
                self.wfile.write(content)

        def log_message(self, *args: object) -> None:
            pass

        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except OSError:  # the client hung up, which some tests are about
                self.close_connection = True

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    script.url = f"http://127.0.0.1:{http.server_address[1]}"
    yield script
    http.shutdown()
    thread.join()
    http.server_close()


@pytest.fixture(params=["sync", "async"])
def rerank(request: pytest.FixtureRequest) -> Any:
    """One rerank call by either client."""

    def sync(url: str, documents: list[str], policy: Policy = QUICK, **options: Any) -> Ranking:
        with Client(url, policy=policy, **options) as client:
            return client.rerank(QUERY, documents)

    def asynchronous(url: str, documents: list[str], policy: Policy = QUICK, **options: Any) -> Ranking:
        async def call() -> Ranking:
            async with AsyncClient(url, policy=policy, **options) as client:
                return await client.rerank(QUERY, documents)

        return asyncio.run(call())

    return sync if request.param == "sync" else asynchronous


def order(ranking: Ranking) -> list[int]:
    return [int(c.document.id) for c in ranking]


@pytest.mark.parametrize("tail", ["", "/", "/v1", "/v1/", "/v1/rerank", "/rerank"])
def test_the_address_may_end_in_v1_or_not(tail: str) -> None:
    assert endpoint(f"http://host:1/prefix{tail}") == "http://host:1/prefix/v1/rerank"


def test_an_address_must_be_one() -> None:
    with pytest.raises(InputError, match="no URL"):
        endpoint("localhost:8080")


def test_all_documents_are_asked_for(server: Scripted, rerank: Any) -> None:
    server.says = [(200, GOOD, {})]
    ranking = rerank(server.url + "/v1", DOCUMENTS, model="m", api_key="secret")
    assert order(ranking) == [1, 2, 0] and ranking.trace.reranked and not ranking.trace.reason
    assert ranking[0].score.kind is ScoreKind.RELEVANCE and ranking[0].score.source == "far"
    assert server.paths == ["/v1/rerank"]
    assert server.bodies == [
        {"query": QUERY, "documents": DOCUMENTS, "top_n": 3, "return_documents": False, "model": "m"}
    ]


REFUSALS = [(401, ServiceError), (403, ServiceError), (404, UnknownModel), (413, TooLarge), (422, ServiceError)]


@pytest.mark.parametrize(("status", "kind"), REFUSALS)
def test_a_refusal_is_no_result_and_not_tried_again(
    server: Scripted, rerank: Any, status: int, kind: type[ServiceError]
) -> None:
    server.says = [(status, GOOD, {"Retry-After": "0"})] * 2  # a body that would parse
    with pytest.raises(kind, match=f"status {status}"):
        rerank(server.url, DOCUMENTS)
    assert len(server.bodies) == 1


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_passes_is_tried_again_whole(server: Scripted, rerank: Any, status: int) -> None:
    server.says = [(status, {"message": "no"}, {}), (200, GOOD, {})]
    assert order(rerank(server.url, DOCUMENTS)) == [1, 2, 0]
    assert server.bodies[0] == server.bodies[1] and len(server.bodies[1]["documents"]) == 3


def test_retries_end(server: Scripted, rerank: Any) -> None:
    server.says = [(503, b"", {})] * 9
    with pytest.raises(ModelFailed, match="status 503"):
        rerank(server.url, DOCUMENTS)
    assert len(server.bodies) == 1 + QUICK.retries


def test_retry_after_is_waited_for(server: Scripted, rerank: Any) -> None:
    server.says = [(429, {}, {"Retry-After": "1"}), (200, GOOD, {})]
    rerank(server.url, DOCUMENTS)
    assert server.times[1] - server.times[0] >= 1


def test_a_wait_beyond_the_deadline_is_not_begun(server: Scripted, rerank: Any) -> None:
    server.says = [(429, {}, {"Retry-After": "30"})]
    began = time.monotonic()
    with pytest.raises(Overloaded):
        rerank(server.url, DOCUMENTS)
    assert time.monotonic() - began < 30 / 2  # of the wait that the server asks for


def test_the_deadline_holds_for_a_server_that_drips(server: Scripted, rerank: Any) -> None:
    server.says = [(200, GOOD, {"X-Slow": "yes"})]
    dripping = 0.05 * len(json.dumps(GOOD))
    began = time.monotonic()
    with pytest.raises(ModelFailed, match="within 0.3 s"):
        rerank(server.url, DOCUMENTS, Policy(deadline=0.3))
    assert time.monotonic() - began < dripping / 2


def test_nobody_there(rerank: Any) -> None:
    with pytest.raises(ModelFailed, match="can't be reached"):
        rerank("http://127.0.0.1:9", DOCUMENTS)


def test_the_server_s_words_go_to_the_log_alone(
    server: Scripted, rerank: Any, caplog: pytest.LogCaptureFixture
) -> None:
    server.says = [(400, {"message": "key sk-123 of tenant 7"}, {})]
    with caplog.at_level(logging.WARNING, "resift.client"), pytest.raises(ServiceError) as raised:
        rerank(server.url, DOCUMENTS)
    assert "sk-123" not in str(raised.value)
    assert "sk-123" in caplog.text


@pytest.mark.parametrize(
    "body",
    [b"<html>", b"<think>the second</think>{}",
     b"[" * 100_000, [], {}, {"results": None}, {"results": []}, {"results": ["a", None, {"index": 0}]},
     {"detail": "ok"}, {"results": [{"index": 7, "relevance_score": 1}, {"index": -1, "relevance_score": 1}]}],
)  # fmt: skip
def test_an_answer_without_results_is_an_error(server: Scripted, rerank: Any, body: Any) -> None:
    server.says = [(200, body, {})]
    with pytest.raises(ModelFailed, match="answer"):
        rerank(server.url, DOCUMENTS)


BAD_ENTRIES = [
    {"index": 1, "relevance_score": 0.1}, {"index": 3, "relevance_score": 1.0}, {"index": -1, "relevance_score": 1.0},
    {"index": True, "relevance_score": 1.0}, {"index": "0", "relevance_score": 1.0}, {"relevance_score": 1.0},
    {"index": 0, "relevance_score": None}, {"index": 0, "relevance_score": "1"}, {"index": 0}, 5,
]  # fmt: skip


@pytest.mark.parametrize("bad", BAD_ENTRIES, ids=str)
def test_bad_entries_cost_no_document(server: Scripted, rerank: Any, bad: Any) -> None:
    server.says = [(200, {"results": [{"index": 1, "relevance_score": 0.9}, bad]}, {})]
    ranking = rerank(server.url, DOCUMENTS)
    assert order(ranking) == [1, 0, 2]
    assert [c.score is None for c in ranking] == [False, True, True]
    assert ranking.trace.reason == "the server scored 1 of 3 documents; 1 of its results can't be used"


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1e999"])
def test_scores_are_finite(server: Scripted, rerank: Any, number: bytes) -> None:
    entries = b'{"results": [{"index": 2, "relevance_score": %s}, {"index": 1, "relevance_score": 0.5}]}' % number
    server.says = [(200, entries, {})]
    ranking = rerank(server.url, DOCUMENTS)
    assert order(ranking) == [1, 0, 2] and ranking[2].score is None


def test_no_documents_need_no_server(rerank: Any) -> None:
    assert len(rerank("http://127.0.0.1:9", [])) == 0


def test_a_query_is_needed() -> None:
    with pytest.raises(InputError, match="empty"):
        Client("http://127.0.0.1:9").rerank(" ", DOCUMENTS)


def test_against_resift(live: str, rerank: Any, mini: Reranker) -> None:
    texts = [*DOCUMENTS, ""]
    there, here = rerank(live, texts), mini.rerank(QUERY, texts)
    assert order(there) == order(here)
    assert there[0].score.value == pytest.approx((1 + here[0].score.value) / 2, abs=1e-6)
    assert there[3].score is None  # 0.0 on the wire, which is no score
    assert there.trace.steps[0].scored == 3
