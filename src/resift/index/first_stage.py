"""The default first stage: BM25 and one vector per passage, fused in the way that measured best for the vectors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from resift.retrieve.bm25 import BM25Retriever
from resift.retrieve.dense import DenseRetriever
from resift.retrieve.fuse import Hybrid, ReciprocalRank
from resift.retrieve.hnsw import HnswRetriever, Ids
from resift.score.contract import read_contract
from resift.score.load import find_model, load_embedder
from resift.types import Document

_STEEP = 10.0  # k beside a weight: of 60, a voice of .2 would bring up nothing that BM25 did not find


def first_stage(
    lexical: BM25Retriever,
    embedder: str,
    vectors: npt.NDArray[np.float32] | None = None,
    graph: tuple[Path, Ids] | None = None,
) -> Hybrid:
    """BM25 and the embedder's vectors over the same documents; the vectors are computed when None.

    Every vector is looked at, or where there is an HNSW graph of them (its folder and ids), those that it leads to.
    Fused by reciprocal ranks; where the embedder's contract names a `fusion_weight`, with that weight beside BM25's.
    """
    documents: Sequence[Document] = lexical.documents
    weight = read_contract(find_model(embedder)).fusion_weight
    model = load_embedder(embedder)
    dense = HnswRetriever(documents, model, *graph) if graph else DenseRetriever(documents, model, vectors)
    return Hybrid([lexical, dense], fusion(weight))


def fusion(weight: float) -> ReciprocalRank:
    """How BM25 is fused with vectors of this `fusion_weight`."""
    return ReciprocalRank(_STEEP, [1 - weight, weight]) if weight else ReciprocalRank()
