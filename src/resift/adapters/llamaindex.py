"""LlamaIndex: a node postprocessor."""

from __future__ import annotations

from resift.adapters import Reranks, each
from resift.errors import InputError, MissingExtra

try:
    from llama_index.core.bridge.pydantic import Field, PrivateAttr
    from llama_index.core.instrumentation import get_dispatcher
    from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
    from llama_index.core.postprocessor.types import BaseNodePostprocessor
    from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle
except ImportError as error:
    raise MissingExtra("the LlamaIndex adapter", "llamaindex") from error

_dispatcher = get_dispatcher(__name__)


class ResiftRerank(BaseNodePostprocessor):
    """Puts nodes in order of relevance; their scores are the model's.

    Attributes:
        top_n: how many to return; all when None.

    """

    top_n: int | None = Field(default=None, description="How many nodes to return; all when None.")
    _reranker: Reranks = PrivateAttr()

    def __init__(self, reranker: Reranks, top_n: int | None = None) -> None:
        super().__init__(top_n=top_n)
        self._reranker = reranker

    @classmethod
    def class_name(cls) -> str:
        """The name by which LlamaIndex stores it."""
        return "ResiftRerank"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        """The best nodes first; one that could not be scored stands last, with a score of None."""
        if query_bundle is None:
            raise InputError("reranking needs the query; pass query_bundle or query_str")
        nodes = each(nodes, NodeWithScore)
        count = len(nodes) if self.top_n is None else self.top_n
        name = type(self._reranker).__name__
        _dispatcher.event(ReRankStartEvent(query=query_bundle, nodes=nodes, top_n=count, model_name=name))
        texts = [n.node.get_content(metadata_mode=MetadataMode.EMBED) for n in nodes]
        ranking = self._reranker.rerank(query_bundle.query_str, texts, self.top_n)
        ranked = [
            NodeWithScore(node=nodes[int(c.document.id)].node, score=None if c.score is None else c.score.value)
            for c in ranking
        ]
        _dispatcher.event(ReRankEndEvent(nodes=ranked))
        return ranked
