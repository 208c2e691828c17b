"""voyageai 0.3 and 0.5."""

import asyncio

import voyageai
import voyageai.error
from check import DOCUMENTS, QUERY, B, check, refused


def pair(results):
    assert [r.document for r in results] == [DOCUMENTS[r.index] for r in results]
    return [r.index for r in results], [r.relevance_score for r in results]


for prefix in ("/v1", "/voyage/v1"):

    @check("voyageai", f"Client.rerank, base_url …{prefix}")
    def rerank(prefix=prefix):
        answer = voyageai.Client(api_key="x", base_url=B + prefix).rerank(QUERY, DOCUMENTS, model="m", top_k=3)
        assert answer.total_tokens > 0
        return pair(answer.results)


@check("voyageai", "Client.rerank without top_k, without truncation")
def whole():
    client = voyageai.Client(api_key="x", base_url=B + "/v1")
    return pair(client.rerank(QUERY, DOCUMENTS, model="m", truncation=False).results)


@check("voyageai", "AsyncClient.rerank")
def asynchronous():
    async def call():
        return await voyageai.AsyncClient(api_key="x", base_url=B + "/v1").rerank(QUERY, DOCUMENTS, model="m")

    return pair(asyncio.run(call()).results)


@check("voyageai", "InvalidRequestError when there are no documents")
def empty():
    client = voyageai.Client(api_key="x", base_url=B + "/v1")
    refused(lambda: client.rerank(QUERY, [], model="m"), voyageai.error.InvalidRequestError)
    return whole()
