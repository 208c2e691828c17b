"""Learns for one pipeline when to rerank a query, and says what that is worth on queries that taught nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from resift import arguments
from resift.errors import InputError
from resift.evaluate import EvaluationOptions, evaluate
from resift.evaluate.dataset import Dataset
from resift.evaluate.evaluation import PipelineRun
from resift.evaluate.first_stages import FirstStages, Progress
from resift.evaluate.plan import plan
from resift.evaluate.result_cache import ResultCache
from resift.evaluate.run import judgement_folder
from resift.loading import load
from resift.pipeline import DEFAULT_DEPTH, STAGES, Pipeline, resolved
from resift.rerank.query_signals import query_signals, retrievers_of
from resift.rerank.when import WhenRule
from resift.reranker import Reranker
from resift.score.defaults import RERANKERS
from resift.worth.expectation import Outcomes, WhenReport, as_columns, cross_report, learn
from resift.worth.report import interval
from resift.worth.splits import splits
from resift.worth.verdict import LEAST, LEAST_QUERIES


@dataclass(frozen=True, slots=True)
class WhenOptions:
    """How a rule is learned.

    Attributes:
        deeper: a depth that the rule may choose instead of the pipeline's, above it; None: skip or rerank.
        measure: what is gained.
        least: a call of the model has to be expected to gain so much.
        cache, seed: as in `EvaluationOptions`.
        models: loaded models by name.

    """

    deeper: int | None = None
    measure: str = "nDCG@10"
    least: float = LEAST
    cache: Path | bool | None = None
    seed: int = 0
    models: Mapping[str, Reranker] = field(default_factory=dict)


def learn_when(
    data: Dataset,
    pipeline: Pipeline | str | None = None,
    options: WhenOptions = WhenOptions(),
    on_progress: Progress = lambda step, count, share: None,
) -> tuple[WhenRule, WhenReport]:
    """Learn when a pipeline's models are worth asking.

    From 200 queries on one half teaches and the other is reported; below, each fifth is reported by what the others
    taught, and the rule itself is learned from all. See `expectation.cross_report` for what is reported.

    Args:
        data: judged queries.
        pipeline: with retrievers and a model; None: that of a search, with the model that reads the data.
        options: what is gained, and from when on.
        on_progress: as in `evaluate`.

    Raises:
        InputError: a pipeline without retrievers or models, a depth that is not above its own, or fewer than 50
            queries; else as `evaluate`.

    """
    chosen = pipeline or f"bm25 + dense >> {data.default_models.stages}"
    usual = Pipeline.parse(chosen) if isinstance(chosen, str) else chosen
    _check(data, usual, options)
    variants = [usual] if options.deeper is None else [usual, _at_depth(usual, options.deeper)]
    models = {name: options.models.get(name) or load(name) for name in usual.models}
    evaluation = evaluate(
        data,
        variants,
        EvaluationOptions((options.measure,), (), False, options.cache, options.seed, models),
        on_progress,
    )
    runs = [evaluation.run(str(variant)) for variant in variants]
    outcomes = _outcomes(evaluation.run(runs[0].baseline), runs, evaluation.measures[0])
    rows, sources = _signals(data, usual, options)
    signals, names = as_columns(rows)
    parts = splits(data.queries, options.seed)
    report = cross_report(signals, outcomes, parts, names, options.least, options.seed)
    everyone = np.ones(len(data.queries), bool)
    learned = learn(signals, outcomes, parts[0].tune if len(parts) == 1 else everyone, names)
    infos = [models[part.name].info for part in usual.stages if part.name not in STAGES]
    rule = WhenRule(
        resolved(usual.stages, infos), {info.name: info.fingerprint for info in infos}, sources,
        evaluation.measures[0], options.least, learned.gain, options.deeper or 0, learned.extra, asdict(report),
    )  # fmt: skip
    return rule, report


def _check(data: Dataset, pipeline: Pipeline, options: WhenOptions) -> None:
    if not 0 <= arguments.number(options.least, "least") < 1:
        raise InputError(
            f"least is the gain that a call has to be expected to bring, from 0 to below 1; not {options.least}"
        )
    if not pipeline.models or not pipeline.retrievers:
        raise InputError(
            f"{pipeline} needs retrievers and a model, such as bm25 >> {RERANKERS[0]}@50 >> blend: a rule is learned "
            "for both"
        )
    if any(part.name in ("when", "relevant", "boost") for part in pipeline.stages):
        raise InputError("a rule is learned for models and blends; leave when, relevant and boost out of the pipeline")
    if any(part.others for part in pipeline.stages):
        raise InputError("a rule is learned for one model; name it alone, without |")
    depth = pipeline.stages[0].depth or DEFAULT_DEPTH
    if options.deeper is not None and options.deeper <= depth:
        raise InputError(f"deeper is a depth above the pipeline's {depth}; not {options.deeper}")
    if len(data.queries) < LEAST_QUERIES:
        missing = LEAST_QUERIES - len(data.queries)
        raise InputError(
            f"when to rerank can't be learned from {len(data.queries)} judged queries; label at least {missing} more"
        )


def _at_depth(pipeline: Pipeline, depth: int) -> Pipeline:
    first, *rest = pipeline.stages
    return replace(pipeline, stages=(replace(first, depth=depth), *rest))


def _outcomes(baseline: PipelineRun, runs: list[PipelineRun], measure: str) -> Outcomes:
    lengths = (baseline.rankings >= 0).sum(axis=1)
    pairs = [np.zeros(len(lengths)), *(np.minimum(lengths, run.depth) for run in runs)]
    return Outcomes(
        np.stack([baseline.values[measure], *(run.values[measure] for run in runs)]), np.stack(pairs).astype(np.float64)
    )


def _signals(data: Dataset, pipeline: Pipeline, options: WhenOptions) -> tuple[list[dict[str, float]], tuple[str, ...]]:
    """The signals of each query, and the retrievers of the first query that has both."""
    step = plan([pipeline], places=DEFAULT_DEPTH)[-1]
    cache = ResultCache(judgement_folder(data, options.cache))
    try:
        stages = FirstStages(data, cache)
        rankings = [stages.ranking(step.executed.retrievers, query, step.candidates).ranking for query in data.queries]
    finally:
        cache.close()
    sources = max((retrievers_of(ranking) for ranking in rankings), key=len)
    missing = sum(retrievers_of(ranking) != sources for ranking in rankings)
    if missing:
        raise InputError(
            f"{missing} queries have no candidates of {' or '.join(sources)}, so signals can't be compared; name a "
            "retriever that answers all of them"
        )
    return [query_signals(ranking) for ranking in rankings], sources


def sentence(report: WhenReport, measure: str) -> str:
    """What was learned, for people."""
    facts = (
        f"{report.saved:.0%} of the pairs saved for {interval(report.quality)} {measure} on {report.queries} queries; "
        f"{report.skipped:.0%} skipped, {report.deeper:.0%} deeper; of those skipped, reranking would have helped "
        f"{report.harmed} and hurt {report.spared}; {interval(report.skill)} beside as many at random"
    )
    if report.learned:
        return f"learned: {facts}"
    return f"not learnable here: {report.reason} ({facts})"
