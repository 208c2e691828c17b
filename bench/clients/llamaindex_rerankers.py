"""LlamaIndex's rerank postprocessors."""

import os

os.environ.setdefault("NLTK_DATA", "/nonexistent")

from check import DOCUMENTS, QUERY, B, check, where
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from llama_index.postprocessor.cohere_rerank import CohereRerank
from llama_index.postprocessor.jinaai_rerank import JinaRerank
from llama_index.postprocessor.tei_rerank import TextEmbeddingInference
from llama_index.postprocessor.voyageai_rerank import VoyageAIRerank


def through(postprocessor):
    nodes = [NodeWithScore(node=TextNode(text=d), score=0.5) for d in DOCUMENTS]
    found = postprocessor.postprocess_nodes(nodes, QueryBundle(QUERY))
    return where(n.node.get_content() for n in found), [n.score for n in found]


@check("llama-index-postprocessor-cohere-rerank", "CohereRerank")
def cohere():
    return through(CohereRerank(api_key="x", base_url=B, model="m", top_n=2))


@check("llama-index-postprocessor-jinaai-rerank", "JinaRerank")
def jina():
    return through(JinaRerank(api_key="x", base_url=B + "/v1", model="m", top_n=2))


for prefix in ("", "/tei"):

    @check("llama-index-postprocessor-tei-rerank", f"TextEmbeddingInference, base_url …{prefix}")
    def tei(prefix=prefix):
        return through(TextEmbeddingInference(base_url=B + prefix, top_n=2))


@check("llama-index-postprocessor-voyageai-rerank", "VoyageAIRerank, its address patched (it has no parameter)")
def voyage():
    reranker = VoyageAIRerank(api_key="x", model="m", top_k=2)
    reranker._client._params["base_url"] = B + "/v1"
    return through(reranker)
