"""The default first stage: BM25 and one vector per passage, fused in the way that measured best for the vectors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from resift.models.contract import Contract
from resift.models.registry import reader_of
from resift.protocols import ByVectors, Embedder
from resift.retrieve.bm25 import BM25Retriever
from resift.retrieve.dense import DenseRetriever
from resift.retrieve.fuse import Hybrid, fusion
from resift.retrieve.hnsw import HnswRetriever, Ids
from resift.score.embedder import ModelEmbedder
from resift.score.language_fit import HEAD, OTHER, Reader, foreign
from resift.score.static import StaticEmbedder
from resift.text.language import guess
from resift.types import Document, Note, NoteCode, Query, Ranking, Step, Trace

_REMEMBERED = 100_000  # passages whose language is remembered: bounds memory


def first_stage(
    lexical: BM25Retriever,
    embedder: ModelEmbedder,
    vectors: npt.NDArray[np.float32] | None = None,
    graph: tuple[Path, Ids] | None = None,
) -> Hybrid:
    """BM25 and the embedder's vectors over the same documents, fused by reciprocal ranks.

    Where the embedder's contract names a `fusion_weight`, its ranks have that weight and BM25's the rest. The vectors
    count only for texts in languages that the embedder reads (`LanguageFilter`).

    Args:
        lexical: BM25 over the documents.
        embedder: of documents and queries.
        vectors: (N, D), one per document; None: they are computed.
        graph: folder and ids of an HNSW graph over the vectors; None: every vector is compared with the query's.

    """
    documents: Sequence[Document] = lexical.documents
    dense: ByVectors = (
        HnswRetriever(documents, embedder, *graph) if graph else DenseRetriever(documents, embedder, vectors)
    )
    contract = embedder.contract
    if contract.languages:
        reader = embedder if isinstance(embedder, StaticEmbedder) else getattr(embedder, "tokens", None)
        dense = dense if reader is None else LanguageFilter(dense, contract, reader)
    return Hybrid([lexical, dense], fusion(contract.fusion_weight))


class LanguageFilter:
    """A retriever by vectors, limited to the languages that its model reads.

    For a query in another language it returns nothing, and the trace says why. Of the passages that it finds, it leaves
    out those in another language: pieces of foreign words look alike to a model, whatever they mean.
    """

    def __init__(self, dense: ByVectors, contract: Contract, reader: Reader) -> None:
        self.dense, self.contract, self._reader = dense, contract, reader
        self._tongues: dict[str, str] = {}  # of passages that were found before, by id: guessing takes 0.1 ms each

    @property
    def embedder(self) -> Embedder:
        """The model of the vectors."""
        return self.dense.embedder

    def retrieve(self, queries: Sequence[Query], k: int) -> list[Ranking]:
        """The nearest documents of each query that the model reads."""
        tongues = [foreign(self.contract.languages, self._reader, query.text, "query") for query in queries]
        readable = [query for query, tongue in zip(queries, tongues, strict=True) if not tongue]
        rankings = iter(self.dense.retrieve(readable, k))
        return [
            self._empty(query, tongue) if tongue else self._readable(next(rankings))
            for query, tongue in zip(queries, tongues, strict=True)
        ]

    def _empty(self, query: Query, tongue: str) -> Ranking:
        """No candidate, and a note that says why."""
        note = self._note(f"was not asked, since the query is {tongue}", [tongue, *self.contract.languages])
        return Ranking(query, (), Trace((Step(self.contract.name, 0.0),), notes=(note,)))

    def _note(self, event: str, tongues: Sequence[str]) -> Note:
        remedy = reader_of(sorted({"" if t == OTHER else t for t in tongues}), "embedder")
        languages = ", ".join(self.contract.languages)
        message = f"{self.contract.name} reads {languages} and {event}: name another, such as --embedder {remedy}"
        return Note(NoteCode.LANGUAGE, message)

    def _readable(self, ranking: Ranking) -> Ranking:
        """The candidates in languages that the model reads, and where these are the lesser part a note."""
        tongues = [self._tongue(candidate.document) for candidate in ranking]
        candidates = tuple(c for c, tongue in zip(ranking, tongues, strict=True) if not tongue)
        if len(candidates) == len(ranking):
            return ranking
        *steps, last_step = ranking.trace.steps
        trace = Trace((*steps, replace(last_step, scored=len(candidates))))
        if 2 * len(candidates) < len(ranking):
            commonest = Counter(tongue for tongue in tongues if tongue).most_common(1)[0][0]
            event = f"was not asked about most passages, since they are {commonest}"
            trace = replace(trace, notes=(self._note(event, [commonest, *self.contract.languages]),))
        return Ranking(ranking.query, candidates, trace)

    def _tongue(self, document: Document) -> str:
        """The language of a passage that the model does not read; empty where that is unsure, as for a table."""
        tongue = self._tongues.get(document.id)
        if tongue is None:
            if len(self._tongues) >= _REMEMBERED:
                self._tongues.clear()
            tongue = self._tongues[document.id] = self._guess(document)
        return tongue

    def _guess(self, document: Document) -> str:
        text = f"{document.title} {document.text}"[:HEAD]
        if (code := guess(text)) == "" or code in self.contract.languages:
            return ""  # most passages: no need to look at their tokens
        tongue = foreign(self.contract.languages, self._reader, text, "document")
        return "" if tongue == OTHER else tongue
