"""The default first stage: BM25 and one vector per passage, fused in the way that measured best for the vectors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from resift.models.contract import Contract
from resift.models.recognition import read_contract
from resift.models.registry import reader_of
from resift.protocols import Retriever
from resift.retrieve.bm25 import BM25Retriever
from resift.retrieve.dense import DenseRetriever
from resift.retrieve.fuse import Hybrid, ReciprocalRank
from resift.retrieve.hnsw import HnswRetriever, Ids
from resift.score.language_fit import HEAD, OTHER, Reader, foreign
from resift.score.load import find_model, load_embedder
from resift.score.static import StaticEmbedder
from resift.text.language import guess
from resift.types import Document, Note, NoteCode, Query, Ranking, Step, Trace

_STEEP = 10.0  # k beside a weight: of 60, a voice of .2 would bring up nothing that BM25 did not find


def first_stage(
    lexical: BM25Retriever,
    embedder: str,
    vectors: npt.NDArray[np.float32] | None = None,
    graph: tuple[Path, Ids] | None = None,
) -> Hybrid:
    """BM25 and the embedder's vectors over the same documents; the vectors are computed when None.

    The vectors have no say where their model can't read (`Understood`). Every vector is looked at, or where there is an
    HNSW graph of them (its folder and ids), those that it leads to. Fused by reciprocal ranks; where the embedder's
    contract names a `fusion_weight`, with that weight beside BM25's.
    """
    documents: Sequence[Document] = lexical.documents
    contract = read_contract(find_model(embedder))
    model = load_embedder(embedder)
    dense: Retriever = HnswRetriever(documents, model, *graph) if graph else DenseRetriever(documents, model, vectors)
    if contract.languages:
        reader = model if isinstance(model, StaticEmbedder) else getattr(model, "tokens", None)
        dense = dense if reader is None else Understood(dense, contract, reader)
    return Hybrid([lexical, dense], fusion(contract.fusion_weight))


class Understood:
    """A retriever by vectors that has no say where its model can't read.

    For a query in another language it finds nothing, and the trace says why; passages in another language are left out
    of what it finds. Pieces of foreign words look alike to a model, whatever they mean.
    """

    def __init__(self, dense: Retriever, contract: Contract, reader: Reader) -> None:
        self.dense, self.contract, self._reader = dense, contract, reader

    def retrieve(self, queries: Sequence[Query], k: int) -> list[Ranking]:
        """The nearest documents of each query that the model reads."""
        tongues = [foreign(self.contract.languages, self._reader, q.text) for q in queries]
        asked = [q for q, tongue in zip(queries, tongues, strict=True) if not tongue]
        rankings = iter(self.dense.retrieve(asked, k))
        return [
            self._silent(q, tongue) if tongue else self._readable(next(rankings))
            for q, tongue in zip(queries, tongues, strict=True)
        ]

    def _silent(self, query: Query, tongue: str) -> Ranking:
        reason = self._reason(f"was not asked, since the query is {tongue}", [tongue, *self.contract.languages])
        return Ranking(query, (), Trace((Step(self.contract.name, 0.0),), notes=(reason,)))

    def _reason(self, what: str, tongues: Sequence[str]) -> Note:
        remedy = reader_of(sorted({"" if t == OTHER else t for t in tongues}), "embedder")
        languages = ", ".join(self.contract.languages)
        message = f"{self.contract.name} reads {languages} and {what}: name another, such as --embedder {remedy}"
        return Note(NoteCode.LANGUAGE, message)

    def _readable(self, ranking: Ranking) -> Ranking:
        tongues = [self._tongue(c.document) for c in ranking]
        able = tuple(c for c, tongue in zip(ranking, tongues, strict=True) if not tongue)
        if len(able) == len(ranking):
            return ranking
        *before, last = ranking.trace.steps
        trace = Trace((*before, replace(last, scored=len(able))))
        if 2 * len(able) < len(ranking):
            commonest = Counter(t for t in tongues if t).most_common(1)[0][0]
            what = f"was not asked about most passages, since they are {commonest}"
            trace = replace(trace, notes=(self._reason(what, [commonest, *self.contract.languages]),))
        return Ranking(ranking.query, able, trace)

    def _tongue(self, document: Document) -> str:
        """The language of a passage that the model does not read; empty where it is unsure: a table is not foreign."""
        text = f"{document.title} {document.text}"[:HEAD]
        if (code := guess(text)) == "" or code in self.contract.languages:
            return ""  # most passages: no need to look at their tokens
        tongue = foreign(self.contract.languages, self._reader, text)
        return "" if tongue == OTHER else tongue


def fusion(weight: float) -> ReciprocalRank:
    """How BM25 is fused with vectors of this `fusion_weight`."""
    return ReciprocalRank(_STEEP, [1 - weight, weight]) if weight else ReciprocalRank()
