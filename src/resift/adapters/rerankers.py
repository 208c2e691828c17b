"""rerankers: a ranker like those that `rerankers.Reranker(…)` gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from resift.adapters import Reranks
from resift.errors import InputError, MissingExtra
from resift.loading import load

try:
    from rerankers.documents import Document
    from rerankers.models.ranker import BaseRanker
    from rerankers.results import RankedResults, Result
    from rerankers.utils import prep_docs
except ImportError as error:
    raise MissingExtra("the rerankers adapter", "rerankers") from error


class ResiftRanker(BaseRanker):
    """Puts documents in order of relevance; their scores are the model's."""

    def __init__(self, model_name_or_path: str | Reranks | None = None, verbose: int = 0) -> None:
        """Load a model (None: the bundled ones, by language), or take one that is loaded; `verbose` has no effect."""
        if model_name_or_path is None or isinstance(model_name_or_path, str):
            self._reranker: Reranks = load(model_name_or_path)
        else:
            self._reranker = model_name_or_path

    def score(self, query: str, doc: str) -> float:
        """The score of one document.

        Raises:
            InputError: an empty query or document.

        """
        score = self._reranker.rerank(query, [doc])[0].score
        if score is None:
            raise InputError("the document has no text that could be scored")
        return score.value

    def rank(
        self,
        query: str,
        docs: str | Document | Sequence[str] | Sequence[Document],
        doc_ids: list[str] | list[int] | None = None,
        metadata: list[dict[str, Any]] | None = None,
    ) -> RankedResults:
        """The best documents first, ranks from 1; one that could not be scored stands last, with a score of None.

        Args:
            query: what to look for; not empty.
            docs: a text, a rerankers Document, or a list of either.
            doc_ids: positions from 0 when None.
            metadata: of each document.

        """
        documents = prep_docs(docs, doc_ids, metadata)
        ranking = self._reranker.rerank(query, [d.text for d in documents])
        results = [
            Result(documents[int(c.document.id)], None if c.score is None else c.score.value, c.rank) for c in ranking
        ]
        return RankedResults(results, query, has_scores=True)
