"""LangChain: a document compressor, for ContextualCompressionRetriever and everything else that takes one."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from resift.adapters import each
from resift.errors import MissingExtra

try:
    from langchain_core.callbacks import Callbacks
    from langchain_core.documents import BaseDocumentCompressor, Document
    from pydantic import ConfigDict
except ImportError as error:
    raise MissingExtra("the LangChain adapter", "langchain") from error

_NAMES = ("relevance_score", "relevance_kind")


class ResiftRerank(BaseDocumentCompressor):
    """Puts documents in order of relevance, with `relevance_score` and `relevance_kind` in their metadata.

    Attributes:
        reranker: a loaded model or a client; see `Reranks`.
        top_n: how many to return; all when None.

    """

    model_config = ConfigDict(arbitrary_types_allowed=True)
    reranker: Any
    top_n: int | None = 3

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        """The best documents first, as copies; one that could not be scored stands last, without a score.

        Scores that an earlier compressor wrote under the same names are removed: they are of another model.
        """
        originals = each(documents, Document)
        ranking = self.reranker.rerank(query, [d.page_content for d in originals], self.top_n)
        compressed = []
        for c in ranking:
            document = originals[int(c.document.id)]
            metadata = {k: v for k, v in deepcopy(document.metadata).items() if k not in _NAMES}
            score = {"relevance_score": c.score.value, "relevance_kind": c.score.kind.value} if c.score else {}
            compressed.append(document.model_copy(update={"metadata": metadata | score}))
        return compressed
