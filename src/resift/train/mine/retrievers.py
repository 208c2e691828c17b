"""Runs the retrievers one after the other; each later one also scores what the earlier ones list."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from resift.errors import InputError
from resift.evaluate.document_store import DocumentStore
from resift.protocols import Embedder
from resift.score.defaults import EMBEDDERS, preferred
from resift.score.load import load_embedder
from resift.score.pairs import whole_text
from resift.text.analysis import sample
from resift.train.choices import BM25, DENSE
from resift.train.examples import ExampleSet
from resift.train.mine.kept_listings import kept_listing
from resift.train.mine.rankers import Listing, Places, Progress, rank_by_bm25, rank_by_vectors
from resift.types import Document


def corpus_of(examples: ExampleSet, corpus: Iterable[Document] | None) -> DocumentStore:
    """All documents among which negatives are mined, on disk: those of the examples, and those of the corpus.

    Raises:
        InputError: one id stands for two texts.

    """
    documents = examples.corpus if corpus is None else corpus
    of_examples = [c.document for q in examples.queries for c in q.candidates]
    if isinstance(documents, DocumentStore) and all(documents.has(document.id) for document in of_examples):
        return documents
    return DocumentStore(chain(of_examples, documents or ()))


def embedders_of(retrievers: Sequence[str | Embedder], documents: DocumentStore) -> list[Embedder]:
    """The embedders among retrievers, in their order.

    Raises:
        InputError: a retriever comes twice.
        ModelError: an embedder can't be used.

    """
    if sum(retriever == BM25 for retriever in retrievers) > 1:
        raise InputError("bm25 is named twice; name each retriever once")
    embedders: list[Embedder] = []
    for retriever in retrievers:
        if retriever == BM25:
            continue
        if retriever == DENSE:
            texts = lambda: [whole_text(documents[i]) for i in sample(len(documents))]  # noqa: E731
            retriever = preferred(EMBEDDERS, texts)
        embedders.append(load_embedder(retriever) if isinstance(retriever, str) else retriever)
    names = [embedder.name for embedder in embedders]
    if len(set(names)) < len(names):
        raise InputError(f"an embedder comes twice among {', '.join(names)}; name each retriever once")
    return embedders


def rank_all(
    queries: Sequence[str],
    positives: Sequence[Places],
    documents: DocumentStore,
    retrievers: Sequence[str | Embedder],
    width: int,
    on_progress: Progress,
    folder: Path | None = None,
) -> tuple[list[Listing], list[list[Places]]]:
    """What each retriever says, BM25 first, and per retriever and query the places that it was asked for.

    Args:
        queries: Q texts.
        positives: per query the places of its positives, ascending; every retriever scores them.
        documents: the corpus.
        retrievers: as in `MineOptions`.
        width: how many documents each lists per query.
        on_progress: is called with a step, a count and a share.
        folder: where lists are kept, so that an interrupted run goes on; None: nowhere.

    """
    embedders = embedders_of(retrievers, documents)
    k = min(width, len(documents))
    asked = list(positives)
    rankings: list[Listing] = []
    questions: list[list[Places]] = []
    for ranker in ([None] if BM25 in retrievers else []) + embedders:
        kept = kept_listing(folder, BM25 if ranker is None else ranker, queries, documents, k, asked)
        if ranker is None:
            listing = rank_by_bm25(queries, documents, k, asked, on_progress, kept)
        else:
            listing = rank_by_vectors(ranker, queries, documents, k, asked, on_progress, kept)
        rankings.append(listing)
        questions.append(asked)
        asked = [
            np.unique(np.concatenate([places, of_query[of_query >= 0]]))
            for places, of_query in zip(asked, listing.places, strict=True)
        ]
    return rankings, questions
