"""BM25 over documents (bm25s), with Resift's own analysis, stable ties, and terms that can be kept on disk.

Robertson & Zaragoza, The Probabilistic Relevance Framework (2009); Lucene's variant, k1 = 1.5, b = 0.75.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from resift.errors import InputError
from resift.retrieve.select import best
from resift.text.analysis import Analyzer, sample
from resift.types import Candidate, Document, Query, Ranking, Score, ScoreKind, Signal, Step, Trace

K1, B = 1.5, 0.75


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms of n documents as numbers: ids (T,) u32 in reading order, offsets (n + 1,), and what each id means."""

    ids: npt.NDArray[np.uint32]
    offsets: npt.NDArray[np.int64]
    vocabulary: dict[str, int]

    @classmethod
    def read(cls, analyzer: Analyzer, documents: Iterable[Document], known: dict[str, int] | None = None) -> Terms:
        """Analyse documents; terms of `known` keep their ids, new ones get the next and are added to it."""
        vocabulary = {} if known is None else known
        parts, lengths = [np.zeros(0, np.uint32)], [0]
        for d in documents:
            own = [vocabulary.setdefault(w, len(vocabulary)) for w in analyzer.words(f"{d.title} {d.text}")]
            parts.append(np.array(own, dtype=np.uint32))
            lengths.append(len(own))
        return cls(np.concatenate(parts), np.cumsum(lengths, dtype=np.int64), vocabulary)


def build_matrix(terms: Terms) -> Any:  # noqa: ANN401 - bm25s ships no types
    """A bm25s index of the terms; None where there are none.

    Filled here by sorting instead of document by document, which takes bm25s many times as long; the values are equal.
    """
    if not len(terms.ids):
        return None
    import bm25s

    logging.getLogger("bm25s").setLevel(logging.WARNING)
    documents = len(terms.offsets) - 1
    lengths = np.diff(terms.offsets)
    owner = np.repeat(np.arange(documents, dtype=np.int64), lengths)
    pairs, counts = np.unique(terms.ids.astype(np.int64) * documents + owner, return_counts=True)
    term, document = pairs // documents, pairs % documents
    containing = np.bincount(term, minlength=len(terms.vocabulary))
    idf = np.log(1 + (documents - containing + 0.5) / (containing + 0.5))
    norm = K1 * (1 - B + B * lengths / lengths.mean())
    index = bm25s.BM25(method="lucene", k1=K1, b=B)
    index.scores = {
        "data": (idf[term] * counts / (counts + norm[document])).astype(np.float32),
        "indices": document.astype(np.int32),
        "indptr": np.concatenate([[0], np.cumsum(containing)]).astype(np.int64),
        "num_docs": documents,
    }
    index.nonoccurrence_array = None
    index.vocab_dict = terms.vocabulary
    index.unique_token_ids_set = set(terms.vocabulary.values())
    return index


class BM25Retriever:
    """Finds the documents that share words with a query; those that share none are no candidates.

    `index` is a matrix made before by `build_matrix` of the same documents; it is made here when None.
    """

    name = "bm25"

    def __init__(self, documents: Sequence[Document], analyzer: Analyzer | None = None, index: Any = None) -> None:  # noqa: ANN401
        self.documents = documents
        self.analyzer = analyzer or Analyzer.fitting(
            f"{documents[i].title} {documents[i].text}" for i in sample(len(documents))
        )
        self._index = index or build_matrix(Terms.read(self.analyzer, documents))

    def retrieve(self, queries: Sequence[Query], k: int) -> list[Ranking]:
        """The k best documents per query, best first; ties by the documents' order.

        Raises:
            InputError: an empty query.

        """
        rankings = []
        for query in queries:
            if not query.text.strip():
                raise InputError("the query is empty; ask with at least one word")
            began = time.perf_counter()
            candidates = self._candidates(query, k)
            ms = (time.perf_counter() - began) * 1e3
            step = Step(self.name, ms, scored=len(candidates), total=len(self.documents))
            rankings.append(Ranking(query, candidates, Trace((step,))))
        return rankings

    def _candidates(self, query: Query, k: int) -> tuple[Candidate, ...]:
        vocabulary = {} if self._index is None else self._index.vocab_dict
        known = [vocabulary[w] for w in self.analyzer.words(query.text) if w in vocabulary]
        if not known:
            return ()
        values = self._index.get_scores_from_ids(known)
        found = []
        positive = np.flatnonzero(values > 0)
        for rank, i in enumerate(positive[best(values[positive], k)], 1):
            score = Score(float(values[i]), ScoreKind.BM25, self.name)
            found.append(Candidate(self.documents[int(i)], score, (Signal(self.name, rank, score),)))
        return tuple(found)
