"""LangChain's InfinityRerank over infinity's own client."""

import infinity_client
from check import DOCUMENTS, QUERY, B, check, where
from langchain_classic.retrievers import ContextualCompressionRetriever
from langchain_community.document_compressors import InfinityRerank
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever


class Everything(BaseRetriever):
    def _get_relevant_documents(self, query, *, run_manager):
        return [Document(d) for d in DOCUMENTS]


for prefix in ("", "/infinity"):

    @check("infinity_client", f"LangChain's InfinityRerank, base_url …{prefix}")
    def infinity(prefix=prefix):
        compressor = InfinityRerank(client=infinity_client.Client(base_url=B + prefix), model="m", top_n=3)
        retriever = ContextualCompressionRetriever(base_compressor=compressor, base_retriever=Everything())
        found = retriever.invoke(QUERY)
        return where(d.page_content for d in found), [d.metadata["relevance_score"] for d in found]
