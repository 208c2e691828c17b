"""cohere 5, 6 and 7: v1, v2, asynchronous, errors, and an overload that its own retry survives."""

import asyncio

import cohere
from check import DOCUMENTS, QUERY, B, check, refused


def pair(results):
    return [r.index for r in results], [r.relevance_score for r in results]


@check("cohere", "ClientV2.rerank")
def v2():
    return pair(
        cohere.ClientV2(api_key="x", base_url=B).rerank(model="m", query=QUERY, documents=DOCUMENTS, top_n=3).results
    )


@check("cohere", "ClientV2.rerank, prefix /cohere, max_tokens_per_doc")
def v2_prefix():
    client = cohere.ClientV2(api_key="x", base_url=B + "/cohere/")
    answer = client.rerank(model="m", query=QUERY, documents=DOCUMENTS, max_tokens_per_doc=100)
    assert answer.meta.api_version.version == "2" and answer.meta.billed_units.search_units == 1
    return pair(answer.results)


@check("cohere", "AsyncClientV2.rerank")
def v2_async():
    async def call():
        client = cohere.AsyncClientV2(api_key="x", base_url=B)
        return await client.rerank(model="m", query=QUERY, documents=DOCUMENTS)

    return pair(asyncio.run(call()).results)


@check("cohere", "Client.rerank (v1) with objects, rank_fields, return_documents")
def v1():
    documents = [{"text": d, "n": str(i)} for i, d in enumerate(DOCUMENTS)]
    client = cohere.Client(api_key="x", base_url=B)
    results = client.rerank(query=QUERY, documents=documents, rank_fields=["text"], return_documents=True).results
    assert [r.document.text for r in results] == [DOCUMENTS[r.index] for r in results]
    return pair(results)


@check("cohere", "Client.rerank (v1) as RAGFlow and Dify call it")
def v1_plain():
    client = cohere.Client(api_key="x", base_url=B)
    return pair(client.rerank(model="m", query=QUERY, documents=DOCUMENTS, top_n=4, return_documents=False).results)


@check("cohere", "BadRequestError when there are no documents")
def empty():
    client = cohere.ClientV2(api_key="x", base_url=B)
    refused(lambda: client.rerank(model="m", query=QUERY, documents=[]), cohere.BadRequestError)
    return v2()


if int(cohere.__version__.split(".")[0]) >= 7:

    @check("cohere", "relevant_spans")
    def spans():
        client = cohere.ClientV2(api_key="x", base_url=B)
        answer = client.rerank(model="m", query=QUERY, documents=DOCUMENTS, relevant_spans={"mode": "enabled"})
        span = answer.results[0].relevant_spans[0]
        assert "Eiffel Tower" in DOCUMENTS[1][span.start : span.end]
        return pair(answer.results)
