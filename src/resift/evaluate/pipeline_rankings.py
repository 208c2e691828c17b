"""The rankings of a data set's queries by one pipeline, with everything that its stages said of each candidate."""

from __future__ import annotations

from collections.abc import Iterator

from resift.evaluate.dataset import Dataset
from resift.evaluate.first_stages import FirstStages, Progress
from resift.evaluate.outcomes import Models
from resift.evaluate.plan import plan
from resift.evaluate.result_cache import Cost, ResultCache
from resift.evaluate.run import EvaluationOptions, judgement_folder, places
from resift.loading import load
from resift.pipeline import Pipeline
from resift.rerank.drive import drive
from resift.types import Ranking

_OPTIONS = EvaluationOptions()


def pipeline_rankings(
    data: Dataset,
    pipeline: Pipeline,
    options: EvaluationOptions = _OPTIONS,
    on_progress: Progress = lambda step, count, share: None,
    depth: int = 0,
) -> Iterator[Ranking]:
    """Yield the ranking of each query, in the data set's order, as `evaluate` would rank it.

    Args:
        data: what is searched.
        pipeline: without retrievers it reranks the run of the data, or where there is none what a search finds by
            default; without a model it is a first stage.
        options: `judged_only`, `cache` and `models` are looked at; pairs that were scored before are looked up.
        on_progress: as in `evaluate`.
        depth: how many candidates are retrieved at least.

    Raises:
        InputError: as `evaluate`.
        ModelError: a model can't be used.

    """
    step = plan([pipeline], places=max(depth, places(data, ())), has_run=bool(data.run))[-1]
    loaded = {name: options.models.get(name) or load(name) for name in step.pipeline.models}
    cache = ResultCache(judgement_folder(data, options.cache))
    try:
        first_stages = FirstStages(data, cache, options.judged_only, on_progress)
        first_stages.check(step.pipeline.retrievers)
        scorers = Models(loaded).recorded(step.pipeline.models, cache, Cost())
        stage = step.executed.stage(scorers.__getitem__)
        label = "queries reranked" if loaded else "queries searched"
        for done, query in enumerate(data.queries, 1):
            first = first_stages.ranking(step.executed.retrievers, query, step.candidates)
            yield drive(stage, [first.ranking])[0]
            on_progress(label, done, done / len(data.queries))
    finally:
        cache.close()
