"""Requests and responses of every dialect, word for word: tests/data/dialects."""

import json
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.serve.dialects.bodies import DOCUMENTS, QUERY

FOLDER = Path(__file__).parents[2] / "data" / "dialects"
GOLDEN = [(path.stem, case) for path in sorted(FOLDER.glob("*.json")) for case in json.loads(path.read_text("utf-8"))]
NEW_EACH_TIME = {"id", "created"}


def close(actual: Any, expected: Any) -> Any:
    """What was found, with numbers that are near enough replaced by those wanted, so that == tells the rest."""
    if isinstance(actual, float) and isinstance(expected, float):
        return expected if abs(actual - expected) < 1e-4 else actual
    if isinstance(actual, dict) and isinstance(expected, dict):
        return {k: close(v, expected.get(k)) for k, v in actual.items()}
    if isinstance(actual, list) and isinstance(expected, list) and len(actual) == len(expected):
        return [close(f, w) for f, w in zip(actual, expected, strict=True)]
    return actual


@pytest.mark.parametrize(("dialect", "case"), GOLDEN, ids=[f"{d}: {c['case']}" for d, c in GOLDEN])
def test_golden_bodies(http: TestClient, dialect: str, case: dict[str, Any]) -> None:
    response = http.post(case["path"], json=case["request"], headers=case["headers"])
    body = response.json()
    if isinstance(body, dict):
        assert all(body[k] for k in NEW_EACH_TIME & set(body))
        body |= {k: "*" for k in NEW_EACH_TIME & set(body)}
    assert response.status_code == case["status"]
    assert close(body, case["response"]) == case["response"]


RERANKS = [
    ("/v1/rerank", "documents"), ("/v2/rerank", "documents"), ("/rerank", "documents"), ("/rerank", "texts"),
    ("/cohere/v1/rerank", "documents"), ("/cohere/v2/rerank", "documents"), ("/jina/v1/rerank", "documents"),
    ("/voyage/v1/rerank", "documents"), ("/vllm/rerank", "documents"), ("/infinity/rerank", "documents"),
    ("/pinecone/rerank", "documents"), ("/tei/rerank", "texts"), ("/_inference/rerank/m", "input"),
]  # fmt: skip
OPTIONAL = [
    "top_n", "top_k", "return_documents", "return_text", "raw_scores", "truncation", "truncate", "max_tokens_per_doc",
    "max_chunks_per_doc", "rank_fields", "relevant_spans", "use_activation", "model", "parameters", "return_len",
]  # fmt: skip


def entries(body: Any) -> list[dict[str, Any]]:
    if isinstance(body, dict):
        body = next(body[k] for k in ("results", "data", "rerank") if k in body)
    return [dict(e) for e in body]


def score_of(entry: dict[str, Any]) -> float:
    return float(next(entry[k] for k in ("relevance_score", "score") if k in entry))


@pytest.mark.parametrize(("path", "name"), RERANKS)
def test_null_is_absence_and_unknown_fields_are_let_be(http: TestClient, path: str, name: str) -> None:
    plain = http.post(path, json={"query": QUERY, name: DOCUMENTS, "raw_scores": None} | dict.fromkeys(OPTIONAL))
    odd = http.post(path, json={"query": QUERY, name: DOCUMENTS, "priority": 3, "no_such_field": {"a": [1]}})
    assert (plain.status_code, odd.status_code) == (200, 200)
    assert [e["index"] for e in entries(plain.json())] == [e["index"] for e in entries(odd.json())] == [1, 2, 0]


@pytest.mark.parametrize(("path", "name"), RERANKS)
def test_scores_fall_from_one_to_zero_in_the_order_of_the_model(http: TestClient, path: str, name: str) -> None:
    results = entries(http.post(path, json={"query": QUERY, name: DOCUMENTS}).json())
    values = [score_of(e) for e in results]
    assert values == sorted(values, reverse=True)
    assert all(0 <= v <= 1 for v in values)
    ours = http.post("/api/rerank", json={"query": QUERY, "documents": DOCUMENTS}).json()["results"]
    assert [e["index"] for e in results] == [e["index"] for e in ours]
    assert values == pytest.approx([(1 + e["score"]["value"]) / 2 for e in ours], abs=1e-6)


