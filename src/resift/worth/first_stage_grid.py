"""First stages with other parameters: BM25's k1 and b, the weight of vectors, and k of reciprocal ranks."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from resift.evaluate.evaluation import NO_DOCUMENT, Rows
from resift.evaluate.first_stages import FirstStages, Progress
from resift.pipeline import Part, Pipeline, Retrieval
from resift.retrieve.bm25 import K1, B, BM25Retriever, Terms, build_matrix
from resift.retrieve.candidates import candidates_of, ranking_of
from resift.retrieve.fuse import ReciprocalRank, fused, fusion
from resift.types import Query, Ranking, ScoreKind

K1_GRID, B_GRID = (0.6, 1.0, 1.5, 2.0), (0.3, 0.5, 0.75, 0.9)
WEIGHT_GRID, K_GRID = (0.2, 0.35, 0.5, 0.65, 0.8), (10.0, 60.0)

Places = tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]  # documents, best first, and their scores


@dataclass(frozen=True, slots=True)
class FirstStage:
    """Parameters of a first stage.

    Attributes:
        k1, b: of BM25.
        weight: of the vectors' ranks, 0 (BM25 alone) to 1 (vectors alone); BM25's ranks have the rest.
        k: of reciprocal ranks.
        run: the candidates come with the data, and there are no parameters.

    """

    k1: float = K1
    b: float = B
    weight: float = 0.0
    k: float = 60.0
    run: bool = False

    def parts(self, embedder: str, own_weight: float) -> tuple[Part, ...]:
        """The retrievers of a pipeline that retrieves so; none for the candidates of the data.

        Args:
            embedder: the model that the pipeline names for its vectors; empty where it names none.
            own_weight: the weight of vectors that need not be written, since the embedder's contract has it.

        """
        if self.run:
            return ()
        usual = fusion(own_weight)
        lexical = tuple((key, value) for key, value, own in (("k1", self.k1, K1), ("b", self.b, B)) if value != own)
        dense: tuple[tuple[str, float | str], ...] = (("model", embedder),) if embedder else ()
        if 0 < self.weight < 1 and (self.weight, self.k) != (own_weight or 0.5, usual.k):
            dense += (("weight", self.weight),)
            dense += () if self.k == fusion(self.weight).k else (("rank_constant", self.k),)
        retrievers = (Part("bm25", None, lexical), Part("dense", None, dense))
        return retrievers[1:] if self.weight == 1 else retrievers if self.weight else retrievers[:1]


class FirstStageGrid:
    """All first stages of one choice of retrievers, over the queries of a data set.

    The first one is the product's, with the parameters that the retrievers name, or else a search has by default. Where
    there are two retrievers, each alone is among the others.

    Args:
        stages: what retrieves, and keeps what it found.
        retrievers: "bm25", "dense" or both; none: the candidates of the data.
        k: how many candidates are retrieved.

    """

    def __init__(self, stages: FirstStages, retrievers: tuple[Part, ...], k: int) -> None:
        self._stages, self._k, self._retrievers = stages, k, retrievers
        self._retrieval = Retrieval.of(retrievers)
        model = (("model", self._retrieval.embedder),) if self._retrieval.embedder else ()
        self._dense = (Part("dense", None, model),) if "dense" in self._retrieval.names else ()
        self.own_weight = stages.fusion_weight(self._dense) if self._dense else 0.0
        self.stages = _grid(self._retrieval, self.own_weight)
        self._lexical: dict[tuple[float, float], list[Places]] = {}

    def rows(self, on_progress: Progress) -> Rows:
        """(F, Q, k), the candidates of every first stage as positions in the data set, NO_DOCUMENT behind the last."""
        self.search(on_progress)
        queries = self._stages.data.queries
        rows = np.full((len(self.stages), len(queries), self._k), NO_DOCUMENT, np.int32)
        for q in range(len(queries)):
            dense = self.dense(q)[0]
            for f, stage in enumerate(self.stages):
                row = self.order(stage, q, dense)
                rows[f, q, : len(row)] = row
            on_progress("queries fused", q + 1, (q + 1) / len(queries))
        return rows

    def text(self, stage: FirstStage) -> str:
        """A first stage as a pipeline writes it; "run" for the candidates of the data."""
        return str(Pipeline(stage.parts(self._retrieval.embedder, self.own_weight))) or "run"

    def ranking(self, stage: FirstStage, q: int) -> Ranking:
        """What a first stage finds for query q, with all its signals; after `rows`."""
        query = self._stages.data.queries[q]
        if stage.run:
            return self._stages.ranking((), query, self._k).ranking
        dense = self._stages.ranking(self._dense, query, self._k).ranking if stage.weight else Ranking(query)
        if stage.weight == 1:
            return dense
        documents = self._stages.data.documents
        places, values = self._lexical[stage.k1, stage.b][q]
        pairs = ((documents[i], value) for i, value in zip(places.tolist(), values.tolist(), strict=True))
        lexical = ranking_of(query, candidates_of(pairs, ScoreKind.BM25, "bm25"), "bm25", 0.0, len(documents))
        return fused(_fusion(stage), query, [lexical, dense], self._k) if stage.weight else lexical

    def ms(self, query: Query) -> float:
        """Milliseconds that the product's first stage takes for a query."""
        return self._stages.ranking(self._retrievers, query, self._k).ms

    def search(self, on_progress: Progress, stages: Sequence[FirstStage] = ()) -> None:
        """Search with the k1 and b of these first stages, or of all: one matrix is in memory after the other."""
        if "bm25" not in self._retrieval.names:
            return
        settings = sorted({(stage.k1, stage.b) for stage in stages or self.stages})
        documents, queries = self._stages.data.documents, self._stages.data.queries
        analyzer = self._stages.lexical.analyzer
        terms = Terms.read(analyzer, documents)
        for done, (k1, b) in enumerate(settings):
            retriever = BM25Retriever(documents, analyzer, build_matrix(terms, k1, b))
            pairs = (retriever.best_places(query.text, self._k) for query in queries)
            self._lexical[k1, b] = [(places.astype(np.int64), values) for places, values in pairs]
            on_progress("settings of BM25 tried", done + 1, (done + 1) / len(settings))

    def lexical(self, k1: float, b: float, q: int) -> Places:
        """Positions of what BM25 finds for query q, best first, and their scores; after `search` or `rows`."""
        return self._lexical[k1, b][q]

    def dense(self, q: int) -> Places:
        """Positions of what the vectors find for query q, best first, and their cosines; nothing without vectors."""
        query, row = self._stages.data.queries[q], self._stages.data.documents.row
        ranking = self._stages.ranking(self._dense, query, self._k).ranking if self._dense else Ranking(query)
        cosines = [c.score.value if c.score else 0.0 for c in ranking]
        return np.array([row(c.document.id) for c in ranking], np.int64), np.array(cosines, np.float32)

    def order(self, stage: FirstStage, q: int, dense: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """(n,), positions of what a first stage finds for query q, of which the vectors found `dense`."""
        if stage.run:
            query, row = self._stages.data.queries[q], self._stages.data.documents.row
            ranking = self._stages.ranking((), query, self._k).ranking
            return np.array([row(c.document.id) for c in ranking], np.int64)
        if stage.weight == 1:
            return dense
        lexical = self._lexical[stage.k1, stage.b][q][0]
        return fused_rows(lexical, dense, stage.weight, stage.k, self._k) if stage.weight else lexical


def _grid(retrieval: Retrieval, own_weight: float) -> list[FirstStage]:
    """The product's first stage, and then all others."""
    if not retrieval.names:
        return [FirstStage(run=True)]
    if retrieval.names == ("dense",):
        return [FirstStage(weight=1.0)]
    k1, b = (usual if value is None else value for value, usual in ((retrieval.k1, K1), (retrieval.b, B)))
    lexical = [FirstStage(k1, b) for k1, b in itertools.product(K1_GRID, B_GRID)]
    if retrieval.names == ("bm25",):
        return list(dict.fromkeys([FirstStage(k1, b), *lexical]))
    product = retrieval.fusion(own_weight)
    weight = own_weight if retrieval.weight is None else retrieval.weight
    first = FirstStage(k1, b, weight or 0.5, product.k)
    fusions = (
        FirstStage(stage.k1, stage.b, weight, k) for stage, weight, k in itertools.product(lexical, WEIGHT_GRID, K_GRID)
    )
    return list(dict.fromkeys([first, *lexical, FirstStage(weight=1.0), *fusions]))


def _fusion(stage: FirstStage) -> ReciprocalRank:
    return ReciprocalRank(stage.k, None if stage.weight == 0.5 else [1 - stage.weight, stage.weight])


def fused_rows(
    lexical: npt.NDArray[np.int64], dense: npt.NDArray[np.int64], weight: float, k: float, count: int
) -> npt.NDArray[np.int64]:
    """The order that `retrieve.fuse.fused` gives by weighted reciprocal ranks; (n,) positions, at most `count`."""
    only_dense = dense[~np.isin(dense, lexical)]
    union = np.concatenate([lexical, only_dense])
    lexical_ranks, dense_ranks = np.arange(1, len(lexical) + 1), np.arange(1, len(dense) + 1)
    scores = np.zeros(len(union))
    scores[: len(lexical)] += (1 - weight) / (k + lexical_ranks)
    place = {row: i for i, row in enumerate(union.tolist())}
    scores[[place[row] for row in dense.tolist()]] += weight / (k + dense_ranks)
    first_ranks = np.concatenate([lexical_ranks, dense_ranks[~np.isin(dense, lexical)]])
    best: npt.NDArray[np.int64] = union[np.lexsort((np.arange(len(union)), first_ranks, -scores))[:count]]
    return best
