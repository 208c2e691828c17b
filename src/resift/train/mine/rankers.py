"""Ranks a corpus for many queries in one pass over its documents, with memory that does not grow with the corpus."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from resift.protocols import Embedder
from resift.retrieve.bm25 import Terms, build_matrix
from resift.retrieve.topk import best
from resift.score.pairs import whole_text
from resift.text.analysis import Analyzer, sample
from resift.train.mine.kept_listings import KeptListing, Listed
from resift.types import Document

Floats = npt.NDArray[np.float32]
Places = npt.NDArray[np.int64]
Progress = Callable[[str, int, float], None]

# A shard of BM25: so many documents, or characters. Its inverse document frequencies are those of the shard; a corpus
# of one shard has BM25 as everywhere, and shards of more are random samples, since documents are ordered by a hash.
_SHARD = 1 << 17
_SHARD_CHARACTERS = 1 << 26
_BLOCK = 1 << 11  # documents that are embedded at once
_QUERIES = 1 << 10  # queries that are compared with a block at once


@dataclass(frozen=True, slots=True)
class Listing:
    """What a ranker says of Q queries.

    Attributes:
        name: of the ranker.
        places: (Q, k) of the best documents, best first; -1 where there are fewer.
        values: (Q, k), their scores; -inf where there are fewer.
        asked: per query the scores of the documents that `asked` names.

    """

    name: str
    places: Places
    values: Floats
    asked: list[Floats]


def rank_by_bm25(
    queries: Sequence[str],
    documents: Sequence[Document],
    k: int,
    asked: Sequence[Places],
    on_progress: Progress,
    kept: KeptListing | None = None,
) -> Listing:
    """The k best documents per query by BM25, among those that share a word with it.

    Args:
        queries: Q texts.
        documents: the corpus.
        k: how many are listed.
        asked: per query places of documents whose scores are wanted, ascending.
        on_progress: is called with a step, a count and a share.
        kept: what an earlier run listed, and where this one's list goes.

    """
    kept = kept or KeptListing()
    listing, listed = _begun("bm25", len(queries), k, asked, kept)
    if listed.documents:
        return _ended(listing, listed, kept)
    analyzer = Analyzer.fitting(f"{documents[i].title} {documents[i].text}" for i in sample(len(documents)))
    words = [analyzer.words(query) for query in queries]
    for start, shard in _shards(documents):
        matrix = build_matrix(Terms.read(analyzer, shard))
        for q, query_words in enumerate(words):
            vocabulary = {} if matrix is None else matrix.vocab_dict
            ids = [vocabulary[word] for word in query_words if word in vocabulary]
            values = matrix.get_scores_from_ids(ids) if ids else np.zeros(len(shard), np.float32)
            low, high = np.searchsorted(asked[q], (start, start + len(shard)))
            listing.asked[q][low:high] = values[asked[q][low:high] - start]
            positive = np.flatnonzero(values > 0)
            top = positive[best(values[positive], k)]
            _merge(listing, np.array([q]), (top + start)[None, :], values[top][None, :])
            if q % 100 == 0:
                on_progress("queries compared by words", q, (start + len(shard) * q / len(words)) / len(documents))
    listed.asked[:] = np.concatenate(listing.asked) if listing.asked else []
    listed.documents = len(documents)
    return _ended(listing, listed, kept)


def rank_by_vectors(
    embedder: Embedder,
    queries: Sequence[str],
    documents: Sequence[Document],
    k: int,
    asked: Sequence[Places],
    on_progress: Progress,
    kept: KeptListing | None = None,
) -> Listing:
    """The k documents of the highest cosine per query; the arguments are those of `rank_by_bm25`."""
    kept = kept or KeptListing()
    listing, listed = _begun(embedder.name, len(queries), k, asked, kept)
    if listed.documents == len(documents):
        return _ended(listing, listed, kept)
    vectors = embedder.embed(queries, "query")
    owners = np.repeat(np.arange(len(queries)), [len(places) for places in asked])
    places = np.concatenate(asked) if len(asked) else np.zeros(0, np.int64)
    order = np.argsort(places, kind="stable")
    values = listed.asked
    for start in range(listed.documents, len(documents), _BLOCK):
        texts = [whole_text(document) for document in documents[start : start + _BLOCK]]
        block = embedder.embed(texts, "document")
        low, high = np.searchsorted(places[order], (start, start + len(block)))
        rows = order[low:high]
        values[rows] = np.einsum("nd,nd->n", vectors[owners[rows]], block[places[rows] - start])
        for first in range(0, len(queries), _QUERIES):
            cosines = vectors[first : first + _QUERIES] @ block.T
            width = min(k, cosines.shape[1])
            top = np.argpartition(-cosines, width - 1, axis=1)[:, :width]
            _merge(
                listing, np.arange(first, first + len(cosines)), top + start, np.take_along_axis(cosines, top, axis=1)
            )
        listed.documents = start + len(block)
        kept.keep(listed)
        on_progress("passages compared by vectors", listed.documents, listed.documents / len(documents))
    return _ended(listing, listed, kept)


def _begun(name: str, queries: int, k: int, asked: Sequence[Places], kept: KeptListing) -> tuple[Listing, Listed]:
    """A list as an earlier run left it, else an empty one; both results share their arrays."""
    places = np.full((queries, k), -1, np.int64)
    values = np.full((queries, k), -np.inf, np.float32)
    listed = Listed(places, values, np.zeros(sum(map(len, asked)), np.float32))
    kept.restore(listed)
    return Listing(name, places, values, [np.zeros(len(part), np.float32) for part in asked]), listed


def _ended(listing: Listing, listed: Listed, kept: KeptListing) -> Listing:
    """A complete list, which is kept, with its scores by query."""
    kept.keep(listed, complete=True)
    ends = np.cumsum([len(part) for part in listing.asked])
    listing.asked[:] = np.split(listed.asked, ends[:-1])
    return listing


def _merge(listing: Listing, rows: Places, places: Places, values: Floats) -> None:
    """Take (n, m) more documents into the lists of n queries; ties go by the place in the corpus."""
    k = listing.places.shape[1]
    all_places = np.concatenate([listing.places[rows], places], axis=1)
    all_values = np.concatenate([listing.values[rows], values], axis=1)
    order = np.lexsort((all_places, -all_values), axis=1)[:, :k]
    listing.places[rows] = np.take_along_axis(all_places, order, axis=1)
    listing.values[rows] = np.take_along_axis(all_values, order, axis=1)


def _shards(documents: Sequence[Document]) -> Iterator[tuple[int, list[Document]]]:
    """Neighbouring documents, and the place of the first."""
    start, shard, characters = 0, list[Document](), 0
    for i in range(len(documents)):
        document = documents[i]
        shard.append(document)
        characters += len(document.title) + len(document.text)
        if len(shard) == _SHARD or characters >= _SHARD_CHARACTERS:
            yield start, shard
            start, shard, characters = i + 1, [], 0
    if shard:
        yield start, shard