@pytest.mark.parametrize(("path", "name"), RERANKS)
@pytest.mark.parametrize("one", ["Oslo is the capital.", {"text": "Oslo"}, 3], ids=["text", "object", "number"])
def test_one_document_is_no_list(http: TestClient, path: str, name: str, one: Any) -> None:
    refused = http.post(path, json={"query": QUERY, name: one})
    if name == "input" and isinstance(one, str):  # Elasticsearch's own rule
        assert [e["index"] for e in entries(refused.json())] == [0]
        return
    assert refused.status_code in (400, 422)
    assert f"{name} must be a list; it is" in refused.text


@pytest.mark.parametrize(("path", "name"), RERANKS)
def test_booleans_and_numbers_may_be_strings(http: TestClient, path: str, name: str) -> None:
    request = {"query": QUERY, name: DOCUMENTS, "return_documents": "true", "return_text": "true", "top_n": "2"}
    results = entries(http.post(path, json=request).json())
    assert len(results) == (3 if name == "texts" else 2)
    text = results[0].get("document", results[0].get("text"))
    assert DOCUMENTS[1] in (text, text.get("text") if isinstance(text, dict) else None)


@pytest.mark.parametrize(("path", "name"), [r for r in RERANKS if r[1] != "texts"])
@pytest.mark.parametrize(("top_n", "many"), [(1, 1), (3, 3), (8, 3)])
def test_top_n_is_clamped(http: TestClient, path: str, name: str, top_n: int, many: int) -> None:
    assert len(entries(http.post(path, json={"query": QUERY, name: DOCUMENTS, "top_n": top_n}).json())) == many


@pytest.mark.parametrize(("path", "name"), RERANKS)
@pytest.mark.parametrize("body", [b"", b"[1]", b"{", b'"a"', b"\xff", b"[" * 100_000, b'{"query": NaN}'])
def test_bodies_that_are_no_request_are_refused(http: TestClient, path: str, name: str, body: bytes) -> None:
    assert http.post(path, content=body).status_code in (400, 422)


WRONG = [
    {"query": 3}, {"query": "  "}, {"top_n": "many"}, {"top_n": -1}, {"top_n": 1.5}, {"top_n": "--3"},
    {"documents": None, "texts": None, "input": None}, {"documents": [None], "texts": [None], "input": [None]},
]  # fmt: skip


@pytest.mark.parametrize(("path", "name"), RERANKS)
@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_refusals_can_be_read(http: TestClient, path: str, name: str, wrong: dict[str, Any]) -> None:
    request = {"query": QUERY, name: DOCUMENTS} | {k: v for k, v in wrong.items() if k in ("query", "top_n", name)}
    response = http.post(path, json=request)
    if name == "texts" and "top_n" in wrong:
        assert response.status_code == 200  # TEI has no such field
        return
    body = response.json()
    assert response.status_code in (400, 422)
    if isinstance(body["error"], str):
        assert all(isinstance(body[k], str) and body[k] for k in ("message", "detail", "error", "error_type"))
    else:
        assert isinstance(body["error"].get("message", body["error"].get("reason")), str)


def test_a_number_beyond_all_floats_is_no_error_of_the_server(http: TestClient) -> None:
    huge = 10**400
    answer = http.post("/v2/rerank", json={"query": QUERY, "documents": DOCUMENTS, "top_n": huge})
    assert (answer.status_code, len(answer.json()["results"])) == (200, 3)
    spans = {"mode": "enabled", "threshold": huge}
    refused = http.post("/v2/rerank", json={"query": QUERY, "documents": DOCUMENTS, "relevant_spans": spans})
    assert (refused.status_code, refused.json()["message"]) == (400, "threshold is too large")


def test_an_empty_document_stands_last_and_is_named(http: TestClient) -> None:
    response = http.post("/v2/rerank", json={"query": QUERY, "documents": ["", *DOCUMENTS]})
    body = response.json()
    assert body["results"][-1] == {"index": 0, "relevance_score": 0.0}
    assert body["meta"]["warnings"] == ["not scored, and therefore last with 0.0: documents 0"]
    assert response.headers["x-resift-scored"] == "3/4"


