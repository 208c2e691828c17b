"""/v1/embeddings, /embed, /v1/models."""

import base64

import numpy as np
import pytest
from starlette.testclient import TestClient

from resift import Reranker
from tests.serve.dialects.bodies import DOCUMENTS, QUERY


def test_openai_embeddings(http: TestClient, mini: Reranker) -> None:
    body = http.post("/v1/embeddings", json={"model": "m", "input": DOCUMENTS, "dimensions": None}).json()
    vectors = np.array([e["embedding"] for e in body["data"]], np.float32)
    np.testing.assert_allclose(vectors, mini.scorer.embed(DOCUMENTS, "document"), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert [e["index"] for e in body["data"]] == [0, 1, 2] and body["object"] == "list"
    request = {"input": DOCUMENTS[0], "encoding_format": "base64"}
    packed = http.post("/v1/embeddings", json=request).json()["data"][0]["embedding"]
    np.testing.assert_allclose(np.frombuffer(base64.b64decode(packed), "<f4"), vectors[0], atol=1e-5)


def test_tei_embeddings(http: TestClient, mini: Reranker) -> None:
    for path in ("/embed", "/tei/embed"):
        vectors = http.post(path, json={"inputs": [QUERY], "normalize": True, "prompt_name": "query"}).json()
        np.testing.assert_allclose(vectors, mini.scorer.embed([QUERY], "query"), atol=1e-5)
    assert http.post("/embed", json={"inputs": []}).status_code == 400


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"input": [1, 2]}, "token ids"), ({"input": [[1, 2]]}, "token ids"), ({"input": []}, "empty"), ({}, "missing"),
        ({"input": "a", "dimensions": 7}, "can't give 7"), ({"input": [None]}, "document 0 is null"),
    ],
)  # fmt: skip
def test_what_can_t_be_embedded(http: TestClient, wrong: dict[str, object], message: str) -> None:
    response = http.post("/v1/embeddings", json=wrong)
    assert response.status_code == 400
    assert message in response.json()["error"]["message"]


@pytest.mark.parametrize("blank", ["", "  \n"], ids=repr)
def test_a_text_without_a_vector_is_refused(http: TestClient, blank: str) -> None:
    openai = http.post("/v1/embeddings", json={"input": ["a lamp", blank]})
    assert openai.status_code == 400
    assert openai.json()["error"]["message"].startswith("text 1 is empty or only whitespace")
    assert http.post("/v1/embeddings", json={"input": blank}).status_code == 400
    tei = http.post("/embed", json={"inputs": ["a lamp", blank]})
    assert (
        tei.status_code == 422 and tei.json()["error_type"] == "Validation" and "text 1 is empty" in tei.json()["error"]
    )


def test_a_vector_of_zeros_is_refused(http: TestClient, mini: Reranker, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = np.zeros((1, mini.scorer.dims), np.float32)
    monkeypatch.setattr(type(mini.scorer), "embed", lambda self, texts, role: nothing.repeat(len(texts), 0))
    refused = http.post("/v1/embeddings", json={"input": ["unheard of"]})
    assert refused.status_code == 400 and "no token that the model knows" in refused.json()["error"]["message"]


def test_models(http: TestClient) -> None:
    body = http.get("/v1/models").json()
    assert [(m["id"], m["object"], m["embeds"]) for m in body["data"]] == [("resift-mini-en", "model", True)]
