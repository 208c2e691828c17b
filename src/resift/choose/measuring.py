"""Runs candidates on the user's sample, as the product runs them: quality where it is judged, and milliseconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from resift.choose.candidates import ModelCandidate
from resift.choose.sample import UserSample
from resift.evaluate import EvaluationOptions, evaluate, summaries
from resift.evaluate.dataset import Dataset
from resift.evaluate.first_stages import FirstStages, Progress
from resift.evaluate.outcomes import Models, run_all
from resift.evaluate.plan import plan
from resift.evaluate.result_cache import ResultCache
from resift.evaluate.statistics import Estimate
from resift.loading import load
from resift.pipeline import Part, Pipeline

MEASURE = "nDCG@10"


@dataclass(frozen=True, slots=True)
class Measured:
    """A pipeline on the user's sample and this machine.

    Attributes:
        quality: mean nDCG@10 and its interval; None without judgements.
        gain: what the model adds to it over the first stage; None without judgements or model.
        ms_p50, ms_p95: milliseconds per query, first stage and model.
        runs_on: engine and precision.

    """

    quality: Estimate | None
    gain: Estimate | None
    ms_p50: float
    ms_p95: float
    runs_on: str = ""


def measure(
    chosen: Sequence[ModelCandidate],
    sample: UserSample,
    retrievers: tuple[Part, ...],
    depth: int,
    on_progress: Progress = lambda step, count, share: None,
) -> dict[str, Measured]:
    """Measure candidates by their ids, and the first stage under "".

    Args:
        chosen: whose weights are at hand.
        sample: queries and documents.
        retrievers: of the first stage.
        depth: candidates per query that a model scores; its score is blended with the first stage's, as in a search.
        on_progress: as in `evaluate`.

    Raises:
        ModelError: a model can't be used.

    """
    models = {c.row.id: load(str(c.folder)) for c in chosen}
    pipelines = {name: Pipeline(retrievers, (Part(name, depth), Part("blend"))) for name in models}
    runs_on = {name: model.info.runs_on for name, model in models.items()}
    if sample.judged is not None:
        options = EvaluationOptions((MEASURE,), cache=False, models=models)
        evaluation = evaluate(sample.judged, pipelines.values() or [Pipeline(retrievers)], options, on_progress)
        by_pipeline = {s.pipeline: s for s in summaries(evaluation)}
        return {
            name: Measured(s.measures[MEASURE], s.gains.get(MEASURE), s.ms_p50, s.ms_p95, runs_on.get(name, ""))
            for name, pipeline in {"": Pipeline(retrievers), **pipelines}.items()
            if (s := by_pipeline[str(pipeline)])
        }
    times = _times(sample, [Pipeline(retrievers), *pipelines.values()], Models(models), on_progress)
    return {
        name: Measured(
            None, None, float(np.percentile(ms, 50)), float(np.percentile(ms, 95)), runs_on.get(name, "")
        )
        for name, pipeline in {"": Pipeline(retrievers), **pipelines}.items()
        if (ms := times[pipeline])
    }  # fmt: skip


def _times(
    sample: UserSample, pipelines: Sequence[Pipeline], models: Models, on_progress: Progress
) -> Mapping[Pipeline, list[float]]:
    """Milliseconds of each query by pipeline."""
    data = Dataset(sample.queries, sample.documents, {query.id: {} for query in sample.queries})
    cache = ResultCache()
    try:
        first_stages = FirstStages(data, cache, on_progress=on_progress)
        outcomes = run_all(plan(pipelines), first_stages, models, on_progress)
    finally:
        cache.close()
    return {pipeline: outcomes[pipeline].ms for pipeline in pipelines}
