"""The first stages of an evaluation: each is run once per query, one query after the other, and kept."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from resift import atomic
from resift.evaluate.dataset import Dataset
from resift.evaluate.document_store import batches
from resift.evaluate.result_cache import ResultCache
from resift.evaluate.statistics import Floats
from resift.index.first_stage import first_stage
from resift.pipeline import RETRIEVERS, Part, Retrieval
from resift.protocols import Retriever
from resift.retrieve.bm25 import K1, B, BM25Retriever
from resift.retrieve.fuse import Hybrid
from resift.score.cache import digest
from resift.score.embedder import ModelEmbedder
from resift.score.load import load_embedder
from resift.types import Candidate, Note, NoteCode, Query, Ranking, Score, ScoreKind, Signal, Step, Trace

RUN = "run"  # the source of candidates that the data bring
JUDGED = "judged"  # of judged documents that no retriever found, where they are the only candidates
_CHUNK = 1024  # documents that are encoded at once

Progress = Callable[[str, int, float], None]


@dataclass(frozen=True, slots=True)
class FirstRanking:
    """What a first stage found for a query, and the milliseconds that it took when it ran."""

    ranking: Ranking
    ms: float


class FirstStages:
    """Candidates of every query by every first stage.

    Args:
        data: what is searched.
        cache: where rankings and vectors are kept.
        judged_only: the judged documents are the only candidates; those that a retriever does not find come last.
        on_progress: is called while documents are encoded.

    """

    def __init__(
        self, data: Dataset, cache: ResultCache, judged_only: bool = False, on_progress: Progress = lambda *_: None
    ) -> None:
        self.data, self.cache, self.judged_only, self._on_progress = data, cache, judged_only, on_progress
        self._embedders: dict[str, ModelEmbedder] = {}
        self._hybrids: dict[str, Hybrid] = {}
        self._other_lexical: BM25Retriever | None = None

    def check(self, retrievers: Sequence[Part]) -> None:
        """Load what the retrievers need, so that a wrong name is refused before anything runs.

        Raises:
            ModelError: the embedder can't be used.

        """
        if any(part.name == "dense" for part in retrievers):
            self._embedder(self._embedder_name(retrievers))

    def fusion_weight(self, retrievers: Sequence[Part]) -> float:
        """The weight that the embedder's contract gives its vectors beside BM25 (0..1); 0: both the same."""
        return float(self._embedder(self._embedder_name(retrievers)).contract.fusion_weight or 0.0)

    def ranking(self, retrievers: tuple[Part, ...], query: Query, k: int) -> FirstRanking:
        """The k best candidates of a query, as `Index.run` retrieves them; without retrievers those of the run."""
        if not retrievers:
            return FirstRanking(self._of_run(query).top(k), 0.0)
        key = self._key(retrievers, query, k)
        text = self.cache.ranking(key)
        if text is None:
            retriever = self._retriever(retrievers)
            began = time.perf_counter()
            ranking = self._retrieve(retriever, query, k)
            text = json.dumps(self._written((time.perf_counter() - began) * 1e3, ranking))
            self.cache.keep_ranking(key, text)
        return self._read(text, query)

    def _key(self, retrievers: Sequence[Part], query: Query, k: int) -> bytes:
        retrieval = Retrieval.of(retrievers)
        names = [part.name for part in retrievers]
        model = self._embedder(self._embedder_name(retrievers)).info if "dense" in names else None
        tuned = (retrieval.k1, retrieval.b, retrieval.weight, retrieval.rank_constant)
        among = sorted(self.data.qrels[query.id]) if self.judged_only else []
        ids = digest(*self.data.documents.ids) if among else b""  # judged documents are named by their ids
        texts = self.data.documents.texts_fingerprint
        what = (names, model, k, among, ids) if tuned == (None,) * 4 else (names, model, k, among, ids, tuned)
        return digest(texts, repr(what), query.instruction, query.text)

    def _retrieve(self, retriever: Retriever, query: Query, k: int) -> Ranking:
        if not self.judged_only:
            return retriever.retrieve([query], k)[0]
        documents = self.data.documents
        ranking = retriever.retrieve([query], len(documents))[0]
        return self._judged(query, ranking).top(k)

    def _judged(self, query: Query, ranking: Ranking) -> Ranking:
        """The judged documents alone, ranked anew; those that are missing come last, in the documents' order."""
        documents, grades = self.data.documents, self.data.qrels[query.id]
        candidates = [c for c in ranking if c.document.id in grades]
        present = {c.document.id for c in candidates}
        absent = sorted(documents.row(i) for i in grades if documents.has(i) and i not in present)
        candidates += [Candidate(documents[row], None, (Signal(JUDGED, 0),)) for row in absent]
        ranked = (
            replace(c, signals=(replace(c.signals[0], rank=rank), *c.signals[1:]))
            for rank, c in enumerate(candidates, 1)
        )
        return Ranking(query, tuple(ranked), ranking.trace)

    def _of_run(self, query: Query) -> Ranking:
        ids = (self.data.run or {}).get(query.id, ())
        documents = self.data.documents
        candidates = (
            Candidate(documents[documents.row(i)], None, (Signal(RUN, rank),)) for rank, i in enumerate(ids, 1)
        )
        ranking = Ranking(query, tuple(candidates))
        return self._judged(query, ranking) if self.judged_only else ranking

    def _retriever(self, retrievers: Sequence[Part]) -> Retriever:
        retrieval = Retrieval.of(retrievers)
        lexical = self._lexical_of(retrieval)
        if "dense" not in retrieval.names:
            return lexical
        name = self._embedder_name(retrievers)
        if name not in self._hybrids:
            embedder = self._embedder(name)
            self._hybrids[name] = first_stage(self.lexical, embedder, self._vectors(embedder))
            self._hybrids[name].retrieve([Query("a")], 1)  # no query pays for reading weights
        dense = self._hybrids[name].retrievers[1]
        hybrid = Hybrid([lexical, dense], retrieval.fusion(self.fusion_weight(retrievers)))
        return hybrid.only([i for i, part in enumerate(RETRIEVERS) if part in retrieval.names])

    def _lexical_of(self, retrieval: Retrieval) -> BM25Retriever:
        """BM25 with the parameters that a pipeline names; the matrix of the last ones stays in memory."""
        k1, b = (usual if v is None else v for v, usual in ((retrieval.k1, K1), (retrieval.b, B)))
        if (k1, b) == (self.lexical.k1, self.lexical.b):
            return self.lexical
        if self._other_lexical is None or (self._other_lexical.k1, self._other_lexical.b) != (k1, b):
            self._on_progress("documents indexed", len(self.data.documents), 0.0)
            self._other_lexical = BM25Retriever(self.data.documents, self.lexical.analyzer, k1=k1, b=b)
        return self._other_lexical

    @cached_property
    def lexical(self) -> BM25Retriever:
        """BM25 over the documents."""
        self._on_progress("documents indexed", len(self.data.documents), 0.0)
        return BM25Retriever(self.data.documents)

    def _embedder(self, name: str) -> ModelEmbedder:
        if name not in self._embedders:
            self._embedders[name] = load_embedder(name)
        return self._embedders[name]

    def _embedder_name(self, retrievers: Sequence[Part]) -> str:
        names = (str(value) for part in retrievers for key, value in part.parameters if key == "model")
        return next(names, "") or self.data.default_models.embedder

    def _vectors(self, embedder: ModelEmbedder) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
        """(n, D), encoded in chunks; each chunk is kept once it is done."""
        folder = None
        if self.cache.folder is not None:
            texts = self.data.documents.texts_fingerprint
            folder = self.cache.folder / f"vectors-{digest(texts, repr(embedder.info)).hex()[:24]}"
            with atomic.blaming(folder):
                folder.mkdir(exist_ok=True)
        chunks, count = [], 0
        for number, part in enumerate(batches(self.data.documents, _CHUNK)):
            path = None if folder is None else folder / f"{number}.npy"
            if path is not None and path.exists():
                chunks.append(np.load(path))
            else:
                chunks.append(embedder.embed([f"{d.title} {d.text}".strip() for d in part], "document"))
                if path is not None:
                    _save(path, chunks[-1])
            count += len(part)
            self._on_progress("documents encoded", count, 0.0)
        vectors: np.ndarray[tuple[int, int], np.dtype[np.float32]] = np.concatenate(chunks)
        return vectors

    def _written(self, ms: float, ranking: Ranking) -> list[Any]:
        """A ranking of this data set as JSON; documents by their positions, which depend on texts alone."""
        row = self.data.documents.row
        candidates = [
            [row(c.document.id), _score(c.score), [[s.source, s.rank, _score(s.score)] for s in c.signals]]
            for c in ranking
        ]
        steps = [[s.name, s.ms, s.scored, s.total] for s in ranking.trace.steps]
        return [ms, candidates, steps, [[note.code, note.message] for note in ranking.trace.notes]]

    def _read(self, text: str, query: Query) -> FirstRanking:
        ms, candidates, steps, notes = json.loads(text)
        trace = Trace(
            tuple(Step(name, took, scored=scored, total=total) for name, took, scored, total in steps),
            notes=tuple(Note(NoteCode(code), message) for code, message in notes),
        )
        documents = self.data.documents
        ranked = tuple(
            Candidate(
                documents[row], _read_score(score), tuple(Signal(s, rank, _read_score(v)) for s, rank, v in signals)
            )
            for row, score, signals in candidates
        )
        return FirstRanking(Ranking(query, ranked, trace), ms)


def _save(path: Path, vectors: Floats | np.ndarray[Any, Any]) -> None:
    content = io.BytesIO()
    np.save(content, vectors)
    atomic.write(path, [content.getvalue()])


def _score(score: Score | None) -> list[Any] | None:
    return None if score is None else [score.value, score.kind, score.source, score.stage]


def _read_score(value: list[Any] | None) -> Score | None:
    return None if value is None else Score(value[0], ScoreKind(value[1]), value[2], value[3])
