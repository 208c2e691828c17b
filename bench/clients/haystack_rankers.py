"""Haystack 3's rankers."""

import os

os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"

from check import DOCUMENTS, QUERY, B, check, where
from haystack import Document
from haystack.utils import Secret
from haystack_integrations.components.rankers.cohere import CohereRanker
from haystack_integrations.components.rankers.huggingface_api import HuggingFaceTEIRanker
from haystack_integrations.components.rankers.jina import JinaRanker


def through(ranker):
    found = ranker.run(query=QUERY, documents=[Document(content=d) for d in DOCUMENTS])["documents"]
    return where(d.content for d in found), [d.score for d in found]


@check("cohere-haystack", "CohereRanker")
def cohere():
    return through(CohereRanker(model="m", api_key=Secret.from_token("x"), api_base_url=B, top_k=3))


@check("huggingface-api-haystack", "HuggingFaceTEIRanker")
def tei():
    return through(HuggingFaceTEIRanker(url=B, top_k=3))


@check("jina-haystack", "JinaRanker")
def jina():
    return through(JinaRanker(api_key=Secret.from_token("x"), base_url=B + "/v1/rerank", model="m", top_k=3))