def test_nothing_to_score_is_not_a_reranking(http: TestClient) -> None:
    response = http.post("/v1/rerank", json={"query": QUERY, "documents": ["", " "]})
    assert response.headers["x-resift-reranked"] == "false"
    assert [r["index"] for r in response.json()["results"]] == [0, 1]


def test_a_raw_score_is_not_made_up(http: TestClient) -> None:
    response = http.post("/rerank", json={"query": QUERY, "texts": ["", "a"], "raw_scores": True})
    assert (response.status_code, response.json()["error_type"]) == (422, "Validation")
    assert "document 0 has no raw score" in response.json()["error"]


def test_lone_surrogates_come_back_as_valid_json(http: TestClient) -> None:
    body = '{"query": "caf\\ud800", "documents": ["a \\udfff b"], "return_documents": true}'
    response = http.post("/v1/rerank", content=body)
    assert response.json()["results"][0]["document"] == {"text": "a \ufffd b"}


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999", "-1e999"])
def test_numbers_that_json_can_t_hold_are_not_sent_back(http: TestClient, number: str) -> None:
    body = f'{{"query": "a", "documents": [{{"text": "a", "n": {number}}}], "return_documents": true}}'
    assert http.post("/v1/rerank", content=body).status_code == 400


def test_long_documents_are_read_whole_unless_a_limit_is_given(http: TestClient) -> None:
    long = " ".join(["filler words about nothing"] * 300) + " " + DOCUMENTS[1]
    request = {"query": QUERY, "documents": [long, DOCUMENTS[0]], "truncation": False}
    whole = http.post("/v2/rerank", json=request | {"relevant_spans": {"mode": "enabled"}}).json()["results"]
    first = whole[0]
    assert first["index"] == 0
    span = first["relevant_spans"][0]
    assert "Eiffel Tower" in long[span["start"] : span["end"]]
    cut = http.post("/v2/rerank", json=request | {"max_tokens_per_doc": 50})
    body = cut.json()
    assert body["results"][0]["index"] == 1 or body["results"][0]["relevance_score"] < first["relevance_score"]
    assert body["meta"]["warnings"] == ["truncated: documents 0"]
    assert cut.headers["x-resift-truncated"] == "1"


def test_spans_count_code_points(http: TestClient) -> None:
    text = "\U0001f5fc\U0001f5fc " + DOCUMENTS[1]
    request = {"query": QUERY, "documents": [text], "relevant_spans": {"mode": "enabled"}}
    span = http.post("/v2/rerank", json=request).json()["results"][0]["relevant_spans"][0]
    assert text[span["start"] : span["end"]].endswith("Paris, France.")


def test_tei_entries_have_no_other_field(http: TestClient) -> None:
    for request in ({}, {"return_text": True}):
        results = http.post("/rerank", json={"query": QUERY, "texts": DOCUMENTS, "top_n": 1} | request).json()
        assert [set(e) for e in results] == [{"index", "score"} | ({"text"} if request else set())] * 3


def test_the_root_never_says_that_it_is_a_list(http: TestClient) -> None:
    for request in ({}, {"top_k": 1}, {"truncation": True}, {"return_documents": False}):
        body = http.post("/rerank", json={"query": QUERY, "documents": DOCUMENTS} | request).json()
        assert "object" not in body
        assert {"model", "usage", "id", "results", "meta"} == set(body)
    assert "data" not in http.post("/v1/rerank", json={"query": QUERY, "documents": DOCUMENTS}).json()


def test_info_satisfies_dify(http: TestClient) -> None:
    for path in ("/info", "/tei/info"):
        info = http.get(path).json()
        assert next(iter(info["model_type"])) == "reranker"
        assert info["max_input_length"] == 512
        assert info["max_client_batch_size"] >= 32


@pytest.mark.parametrize("path", ["/health", "/ping", "/tei/health", "/tei/ping"])
def test_it_is_alive(http: TestClient, path: str) -> None:
    assert http.get(path).status_code == 200
