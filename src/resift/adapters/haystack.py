"""Haystack 3: a ranker component.

Pipelines that are loaded from YAML need `allow_deserialization_module("resift")` first.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from resift.adapters import each
from resift.errors import MissingExtra
from resift.loading import load
from resift.reranker import Reranker

try:
    from haystack import Document, component, default_from_dict, default_to_dict
except ImportError as error:
    raise MissingExtra("the Haystack adapter", "haystack") from error


@component
class ResiftRanker:
    """Puts documents in order of relevance; their scores are the model's."""

    def __init__(self, model: str | None = None, top_k: int | None = 10) -> None:
        """Name the model; it is loaded by `warm_up`, or by the first run.

        Args:
            model: a bundled name, a folder or a hub id; None takes the bundled ones by language.
            top_k: how many documents to return; all when None.

        """
        self.model, self.top_k = model, top_k
        self._reranker: Reranker | None = None

    def warm_up(self) -> None:
        """Load the model, once."""
        if self._reranker is None:
            self._reranker = load(self.model)

    @component.output_types(documents=list[Document])
    def run(self, query: str, documents: list[Document], top_k: int | None = None) -> dict[str, list[Document]]:
        """The best documents first, as copies; one that could not be scored stands last, with a score of None.

        Args:
            query: what to look for; not empty.
            documents: to put in order.
            top_k: instead of the component's own.

        """
        self.warm_up()
        assert self._reranker is not None
        documents = each(documents, Document)
        texts = [d.content or "" for d in documents]
        ranking = self._reranker.rerank(query, texts, self.top_k if top_k is None else top_k)
        ranked = [
            replace(documents[int(c.document.id)], score=None if c.score is None else c.score.value) for c in ranking
        ]
        return {"documents": ranked}

    @component.output_types(documents=list[Document])
    async def run_async(
        self, query: str, documents: list[Document], top_k: int | None = None
    ) -> dict[str, list[Document]]:
        """`run` on a thread."""
        return await asyncio.to_thread(self.run, query, documents, top_k)

    def to_dict(self) -> dict[str, Any]:
        """The settings from which `from_dict` makes the same component."""
        data: dict[str, Any] = default_to_dict(self, model=self.model, top_k=self.top_k)
        return data

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ResiftRanker:
        """Make it from `to_dict`."""
        ranker: ResiftRanker = default_from_dict(cls, data)
        return ranker
