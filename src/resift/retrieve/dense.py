"""Dense retrieval: the documents whose vectors lie nearest to the query's, exactly, by blocked matrix products."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from resift.errors import InputError
from resift.protocols import Embedder
from resift.retrieve.select import best
from resift.types import Candidate, Document, Query, Ranking, Score, ScoreKind, Signal, Step, Trace

_BLOCK = 1 << 15  # vectors multiplied at once: their product stays in the cache, and memory-mapped rows are read once


class DenseRetriever:
    """Finds the documents of highest cosine; ties by the documents' order.

    Args:
        documents: n documents.
        vectors: (n, D) unit vectors of them, f32, possibly memory-mapped; computed with `embedder` when None.
        embedder: of the queries; the same that made the vectors.

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
        asked = self.embedder.embed([q.text for q in queries], "query")
        cosines = np.empty((len(queries), len(self.vectors)), dtype=np.float32)
        for start in range(0, len(self.vectors), _BLOCK):
            cosines[:, start : start + _BLOCK] = asked @ self.vectors[start : start + _BLOCK].T
        rankings = []
        for query, own in zip(queries, cosines, strict=True):
            candidates = tuple(self._candidate(int(i), rank, own) for rank, i in enumerate(best(own, k), 1))
            ms = (time.perf_counter() - began) * 1e3 / len(queries)
            step = Step(self.name, ms, scored=len(candidates), total=len(self.documents))
            rankings.append(Ranking(query, candidates, Trace((step,))))
        return rankings

    def _candidate(self, i: int, rank: int, cosines: npt.NDArray[np.float32]) -> Candidate:
        score = Score(float(cosines[i]), ScoreKind.COSINE, self.source)
        return Candidate(self.documents[i], score, (Signal(self.source, rank, score),))
