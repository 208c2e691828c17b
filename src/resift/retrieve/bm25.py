"""BM25 over documents in memory (bm25s), with Resift's own analysis and stable ties.

Robertson & Zaragoza, The Probabilistic Relevance Framework (2009); Lucene's variant, k1 = 1.5, b = 0.75.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from resift.errors import InputError
from resift.text.analysis import Analyzer
from resift.types import Candidate, Document, Query, Ranking, Score, ScoreKind, Signal, Step, Trace


class BM25Retriever:
    """Finds the documents that share words with a query; those that share none are no candidates."""

    name = "bm25"

    def __init__(self, documents: Sequence[Document], analyzer: Analyzer | None = None) -> None:
        self.documents = documents
        self.analyzer = analyzer or Analyzer()
        self._index = self._build([self.analyzer.words(f"{d.title} {d.text}") for d in documents])

    @staticmethod
    def _build(words: list[list[str]]) -> Any:  # noqa: ANN401 - bm25s ships no types
        if not any(words):
            return None
        import bm25s

        logging.getLogger("bm25s").setLevel(logging.WARNING)
        index = bm25s.BM25(method="lucene", k1=1.5, b=0.75)
        index.index(words, show_progress=False)
        return index

    def retrieve(self, queries: Sequence[Query], k: int) -> list[Ranking]:
        """The k best documents per query, best first; ties by the documents' order.

        Raises:
            InputError: an empty query.

        """
        import time

        rankings = []
        for query in queries:
            if not query.text.strip():
                raise InputError("the query is empty; ask with at least one word")
            began = time.perf_counter()
            candidates = self._candidates(query, k)
            step = Step(
                self.name, (time.perf_counter() - began) * 1e3, scored=len(candidates), total=len(self.documents)
            )
            rankings.append(Ranking(query, candidates, Trace((step,))))
        return rankings

    def _candidates(self, query: Query, k: int) -> tuple[Candidate, ...]:
        known = (
            [] if self._index is None else [w for w in self.analyzer.words(query.text) if w in self._index.vocab_dict]
        )
        if not known:
            return ()
        values = self._index.get_scores(known)
        found = []
        for rank, i in enumerate(_best(values, k), 1):
            score = Score(float(values[i]), ScoreKind.BM25, self.name)
            found.append(Candidate(self.documents[i], score, (Signal(self.name, rank, score),)))
        return tuple(found)


def _best(values: npt.NDArray[np.float32], k: int) -> list[int]:
    """Positions of the k largest positive values, descending, ties by position."""
    positive = np.flatnonzero(values > 0)
    if len(positive) > k:
        threshold = np.partition(values[positive], len(positive) - k)[len(positive) - k]
        positive = positive[values[positive] >= threshold]
    order = np.argsort(-values[positive], kind="stable")[:k]
    return [int(i) for i in positive[order]]
