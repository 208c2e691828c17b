"""BM25 over documents (bm25s), with Resift's own analysis, stable ties, and terms that can be kept on disk.

Robertson & Zaragoza, The Probabilistic Relevance Framework (2009); Lucene's variant, k1 = 1.5, b = 0.75.
"""

from __future__ import annotations

import logging
import time
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from resift.errors import InputError
from resift.retrieve.candidates import candidates_of, ranking_of
from resift.retrieve.topk import best
from resift.text.analysis import Analyzer, sample
from resift.types import Candidate, Document, Query, Ranking, ScoreKind

K1, B = 1.5, 0.75
_AT_ONCE = 1 << 22  # terms that are sorted together


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms of n documents as numbers: ids (T,) u32 in reading order, offsets (n + 1,), and what each id means."""

    ids: npt.NDArray[np.uint32]
    offsets: npt.NDArray[np.int64]
    vocabulary: dict[str, int]

    @classmethod
    def read(cls, analyzer: Analyzer, documents: Iterable[Document], vocabulary: dict[str, int] | None = None) -> Terms:
        """Analyse documents; terms of `vocabulary` keep their ids, and new terms are added to it with the next ids."""
        vocabulary = {} if vocabulary is None else vocabulary
        ids, ends = array("I"), [0]
        for d in documents:
            ids.extend(vocabulary.setdefault(w, len(vocabulary)) for w in analyzer.words(_searched(d)))
            ends.append(len(ids))
        return cls(np.array(ids, dtype=np.uint32), np.array(ends, dtype=np.int64), vocabulary)


def _searched(d: Document) -> str:
    """The text that is searched: title and text, and the id that stands in a file's record, such as a part number."""
    path = d.metadata.get("path")
    record_id = f"{d.id} " if isinstance(path, str) and not d.id.startswith(path) else ""
    return f"{record_id}{d.title} {d.text}"


class Postings(NamedTuple):
    """The postings of a range of terms, term by term: values (P,) f32, documents (P,) i32, and their number per term.

    `occurrences` is the number of words in the texts that belong to these terms.
    """

    values: npt.NDArray[np.float32]
    documents: npt.NDArray[np.int32]
    counts: npt.NDArray[np.int64]
    occurrences: int


def postings(terms: Terms, k1: float = K1, b: float = B) -> Iterator[Postings]:
    """BM25's matrix in parts that together hold every term: term by term, documents ascending.

    Sorting gives the same values as bm25s, which goes document by document and takes many times as long. A part takes
    about 300 MB however many terms there are, because it holds a limited range of them.
    """
    documents = len(terms.offsets) - 1
    lengths = np.diff(terms.offsets)
    norm = k1 * (1 - b + b * lengths / lengths.mean())
    blocks = _blocks(terms.offsets)
    occurrences = np.zeros(len(terms.vocabulary), np.int64)
    for start, end in blocks:
        part = terms.ids[terms.offsets[start] : terms.offsets[end]]
        occurrences += np.bincount(part, minlength=len(occurrences))
    for low, high in _blocks(np.concatenate([[0], np.cumsum(occurrences)])):
        parts = []
        for start, end in blocks:
            part = terms.ids[terms.offsets[start] : terms.offsets[end]]
            inside = np.flatnonzero((part >= low) & (part < high))
            owner = np.repeat(np.arange(start, end), lengths[start:end])[inside]
            parts.append((part[inside].astype(np.int64) - low) * documents + owner)
        pairs, counts = np.unique(np.concatenate(parts), return_counts=True)
        term, document = pairs // documents, pairs % documents
        containing = np.bincount(term, minlength=high - low)
        idf = np.log(1 + (documents - containing + 0.5) / (containing + 0.5))
        values = (idf[term] * counts / (counts + norm[document])).astype(np.float32)
        yield Postings(values, document.astype(np.int32), containing, int(counts.sum()))


