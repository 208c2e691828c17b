"""Clients that no one here wrote, unmodified, on a real port; `make test-clients` runs many more of them."""

import asyncio
from collections.abc import Iterator

import cohere
import httpx
import pytest
import voyageai
import voyageai.error

from resift import Reranker
from tests.serve.dialects.bodies import DOCUMENTS, QUERY


@pytest.fixture(scope="module")
def expected(mini: Reranker) -> list[tuple[int, float]]:
    return [(int(c.document.id), (1 + float(c.score or 0)) / 2) for c in mini.rerank(QUERY, DOCUMENTS)]


@pytest.fixture
def web() -> Iterator[httpx.Client]:
    with httpx.Client() as client:
        yield client


def same(results: list[tuple[int, float]], expected: list[tuple[int, float]]) -> bool:
    return [i for i, _ in results] == [i for i, _ in expected[: len(results)]] and all(
        abs(a - b) < 1e-5 for (_, a), (_, b) in zip(results, expected, strict=False)
    )


@pytest.mark.parametrize("prefix", ["", "/cohere"])
def test_cohere(live: str, web: httpx.Client, expected: list[tuple[int, float]], prefix: str) -> None:
    two = cohere.ClientV2(api_key="x", base_url=live + prefix, httpx_client=web)
    results = two.rerank(model="m", query=QUERY, documents=DOCUMENTS, top_n=2).results
    assert same([(r.index, r.relevance_score) for r in results], expected) and len(results) == 2
    one = cohere.Client(api_key="x", base_url=live + prefix, httpx_client=web)
    texts = [{"text": d} for d in DOCUMENTS]
    results = one.rerank(query=QUERY, documents=texts, rank_fields=["text"], return_documents=True).results
    assert same([(r.index, r.relevance_score) for r in results], expected) and len(results) == 3
    assert results[0].document is not None and results[0].document.text == DOCUMENTS[1]


def test_cohere_knows_the_errors(live: str, web: httpx.Client) -> None:
    client = cohere.ClientV2(api_key="x", base_url=live, httpx_client=web)
    with pytest.raises(cohere.BadRequestError, match="list of documents must not be empty"):
        client.rerank(model="m", query=QUERY, documents=[])


@pytest.mark.parametrize("base", ["/v1", "/voyage/v1"])
def test_voyage(live: str, expected: list[tuple[int, float]], base: str) -> None:
    answer = voyageai.Client(api_key="x", base_url=live + base).rerank(QUERY, DOCUMENTS, model="m", top_k=2)
    assert same([(r.index, r.relevance_score) for r in answer.results], expected) and len(answer.results) == 2
    assert answer.total_tokens > 0


def test_voyage_knows_the_errors(live: str) -> None:
    with pytest.raises(voyageai.error.InvalidRequestError, match="list of documents must not be empty"):
        voyageai.Client(api_key="x", base_url=live + "/v1").rerank(QUERY, [], model="m")


def test_cohere_asynchronously(live: str, expected: list[tuple[int, float]]) -> None:
    async def call() -> list[tuple[int, float]]:
        async with httpx.AsyncClient() as web:
            client = cohere.AsyncClientV2(api_key="x", base_url=live, httpx_client=web)
            answer = await client.rerank(model="m", query=QUERY, documents=DOCUMENTS)
            return [(r.index, r.relevance_score) for r in answer.results]

    assert same(asyncio.run(call()), expected)
