"""Scores on the wire: 0 to 1 in the model's order, converted once, in float64; refusals in each format's own shape."""

import math
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.testclient import TestClient

import resift
from resift.engine.batching import FloatArray
from resift.errors import ModelFailed, Overloaded, ResiftError, TooLarge, UnknownModel
from resift.protocols import Role
from resift.serve.app import create_app
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
from resift.serve.dialects.response_body import on_unit_scale
from resift.serve.runtime.served_models import ServedModel
from resift.serve.service import RerankAnswer, RerankRequest, SearchRequest, ServedInfo
from resift.types import Score, ScoreKind, Scores
from tests.checkpoints import cross_encoder
from tests.serve.dialects.bodies import DOCUMENTS, QUERY

RANGES = {
    ScoreKind.LOGIT: (-30, 30),
    ScoreKind.PROBABILITY: (0, 1),
    ScoreKind.RELEVANCE: (0, 1),
    ScoreKind.COSINE: (-1, 1),
    ScoreKind.MAXSIM: (-1, 1),
    ScoreKind.MAXSIM_SUM: (-40, 40),
    ScoreKind.BM25: (0, 1e3),
    ScoreKind.FUSED: (-1e3, 1e3),
    ScoreKind.LEARNED: (-1e3, 1e3),
}


@pytest.mark.parametrize("kind", list(ScoreKind))
def test_every_kind_has_a_place(kind: ScoreKind) -> None:
    low, high = RANGES[kind]

    @given(st.floats(low, high), st.floats(low, high))
    def keeps_the_order(a: float, b: float) -> None:
        x, y = (on_unit_scale(Score(v, kind, "m")) for v in (a, b))
        assert 0 <= x <= 1 and 0 <= y <= 1
        assert (x < y) == (a < b) or abs(a - b) < 1e-6

    keeps_the_order()


def test_a_logit_is_converted_once_in_float64() -> None:
    assert on_unit_scale(Score(2.0, ScoreKind.LOGIT, "m")) == 1 / (1 + math.exp(-2.0))
    assert on_unit_scale(Score(20.0, ScoreKind.LOGIT, "m")) < 1  # in float32 it would be 1
    assert on_unit_scale(Score(0.25, ScoreKind.MAXSIM, "m")) == 0.625
    assert on_unit_scale(Score(1.0000002, ScoreKind.MAXSIM, "m")) == 1.0


def test_a_cross_encoder_gives_probabilities_and_its_logits_on_request(tmp_path: Path) -> None:
    reranker = resift.load(cross_encoder(tmp_path, "bert"), precision="f32")
    texts = ["a lamp", "bread of the north", "a ferry"]
    logits = reranker.score([("lamp", t) for t in texts]).values
    with TestClient(create_app([ServedModel.of(reranker)])) as http:
        sigmas = http.post("/score", json={"text_1": "lamp", "text_2": texts}).json()["data"]
        raw = http.post("/score", json={"text_1": "lamp", "text_2": texts, "use_activation": False}).json()["data"]
        tei_raw = http.post("/rerank", json={"query": "lamp", "texts": texts, "raw_scores": True}).json()
        ranked = http.post("/v2/rerank", json={"query": "lamp", "documents": texts}).json()["results"]
    assert [d["score"] for d in raw] == pytest.approx(logits, abs=1e-5)
    assert [d["score"] for d in sigmas] == pytest.approx([1 / (1 + math.exp(-v)) for v in logits if v is not None])
    assert {e["index"]: e["score"] for e in tei_raw} == pytest.approx(dict(enumerate(logits)), abs=1e-5)
    assert [r["index"] for r in ranked] == [e["index"] for e in tei_raw]


class Refusing:
    """A service that can't."""

    def __init__(self, error: ResiftError) -> None:
        self.error = error

    def models(self) -> Sequence[ServedInfo]:
        return [ServedInfo("m", ScoreKind.LOGIT, 512, True, "0")]

    async def rerank(self, request: RerankRequest) -> RerankAnswer:
        raise self.error

    async def search(self, request: SearchRequest) -> RerankAnswer:
        raise self.error

    async def score(self, model: str, pairs: Sequence[tuple[str, str]]) -> Scores:
        raise self.error

    async def embed(self, model: str, texts: Sequence[str], role: Role) -> FloatArray:
        raise self.error


def refused(error: ResiftError, path: str, headers: dict[str, str] | None = None) -> tuple[int, dict[str, str], object]:
    service = Refusing(error)
    dialects = (shared_paths, cohere, jina, voyage, tei, vllm, infinity, pinecone, openai, elasticsearch)
    http = TestClient(Starlette(routes=[r for d in dialects for r in d.routes(service)]))
    request = {"query": QUERY, "documents": DOCUMENTS, "texts": DOCUMENTS, "input": DOCUMENTS, "inputs": DOCUMENTS}
    request |= {"text_1": QUERY, "text_2": DOCUMENTS}
    if path == "/rerank" and headers:
        del request["texts"]
    response = http.post(path, json=request, headers=headers or {})
    return response.status_code, dict(response.headers), response.json()


PATHS = [
    "/v1/rerank", "/v2/rerank", "/rerank", "/score", "/v1/embeddings", "/embed", "/cohere/v1/rerank", "/jina/v1/rerank",
    "/voyage/v1/rerank", "/tei/rerank", "/vllm/v1/rerank", "/infinity/rerank", "/pinecone/rerank",
    "/_inference/rerank/m",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_overload_is_429_with_retry_after_everywhere(path: str) -> None:
    status, headers, body = refused(Overloaded("too much waits; come again in 2.4 s", 2.4), path)
    assert (status, headers["retry-after"]) == (429, "3")
    assert "come again" in str(body)


@pytest.mark.parametrize("path", PATHS)
def test_other_refusals_keep_their_status(path: str) -> None:
    in_tei = path in ("/rerank", "/tei/rerank", "/embed")
    assert refused(UnknownModel("no model x; there is m"), path)[0] == 404
    assert refused(TooLarge("9 documents; 8 are allowed"), path)[0] == 413
    assert refused(ModelFailed("the model failed"), path)[0] == (424 if in_tei else 503)


def test_refusals_have_the_format_s_own_words() -> None:
    error = Overloaded("full", 1)
    assert refused(error, "/tei/rerank")[2]["error_type"] == "Overloaded"
    assert refused(error, "/score")[2] == {
        "error": {"message": "full", "type": "RateLimitError", "param": None, "code": 429}
    }
    body = refused(error, "/rerank", {"X-Pinecone-Api-Version": "2026-07"})[2]
    assert body == {"error": {"code": "RESOURCE_EXHAUSTED", "message": "full"}, "status": 429}
    assert refused(error, "/_inference/rerank/m")[1]["x-elastic-product"] == "Elasticsearch"
