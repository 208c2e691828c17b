"""Pinecone's, Elasticsearch's and OpenAI's clients, and rerankers."""

from check import DOCUMENTS, QUERY, B, check
from elasticsearch import Elasticsearch
from openai import OpenAI
from pinecone import Pinecone
from rerankers import Reranker


@check("pinecone", "inference.rerank")
def pinecone():
    answer = Pinecone(api_key="x", host=B).inference.rerank(model="m", query=QUERY, documents=DOCUMENTS, top_n=2)
    assert [r.document["text"] for r in answer.data] == [DOCUMENTS[r.index] for r in answer.data]
    return [r.index for r in answer.data], [r.score for r in answer.data]


@check("elasticsearch", "inference.rerank (no Elasticsearch server between)")
def elasticsearch():
    found = Elasticsearch(B).inference.rerank(inference_id="m", query=QUERY, input=DOCUMENTS)["rerank"]
    return [r["index"] for r in found], [r["relevance_score"] for r in found]


URLS = {
    "cohere": "/v1/rerank",
    "jina": "/v1/rerank",
    "voyage": "/v1/rerank",
    "pinecone": "/rerank",
    "text-embeddings-inference": "/rerank",
}
for provider, path in URLS.items():

    @check("rerankers", f"APIRanker, api_provider {provider}")
    def api_ranker(provider=provider, path=path):
        ranker = Reranker("m", model_type="APIRanker", api_provider=provider, api_key="x", url=B + path)
        found = ranker.rank(QUERY, DOCUMENTS).results
        assert [r.document.text for r in found] == [DOCUMENTS[r.doc_id] for r in found]
        return [r.doc_id for r in found], [r.score for r in found]


@check("openai", "embeddings.create and models.list")
def openai():
    client = OpenAI(api_key="x", base_url=B + "/v1")
    name = client.models.list().data[0].id
    vectors = [e.embedding for e in client.embeddings.create(model=name, input=[QUERY, *DOCUMENTS]).data]
    likeness = [sum(a * b for a, b in zip(vectors[0], v, strict=True)) for v in vectors[1:]]
    assert max(range(len(DOCUMENTS)), key=likeness.__getitem__) == 1
    return [1], []
