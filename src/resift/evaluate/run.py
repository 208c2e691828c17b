"""Evaluates: runs pipelines over a data set as the product runs them, and measures what each did with each query."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from resift.engine.compiled_models import cache_folder
from resift.evaluate import named_measures
from resift.evaluate.dataset import Dataset
from resift.evaluate.environment import machine, model_facts
from resift.evaluate.evaluation import DataFacts, Evaluation
from resift.evaluate.first_stages import FirstStages, Progress
from resift.evaluate.measuring import Numbering, measured
from resift.evaluate.outcomes import Models, run_all
from resift.evaluate.plan import plan
from resift.evaluate.result_cache import ResultCache
from resift.evaluate.shown_documents import beginnings
from resift.loading import load
from resift.pipeline import DEFAULT_DEPTH, Pipeline, PipelineLike, read_pipeline
from resift.reranker import Reranker


@dataclass(frozen=True, slots=True)
class EvaluationOptions:
    """How pipelines are compared.

    Attributes:
        measures: their names; the first one is compared and tested.
        depths: of the first model of every pipeline; none: as the pipelines have it.
        judged_only: only the documents that were judged for a query are its candidates.
        cache: a folder that keeps judgements; None: one for these documents in the user's cache; False: none.
        seed: of intervals and tests.
        models: loaded models by the names that pipelines have for them; others are loaded by name.

    """

    measures: Sequence[str] = named_measures.DEFAULT
    depths: Sequence[int] = ()
    judged_only: bool = False
    cache: Path | bool | None = None
    seed: int = 0
    models: Mapping[str, Reranker] = field(default_factory=dict)


def evaluate(
    data: Dataset,
    pipelines: Iterable[PipelineLike] = (),
    options: EvaluationOptions = EvaluationOptions(),
    on_progress: Progress = lambda step, count, share: None,
) -> Evaluation:
    """Run pipelines over all queries of a data set, and each of their first stages without a model.

    A pipeline runs as `Index.run` runs it over the documents in the data set's order; one without "top" as with "top
    100", or more where a measure looks further. One without retrievers reranks the data's run, or where there is none
    what a search finds by default. A pair that was scored before is looked up: a run that was stopped goes on, and one
    more pipeline costs only what is new.

    Args:
        data: what is searched and judged.
        pipelines: to compare; none: the model that reads the data, behind the default first stage or their run.
        options: measures, depths, cache.
        on_progress: is called with the name of the present step, how many items it has done, and their share (0..1).

    Raises:
        MissingExtra: ir-measures is not installed.
        InputError: a measure or pipeline that can't be computed, or a cache that can't be written.
        ModelError: a model can't be used. All of these come before anything is scored.

    """
    measures = named_measures.parse(options.measures)
    requested = [read_pipeline(p) for p in pipelines] or [Pipeline.parse(data.default_models.stages)]
    steps = plan(requested, options.depths, places(data, measures), bool(data.run))
    names = dict.fromkeys(name for step in steps for name in step.pipeline.models)
    models = {name: options.models[name] if name in options.models else load(name) for name in names}
    facts = {name: model_facts(model.info) for name, model in models.items()}
    cache = ResultCache(judgement_folder(data, options.cache))
    try:
        first_stages = FirstStages(data, cache, options.judged_only, on_progress)
        for step in steps:
            first_stages.check(step.pipeline.retrievers)
        running = Models(models)
        del models  # what is done can then be let go
        outcomes = run_all(steps, first_stages, running, on_progress)
    finally:
        cache.close()
    numbering = Numbering(data, outcomes)
    evaluation = Evaluation(
        data=facts_of(data, options.judged_only),
        queries=data.queries,
        documents=numbering.ids,
        grades=numbering.grades,
        measures=tuple(map(str, measures)),
        pipelines=tuple(measured(step, outcomes[step.pipeline], numbering, measures) for step in steps),
        models=facts,
        machine=machine(),
        seed=options.seed,
    )
    store = data.documents
    return replace(evaluation, texts=beginnings(evaluation, lambda id_: store[store.row(id_)]))


def places(data: Dataset, measures: Sequence[object]) -> int:
    """How many places are looked at: 100, or as far as a measure or a list of candidates goes."""
    cutoffs = [value for m in measures if isinstance(value := getattr(m, "params", {}).get("cutoff"), int)]
    longest = max(map(len, data.run.values()), default=0) if data.run else 0
    return max([DEFAULT_DEPTH, longest, *cutoffs])


def judgement_folder(data: Dataset, cache: Path | bool | None) -> Path | None:
    """The folder of the cache; None: everything stays in memory."""
    if isinstance(cache, Path):
        return cache
    root = None if cache is False else cache_folder()
    return None if root is None else root / "evaluate" / data.documents.texts_fingerprint[:16]


def facts_of(data: Dataset, judged_only: bool = False) -> DataFacts:
    """What the figures of a data set are about."""
    return DataFacts(
        data.name,
        data.split,
        data.fingerprint,
        len(data.documents),
        data.judgements,
        judged_only,
        data.issues,
        data.synthetic,
        tuple(data.default_models.taken),
    )
