"""Dense retrieval: the documents whose vectors lie nearest to the query's, exactly, by blocked matrix products."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from resift.errors import InputError
from resift.protocols import Embedder
from resift.retrieve.candidates import candidates_of, ranking_of
from resift.retrieve.topk import best
from resift.types import Document, Query, Ranking, ScoreKind

_BLOCK = 1 << 15  # vectors per product: the result stays in the cache, and memory-mapped rows are read once


class DenseRetriever:
    """Finds the documents of highest cosine; ties go by the order of the documents.

    Args:
        documents: n documents.
        vectors: (n, D) unit vectors of them, f32, possibly memory-mapped; computed with `embedder` when None.
        embedder: of the queries; the vectors are of the same embedder.

    Raises:
        InputError: the vectors' shape fits neither the documents nor the embedder.

    """

    name = "dense"

    def __init__(
        self, documents: Sequence[Document], embedder: Embedder, vectors: npt.NDArray[np.float32] | None = None
    ) -> None:
        if vectors is None:
            vectors = embedder.embed([f"{d.title} {d.text}".strip() for d in documents], "document")
        if vectors.shape != (len(documents), embedder.dims):
            raise InputError(
                f"vectors of shape {vectors.shape} don't fit {len(documents)} documents and {embedder.name}, "
                f"whose vectors have {embedder.dims} dimensions; index again with this embedder"
            )
        self.documents, self.embedder, self.vectors = documents, embedder, vectors
        self.source = f"{self.name}:{embedder.name}"

    def retrieve(self, queries: Sequence[Query], k: int) -> list[Ranking]:
        """The k nearest documents per query, best first."""
        if not queries or not len(self.documents):
            return [Ranking(q) for q in queries]
        began = time.perf_counter()
        vectors = self.embedder.embed([q.text for q in queries], "query")
        cosines = np.empty((len(queries), len(self.vectors)), dtype=np.float32)
        for start in range(0, len(self.vectors), _BLOCK):
            cosines[:, start : start + _BLOCK] = vectors @ self.vectors[start : start + _BLOCK].T
        rankings = []
        for query, of_query in zip(queries, cosines, strict=True):
            pairs = ((self.documents[i], float(of_query[i])) for i in best(of_query, k).tolist())
            candidates = candidates_of(pairs, ScoreKind.COSINE, self.source)
            ms = (time.perf_counter() - began) * 1e3 / len(queries)
            rankings.append(ranking_of(query, candidates, self.name, ms, len(self.documents)))
        return rankings
