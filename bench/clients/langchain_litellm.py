"""LangChain's rerankers, and LiteLLM's providers."""

import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import langchain_community.document_compressors.jina_rerank as jina
import litellm
from check import DOCUMENTS, QUERY, B, check, refused, where
from langchain_classic.retrievers import ContextualCompressionRetriever
from langchain_cohere import CohereRerank
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_voyageai import VoyageAIRerank


class Everything(BaseRetriever):
    def _get_relevant_documents(self, query, *, run_manager):
        return [Document(d) for d in DOCUMENTS]


def through(compressor):
    retriever = ContextualCompressionRetriever(base_compressor=compressor, base_retriever=Everything())
    found = retriever.invoke(QUERY)
    return where(d.page_content for d in found), [d.metadata["relevance_score"] for d in found]


@check("langchain-cohere", "CohereRerank in a ContextualCompressionRetriever")
def cohere():
    return through(CohereRerank(cohere_api_key="x", base_url=B, model="m", top_n=3))


@check("langchain-voyageai", "VoyageAIRerank in a ContextualCompressionRetriever")
def voyage():
    return through(VoyageAIRerank(api_key="x", base_url=B + "/v1", model="m", top_k=3))


@check("langchain-community", "JinaRerank, its address patched (it has no parameter)")
def jina_rerank():
    jina.JINA_API_URL = B + "/v1/rerank"
    return through(jina.JinaRerank(jina_api_key="x", model="m", top_n=3))


@check("langchain-community", "JinaRerank says the server's error")
def jina_error():
    jina.JINA_API_URL = B + "/v1/rerank"
    refused(lambda: jina.JinaRerank(jina_api_key="x", model="m").rerank(["a"], ""), RuntimeError)
    return jina_rerank()


def lite(model, base, **options):
    answer = litellm.rerank(model=model, query=QUERY, documents=DOCUMENTS, api_base=base, api_key="x", **options)
    return [r["index"] for r in answer.results], [r["relevance_score"] for r in answer.results]


ROUTES = [
    ("cohere/m", "", {"top_n": 3}),
    ("cohere/m", "", {"max_chunks_per_doc": 2}),
    ("jina_ai/m", "", {"top_n": 3}),
    ("voyage/m", "/voyage", {}),
    ("voyage/m", "", {"top_n": 3}),
    ("hosted_vllm/m", "", {"top_n": 3}),
    ("hosted_vllm/m", "/vllm", {}),
    ("infinity/m", "/infinity", {"top_n": 3}),
    ("infinity/m", "/infinity", {"return_documents": False}),
    ("huggingface/m", "", {"top_n": 4}),
    ("litellm_proxy/m", "", {"top_n": 3}),
]
for model, prefix, options in ROUTES:

    @check("litellm", f"{model.split('/')[0]}, api_base …{prefix} {options or ''}".strip())
    def provider(model=model, prefix=prefix, options=options):
        return lite(model, B + prefix, **options)
