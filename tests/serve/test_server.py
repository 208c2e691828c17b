"""What a server must survive, over HTTP: rows 22-36 of the known failures of rerankers."""

import gc
import json
import logging
import re
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from resift import Reranker
from resift.engine.openvino import _RequestPool
from resift.errors import InputError, MissingExtra, ModelFailed
from resift.score.load import load_embedder
from resift.serve.app import create_app
from resift.serve.http.error_responses import error_response
from resift.serve.http.logs import JsonLines
from resift.serve.runtime.served_models import ServedModel, load_models
from resift.serve.settings import Settings
from resift.types import Pair
from tests.checkpoints import cross_encoder
from tests.serve.conftest import Live, meddled
from tests.vector_checkpoints import pylate, sentence_transformer

QUERY = "who lit the lamp in the tower"
TEXTS = [f"The keeper climbed {i} steps every evening to light lamp {i}." for i in range(40)]


def ask(client: httpx.Client, texts: Sequence[Any] = TEXTS, **more: Any) -> Any:
    answer = client.post("/api/rerank", json={"query": QUERY, "documents": list(texts), **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def values(answer: Any) -> dict[int, float]:
    return {r["index"]: r["score"]["value"] for r in answer["results"] if "score" in r}


def metric(client: httpx.Client, name: str) -> float:
    return sum(float(v) for v in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", client.get("/metrics").text, re.M))


def slowly(seconds: float) -> Callable[[Sequence[Pair]], None]:
    return lambda pairs: time.sleep(seconds)


def poisoned(pairs: Sequence[Pair]) -> None:
    for _, candidate in pairs:
        if "POISON" in candidate.document.text:
            raise ValueError(candidate.document.text)
        if "ENDS THE WORKER" in candidate.document.text:
            raise SystemExit(candidate.document.text)


@pytest.fixture
def plain(mini: Reranker, live: Live) -> httpx.Client:
    return live(create_app([ServedModel.of(mini)], Settings(queue_seconds=600)))


# 22: a bad item fails alone, a dead worker is replaced, every request is answered


@pytest.mark.parametrize("poison", ["POISON", "ENDS THE WORKER"])
def test_a_poison_document_fails_alone(mini: Reranker, live: Live, poison: str) -> None:
    client = live(create_app([meddled(mini, poisoned)], Settings(queue_tokens=10**6)))
    mixed = [*TEXTS[:7], poison, *TEXTS[7:]]
    with ThreadPoolExecutor(8) as threads:
        good = [threads.submit(ask, client) for _ in range(4)]
        bad = [threads.submit(ask, client, mixed) for _ in range(4)]
    alone = mini.rerank(QUERY, TEXTS)
    expected = {int(c.document.id): c.score.value for c in alone if c.score}
    for answer in good:
        assert values(answer.result()) == pytest.approx(expected, abs=1e-4)
    for answer in bad:
        result = answer.result()
        assert result["reranked"]
        assert result["reason"] == "failed: resift-mini-en scored 40/41"
        last = result["results"][-1]
        assert (last["index"], last["flags"]) == (7, ["failed"])
        assert "score" not in last
    assert metric(client, "resift_failed_documents_total") == 4


def test_a_slice_that_hangs_is_left_behind(mini: Reranker, live: Live) -> None:
    released = threading.Event()

    def hang(pairs: Sequence[Pair]) -> None:
        if any("HANG" in c.document.text for _, c in pairs):
            released.wait(20)

    client = live(create_app([meddled(mini, hang)], Settings(stall_s=4)))
    stuck = client.post("/api/rerank", json={"query": QUERY, "documents": ["HANG"]})
    assert stuck.status_code == 503
    assert "did not answer within 4 s" in stuck.json()["message"]
    assert ask(client)["reranked"]
    assert metric(client, "resift_stalled_slices_total") == 1
    released.set()


# 23, 24: memory runs out: smaller slices, then the document's own error, and nothing is hidden


def test_out_of_memory_means_smaller_slices(mini: Reranker, live: Live) -> None:
    def small_machine(pairs: Sequence[Pair]) -> None:
        if len(pairs) > 5:
            raise MemoryError("no memory for so many")

    client = live(create_app([meddled(mini, small_machine)], Settings(queue_tokens=10**6)), False)
    answer = ask(client)
    assert len(values(answer)) == 40
    assert client.get("/health").status_code == 200


def test_an_error_keeps_its_name_and_the_text_stays_out_of_the_log(
    mini: Reranker, live: Live, caplog: pytest.LogCaptureFixture
) -> None:
    client = live(create_app([meddled(mini, poisoned)]))
    with caplog.at_level(logging.INFO, "resift.serve"):
        failed = client.post("/api/rerank", json={"query": QUERY, "documents": ["POISON in the well"]})
    assert failed.status_code == 503
    assert "ValueError" in failed.json()["message"]
    lines = [JsonLines().format(r) for r in caplog.records if r.name == "resift.serve"]
    assert any(json.loads(line).get("error") == "ValueError" for line in lines)
    assert not any("well" in line or "tower" in line for line in lines)


# 25: many threads


def test_64_clients_get_the_scores_of_the_offline_engine(mini: Reranker, plain: httpx.Client) -> None:
    texts = [[*TEXTS[i % 7 : i % 7 + 1 + i % 9], "long " * (10 * (i % 5))] for i in range(64)]
    with ThreadPoolExecutor(64) as threads:
        answers = list(threads.map(lambda t: ask(plain, t), texts))
    for documents, answer in zip(texts, answers, strict=True):
        offline = mini.rerank(QUERY, documents)
        expected = {int(c.document.id): c.score.value for c in offline if c.score}
        assert values(answer) == pytest.approx(expected, abs=1e-4)
        assert [r["index"] for r in answer["results"]] == [int(c.document.id) for c in offline]


# 26: the event loop is never blocked


def test_health_answers_under_full_load(plain: httpx.Client) -> None:
    stop, loaded = threading.Event(), list[float]()

    def load() -> None:
        with httpx.Client(base_url=plain.base_url, timeout=60, trust_env=False) as client:
            while not stop.is_set():
                began = time.perf_counter()
                client.post("/api/rerank", json={"query": QUERY, "documents": TEXTS * 3, "may_shrink": True})
                loaded.append(time.perf_counter() - began)

    threads = [threading.Thread(target=load) for _ in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    times = []
    for _ in range(40):
        began = time.perf_counter()
        assert plain.get("/health").status_code == 200
        times.append(time.perf_counter() - began)
    stop.set()
    for thread in threads:
        thread.join()
    assert statistics.median(times) < statistics.median(loaded) / 4, (sorted(times), sorted(loaded))


# 27: a burst


def test_a_burst_is_refused_at_once_and_told_when_to_come_again(mini: Reranker, live: Live) -> None:
    client = live(create_app([meddled(mini, slowly(0.15))], Settings(queue_tokens=2000)))

    def once(_: int) -> tuple[int, float, str, Any]:
        began = time.perf_counter()
        answer = client.post("/api/rerank", json={"query": QUERY, "documents": TEXTS})
        return answer.status_code, time.perf_counter() - began, answer.headers.get("retry-after", ""), answer.json()

    gc.collect()
    gc.freeze()  # as a server does at its start; a collection of all that the suite has loaded takes half a second
    try:
        with ThreadPoolExecutor(24) as threads:
            answers = list(threads.map(once, range(24)))
    finally:
        gc.unfreeze()
    refused = [a for a in answers if a[0] == 429]
    accepted = [a for a in answers if a[0] == 200]
    assert refused
    assert len(accepted) >= 3
    assert len(refused) + len(accepted) == 24
    assert all(int(wait) >= 1 for _, _, wait, _ in refused)
    refusal, answer = (statistics.median(seconds for _, seconds, _, _ in group) for group in (refused, accepted))
    assert refusal < answer / 4
    assert all(len(values(body)) == 40 for _, _, _, body in accepted)


def test_under_overload_a_request_may_shrink(mini: Reranker, live: Live) -> None:
    client = live(create_app([meddled(mini, slowly(0.2))], Settings(queue_tokens=5000)))
    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(lambda _: client.post(
            "/api/rerank", json={"query": QUERY, "documents": TEXTS, "may_shrink": True}), range(20)))  # fmt: skip
    bodies = [a.json() for a in answers if a.status_code == 200]
    shrunk = [b for b in bodies if b["reason"]]
    assert shrunk
    for body in shrunk:
        scored = len(values(body))
        assert body["reason"] == f"overload: resift-mini-en scored {scored}/40"
        assert sorted(r["index"] for r in body["results"]) == list(range(40))
        assert [r["index"] for r in body["results"][scored:]] == list(range(scored, 40))
        assert all("score" not in r and r["flags"] == ["overload"] for r in body["results"][scored:])


# 28: a model that keeps failing is left alone; its fallback keeps all documents and invents nothing


def test_a_broken_model_is_left_alone_and_the_next_one_asked(mini: Reranker, live: Live) -> None:
    calls = 0

    def broken(pairs: Sequence[Pair]) -> None:
        nonlocal calls
        if "lamp 1" in " ".join(c.document.text for _, c in pairs) and pairs[0][0].text == QUERY:
            calls += 1
            raise RuntimeError("device lost")

    settings = Settings(on_error="next_stage", fallback=("spare",), breaker_failures=2, breaker_rest_s=60)
    client = live(create_app([meddled(mini, broken, "first"), ServedModel.of(mini, "spare")], settings))
    texts = ["lamp 1"]
    answers = [ask(client, texts, model="first", min_score=0.99) for _ in range(6)]
    assert calls == 2
    for answer in answers:
        assert (answer["stage"], answer["model"]) == ("spare", "first")
        assert answer["reason"].startswith("first: ")
        assert answer["threshold"] == {"min_score": 0.99, "applied": False, "cut": []}
        assert len(answer["results"]) == 1
    assert metric(client, "resift_fallbacks_total") == 6
    refused = client.post(
        "/api/rerank", json={"query": QUERY, "documents": texts, "model": "first", "on_error": "raise"}
    )
    assert refused.status_code == 503
    assert 1 <= int(refused.headers["retry-after"]) <= 60


def test_keep_order_keeps_everything_and_scores_nothing(mini: Reranker, live: Live) -> None:
    client = live(create_app([meddled(mini, poisoned)]))
    answer = ask(client, ["POISON b", "POISON a"], on_error="keep_order", min_score=0.5)
    assert [r["index"] for r in answer["results"]] == [0, 1]
    assert (answer["reranked"], answer["stage"]) == (False, "input")
    assert "ValueError" in answer["reason"]
    assert not values(answer)
    for body, status in (({"query": " ", "documents": ["a"]}, 422), ({"query": "a", "documents": [1]}, 422)):
        assert client.post("/api/rerank", json=body | {"on_error": "keep_order"}).status_code == status


# 29: the client leaves


def test_the_work_of_a_client_that_left_is_dropped(mini: Reranker, live: Live) -> None:
    scored = 0

    def count(pairs: Sequence[Pair]) -> None:
        nonlocal scored
        if pairs[0][0].text == QUERY:
            scored += len(pairs)
            time.sleep(0.2)

    client = live(create_app([meddled(mini, count)], Settings(queue_tokens=10**7)))
    texts = [f"{text} {'and so on ' * 40}" for text in TEXTS * 20]
    body = json.dumps({"query": QUERY, "documents": texts}).encode()
    head = f"POST /api/rerank HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    assert client.base_url.port is not None
    with socket.create_connection(("127.0.0.1", client.base_url.port)) as leaving:
        leaving.sendall(head + body)
        time.sleep(0.3)
    until = time.monotonic() + 5
    while metric(client, "resift_clients_left_total") < 1 or metric(client, "resift_queue_tokens"):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert 0 < scored < 400
    assert ask(client)["reranked"]


# 30: the deadline


def test_a_deadline_gives_the_best_order_so_far(mini: Reranker, live: Live) -> None:
    client = live(create_app([meddled(mini, lambda pairs: time.sleep(0.01 * len(pairs)))]))
    texts = [f"{text} {'and so on ' * 40}" for text in TEXTS * 10]
    answer = ask(client, texts, deadline_ms=1500)
    scored = len(values(answer))
    assert 0 < scored < 400
    assert answer["reason"] == f"deadline: resift-mini-en scored {scored}/400"
    assert answer["trace"][0]["scored"] == scored
    assert answer["ms"] < 400 * 10  # of sleep alone, were all of them scored
    assert sorted(r["index"] for r in answer["results"]) == list(range(400))
    left = [r for r in answer["results"] if "score" not in r]
    assert answer["results"][scored:] == left
    assert all(r["flags"] == ["deadline"] for r in left)
    assert [r["index"] for r in left] == sorted(r["index"] for r in left)
    nothing = ask(client, texts, deadline_ms=1)
    assert (nothing["reranked"], nothing["reason"]) == (False, "deadline: resift-mini-en scored 0/400")
    assert [r["index"] for r in nothing["results"]] == list(range(400))


# 31: cold start


def test_ready_only_after_real_work(mini: Reranker, live: Live) -> None:
    warmed = threading.Event()
    longest = 0

    def wait(pairs: Sequence[Pair]) -> None:
        nonlocal longest
        longest = max(longest, *(len(c.document.text) for _, c in pairs))
        warmed.wait(10)

    client = live(create_app([meddled(mini, wait)]), False)
    assert client.get("/health").status_code == 200
    cold = client.get("/ready")
    assert (cold.status_code, cold.headers["retry-after"]) == (503, "1")
    warmed.set()
    until = time.monotonic() + 20
    while client.get("/ready").status_code != 200:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert longest > 512


def test_a_model_that_cannot_run_is_told_to_the_owner(mini: Reranker, live: Live) -> None:
    def broken(pairs: Sequence[Pair]) -> None:
        raise RuntimeError("no such device")

    errors: list[Exception] = []
    client = live(create_app([meddled(mini, broken)], on_broken=errors.append), False)
    until = time.monotonic() + 10
    while not errors:
        assert time.monotonic() < until
        time.sleep(0.02)
    assert client.get("/ready").status_code == 503
    assert client.get("/health").status_code == 200


# 33, 34, 36: which model


def test_a_model_is_loaded_once(mini: Reranker) -> None:
    with pytest.raises(InputError, match="name each once"):
        load_models(["resift-mini-en", "resift-mini-en"])
    with pytest.raises(InputError, match="is not served"):
        create_app([ServedModel.of(mini)], Settings(fallback=("other",)))


def test_an_idle_model_is_still_there(tmp_path: Path, live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is unloaded, so that no request can meet a model that goes or comes back: row 32."""
    pools: list[object] = []
    once = _RequestPool.__init__

    def counted(pool: _RequestPool, *args: Any, **kwargs: Any) -> None:
        pools.append(pool)
        once(pool, *args, **kwargs)

    monkeypatch.setattr(_RequestPool, "__init__", counted)
    client = live(create_app(load_models([str(cross_encoder(tmp_path / "tiny", "bert"))])))
    ask(client, ["oslo", "bread"])
    before = len(pools)
    assert before > 0
    time.sleep(0.5)
    gc.collect()
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda i: ask(client, ["oslo", f"bread {i}"]), range(16)))
    assert all(a["reranked"] for a in answers) and len(pools) == before


def test_an_embedder_does_not_rerank(live: Live) -> None:
    client = live(create_app(load_models(["resift-static-en"])))
    answer = client.post("/api/rerank", json={"query": QUERY, "documents": TEXTS})
    assert answer.status_code == 404
    assert "no model '' that reranks is served" in answer.json()["message"]
    [model] = client.get("/api/models").json()["models"]
    assert (model["name"], model["embeds"], model["kind"]) == ("resift-static-en", True, None)


def test_a_colbert_without_pooled_vectors_reranks_alone(tmp_path: Path, live: Live) -> None:
    client = live(create_app(load_models([str(pylate(tmp_path / "colbert"))], "f32")))
    [model] = client.get("/api/models").json()["models"]
    assert (model["name"], model["embeds"], model["kind"]) == ("colbert", False, "maxsim_sum")
    assert client.post("/v1/embeddings", json={"input": ["lamp"]}).status_code == 404
    texts = ["a lamp in the north", "bread and water", "what is the capital of norway"]
    results = client.post("/api/rerank", json={"query": "the capital of norway", "documents": texts}).json()["results"]
    sums = {r["index"]: r["score"]["value"] for r in results}
    assert {r["score"]["kind"] for r in results} == {"maxsim_sum"} and min(sums.values()) > 2
    wire = client.post("/v1/rerank", json={"query": "the capital of norway", "documents": texts}).json()["results"]
    assert {r["index"]: r["relevance_score"] for r in wire} == pytest.approx(
        {i: (1 + v / (1 + v)) / 2 for i, v in sums.items()}, abs=1e-6
    )


def test_an_embedder_folder_is_served(tmp_path: Path, live: Live) -> None:
    folder = sentence_transformer(tmp_path / "embedder")
    client = live(create_app(load_models([str(folder)], "f32")))
    [model] = client.get("/api/models").json()["models"]
    assert (model["name"], model["embeds"], model["kind"]) == ("embedder", True, None)
    embeddings = client.post("/v1/embeddings", json={"input": TEXTS[:3]}).json()["data"]
    expected = load_embedder(str(folder), "f32").embed(TEXTS[:3], "document")
    np.testing.assert_allclose([e["embedding"] for e in embeddings], expected, atol=1e-5)
    assert client.post("/api/rerank", json={"query": QUERY, "documents": TEXTS}).status_code == 404


def test_models_are_named_with_the_hash_of_their_files(mini: Reranker, live: Live) -> None:
    client = live(create_app([ServedModel.of(mini), *load_models(["resift-static-en"])]))
    first, second = client.get("/api/models").json()["models"]
    assert first["fingerprint"] == mini.info.fingerprint
    assert first["fingerprint"] != second["fingerprint"]
    assert client.post("/api/rerank", json={"query": "a", "documents": ["b"], "model": "anything"}).status_code == 200


def test_errors_carry_what_clients_read() -> None:
    for error in (InputError("a"), ModelFailed("b", 3.2), MissingExtra("c", "d"), ValueError("secret")):
        answer = error_response(error)
        body = json.loads(bytes(answer.body))
        assert all(isinstance(v, str) for v in body.values())
        assert "secret" not in str(body)
    assert error_response(ModelFailed("b", 3.2)).headers["retry-after"] == "4"


@pytest.mark.parametrize("module", ["starlette", "prometheus_client"])
def test_an_app_without_the_extra_names_it(module: str) -> None:
    code = f"""
import sys
sys.modules[{module!r}] = None
from resift.errors import MissingExtra
try:
    from resift.serve.app import create_app
except MissingExtra as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("the server needs what is not installed: pip install") and "starlette" in done.stdout