def _blocks(offsets: npt.NDArray[np.int64]) -> list[tuple[int, int]]:
    """Ranges of rows that hold about `_AT_ONCE` terms each; `offsets` (n + 1,) are the ends of rows, from 0."""
    cuts = np.searchsorted(offsets, np.arange(_AT_ONCE, offsets[-1], _AT_ONCE)).tolist()
    ends = sorted({*cuts, len(offsets) - 1})
    return list(zip([0, *ends[:-1]], ends, strict=True))


def build_matrix(terms: Terms, k1: float = K1, b: float = B) -> Any:  # noqa: ANN401 - bm25s ships no types
    """A bm25s index of the terms; None where there are none."""
    if not len(terms.ids):
        return None
    parts = list(postings(terms, k1, b))
    matrix = empty_matrix(len(terms.offsets) - 1, k1, b)
    matrix.scores |= {
        "data": np.concatenate([p.values for p in parts]),
        "indices": np.concatenate([p.documents for p in parts]),
        "indptr": np.concatenate([[0], np.cumsum(np.concatenate([p.counts for p in parts]))]),
    }
    matrix.vocab_dict = terms.vocabulary
    matrix.unique_token_ids_set = set(terms.vocabulary.values())
    return matrix


def empty_matrix(documents: int, k1: float = K1, b: float = B) -> Any:  # noqa: ANN401 - bm25s ships no types
    """A bm25s index with these settings and no terms."""
    import bm25s

    logging.getLogger("bm25s").setLevel(logging.WARNING)
    matrix = bm25s.BM25(method="lucene", k1=k1, b=b)
    matrix.scores = {
        "data": np.zeros(0, np.float32),
        "indices": np.zeros(0, np.int32),
        "indptr": np.zeros(1, np.int64),
        "num_docs": documents,
    }
    matrix.nonoccurrence_array = None
    matrix.vocab_dict, matrix.unique_token_ids_set = {}, set()
    return matrix


class BM25Retriever:
    """Finds the documents that share words with a query; documents that share none are no candidates.

    Args:
        documents: to search.
        analyzer: of texts; None: one that fits the documents.
        index: the matrix that `build_matrix` gives for the same documents, k1 and b; None: it is built here.
        k1: how much repeated words count, 0 or more; None: 1.5.
        b: how much long documents are discounted, 0 to 1; None: 0.75.

    """

    name = "bm25"

    def __init__(
        self,
        documents: Sequence[Document],
        analyzer: Analyzer | None = None,
        index: Any = None,  # noqa: ANN401 - bm25s ships no types
        k1: float | None = None,
        b: float | None = None,
    ) -> None:
        self.documents = documents
        self.k1, self.b = K1 if k1 is None else k1, B if b is None else b
        self.analyzer = analyzer or Analyzer.fitting(
            f"{documents[i].title} {documents[i].text}" for i in sample(len(documents))
        )
        self._index = index or build_matrix(Terms.read(self.analyzer, documents), self.k1, self.b)

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
            rankings.append(ranking_of(query, candidates, self.name, ms, len(self.documents)))
        return rankings

    def _candidates(self, query: Query, k: int) -> tuple[Candidate, ...]:
        places, values = self.best_places(query.text, k)
        pairs = ((self.documents[i], value) for i, value in zip(places.tolist(), values.tolist(), strict=True))
        return candidates_of(pairs, ScoreKind.BM25, self.name)

    def best_places(self, text: str, k: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]:
        """Positions of the k best documents for a query's text, best first, and their scores; no document is read."""
        vocabulary = {} if self._index is None else self._index.vocab_dict
        ids = [vocabulary[w] for w in self.analyzer.words(text) if w in vocabulary]
        if not ids:
            return np.zeros(0, np.intp), np.zeros(0, np.float32)
        values = self._index.get_scores_from_ids(ids)
        positive = np.flatnonzero(values > 0)
        places = positive[best(values[positive], k)]
        return places, values[places]
