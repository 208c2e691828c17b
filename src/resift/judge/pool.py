"""What is judged: the first documents of several pipelines for each query, each once, in an order that tells nothing.

Depth-k pooling, as in the evaluations of TREC: Spärck Jones & van Rijsbergen, Report on the need for and provision of
an "ideal" information retrieval test collection (1975).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

from resift.errors import InputError
from resift.evaluate.dataset import Dataset
from resift.evaluate.document_store import DocumentStore
from resift.evaluate.environment import model_facts
from resift.evaluate.first_stages import FirstStages, Progress
from resift.evaluate.outcomes import Models, run_all
from resift.evaluate.plan import plan
from resift.evaluate.result_cache import ResultCache
from resift.loading import load
from resift.pipeline import Pipeline, PipelineLike, read_pipeline
from resift.reranker import Reranker
from resift.types import Query

DEPTH = 10  # of each pipeline's ranking: as far as nDCG@10 looks


@dataclass(frozen=True, slots=True)
class Pool:
    """The rankings of pipelines, from which come the documents to judge.

    Attributes:
        rankings: by pipeline and query id: document ids, best first, at most `depth`.
        depth: how many of each ranking are judged.
        seed: of the order in which queries and documents are shown.
        models: what is known of each model that took part, by name.

    """

    rankings: Mapping[str, Mapping[str, tuple[str, ...]]]
    depth: int = DEPTH
    seed: int = 0
    models: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def pipelines(self) -> tuple[str, ...]:
        """Those that took part, first stages before what reranks them."""
        return tuple(self.rankings)

    def queries(self, ids: Iterable[str]) -> list[str]:
        """Query ids in the order in which they are judged: a random sample at every point."""
        return sorted(ids, key=lambda id_: _place(self.seed, id_))

    def documents(self, query: str) -> list[str]:
        """The ids to judge for a query, each once; the order depends on seed and ids, and on no pipeline."""
        ids = {id_ for rankings in self.rankings.values() for id_ in rankings.get(query, ())}
        return sorted(ids, key=lambda id_: _place(self.seed, query, id_))

    def joined(self, other: Pool) -> Pool:
        """The pool with the pipelines of another one over the same queries and documents."""
        return replace(self, rankings={**self.rankings, **other.rankings}, models={**self.models, **other.models})


def _place(seed: int, *ids: str) -> bytes:
    return sha256(repr((seed, ids)).encode("utf-8", "backslashreplace")).digest()


def pooled(
    queries: Sequence[Query],
    documents: DocumentStore,
    pipelines: Iterable[PipelineLike] = (),
    depth: int = DEPTH,
    seed: int = 0,
    models: Mapping[str, Reranker] | None = None,
    on_progress: Progress = lambda step, count, share: None,
) -> Pool:
    """Run pipelines over queries as an evaluation does, their first stages without a model among them.

    Args:
        queries: with an id and a text each.
        documents: to search.
        pipelines: to pool; none: what an evaluation compares by default.
        depth: how many documents of each ranking are judged.
        seed: of the order in which they are shown.
        models: loaded models by the names that pipelines have for them; others are loaded by name.
        on_progress: as in `evaluate`.

    Raises:
        InputError: a text that is no pipeline, or documents without any text.
        ModelError: a model can't be used.

    """
    if not len(documents):
        raise InputError("there are no documents to search; give a corpus with an id and a text on each line")
    data = Dataset(tuple(queries), documents, {query.id: {} for query in queries})
    requested = [read_pipeline(p) for p in pipelines]
    steps = plan(requested or [Pipeline.parse(data.default_models.stages)], places=max(depth, 1))
    names = dict.fromkeys(name for step in steps for name in step.pipeline.models)
    loaded = {name: (models or {}).get(name) or load(name) for name in names}
    facts = {name: model_facts(model.info) for name, model in loaded.items()}
    cache = ResultCache()
    try:
        first_stages = FirstStages(data, cache, on_progress=on_progress)
        for step in steps:
            first_stages.check(step.pipeline.retrievers)
        outcomes = run_all(steps, first_stages, Models(loaded), on_progress)
    finally:
        cache.close()
    rankings = {
        str(step.pipeline): {
            query.id: tuple(documents.ids[row] for row in rows[:depth])
            for query, rows in zip(queries, outcomes[step.pipeline].rankings, strict=True)
        }
        for step in steps
    }
    return Pool(rankings, depth, seed, facts)
