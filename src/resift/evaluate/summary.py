"""The figures of each pipeline, from what it did with each query."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from resift.evaluate.evaluation import Evaluation, PipelineRun
from resift.evaluate.statistics import Estimate, Floats, estimates, holm, randomisation_test

Values = Callable[[PipelineRun, str], Floats]  # of each query, by a measure's name

_SAME = 1e-9  # a change of a measure below this is rounding


@dataclass(frozen=True, slots=True)
class StageSummary:
    """One stage of a pipeline in figures.

    Attributes:
        stage: as in `StageRun`.
        measures: mean of each measure in the order as the stage left it.
        gain: of the first measure over the stage before; None for the first stage.
        ms_p50, ms_p95: milliseconds per query of this stage alone.
        tokens: mean per query.

    """

    stage: str
    measures: Mapping[str, float]
    gain: Estimate | None
    ms_p50: float
    ms_p95: float
    tokens: float


@dataclass(frozen=True, slots=True)
class Summary:
    """One pipeline in figures; means are over queries, intervals cover 95 %.

    Attributes:
        pipeline, baseline, depth: as in `PipelineRun`.
        measures: mean of each measure.
        gains: of each measure over the baseline; empty for a pipeline without a model.
        p, p_holm: of the first measure's gain, alone and corrected for the number of pipelines; 1 without a model.
        helped, hurt, unchanged: queries whose first measure rose, fell or stayed against the baseline.
        oracle: mean of the first measure if the candidates stood in the best order.
        recall_bound: mean share of the relevant documents among the candidates.
        unjudged: mean share of the first ten documents that nobody judged.
        tied: share of the queries with equal scores.
        ms_p50, ms_p95: milliseconds per query.
        tokens: mean per query.
        stages: one after the other, the first stage in front; empty with fewer than two behind it.

    """

    pipeline: str
    baseline: str
    depth: int
    measures: Mapping[str, Estimate]
    gains: Mapping[str, Estimate]
    p: float
    p_holm: float
    helped: int
    hurt: int
    unchanged: int
    oracle: float
    recall_bound: float
    unjudged: float
    tied: float
    ms_p50: float
    ms_p95: float
    tokens: float
    stages: tuple[StageSummary, ...] = ()


def summaries(evaluation: Evaluation) -> list[Summary]:
    """The figures of each pipeline, in their order."""
    reranking = [run for run in evaluation.pipelines if run.reranks]
    first, seed = evaluation.measures[0], evaluation.seed
    measures = _table(evaluation, list(evaluation.pipelines), lambda run, m: run.values[m])
    gains = _table(evaluation, reranking, evaluation.gain)
    p_values = [1.0] * len(reranking)
    if reranking:
        p_values = randomisation_test(np.stack([evaluation.gain(run, first) for run in reranking], axis=1), seed=seed)
    tests = dict(zip((run.pipeline for run in reranking), zip(p_values, holm(p_values), strict=True), strict=True))
    return [
        _summary(
            evaluation, run, measures[run.pipeline], gains.get(run.pipeline, {}), tests.get(run.pipeline, (1.0, 1.0))
        )
        for run in evaluation.pipelines
    ]


def _table(evaluation: Evaluation, runs: list[PipelineRun], values: Values) -> dict[str, dict[str, Estimate]]:
    """Each pipeline's mean of each measure, all from the same resamples of queries."""
    if not runs:
        return {}
    columns = np.stack([values(run, measure) for run in runs for measure in evaluation.measures], axis=1)
    cells = iter(estimates(columns, seed=evaluation.seed))
    return {run.pipeline: {measure: next(cells) for measure in evaluation.measures} for run in runs}


def _summary(
    evaluation: Evaluation,
    run: PipelineRun,
    measures: Mapping[str, Estimate],
    gains: Mapping[str, Estimate],
    test: tuple[float, float],
) -> Summary:
    gain = evaluation.gain(run, evaluation.measures[0])
    helped, hurt = int((gain > _SAME).sum()), int((gain < -_SAME).sum())
    return Summary(
        run.pipeline, run.baseline, run.depth, measures, gains, *test,
        helped, hurt, len(gain) - helped - hurt,
        _mean(run.oracle), _mean(run.recall_bound), _mean(run.unjudged), float(run.tied.mean()),
        float(np.percentile(run.ms, 50)), float(np.percentile(run.ms, 95)), float(run.tokens.mean()),
        _stages(evaluation, run),
    )  # fmt: skip


def _stages(evaluation: Evaluation, run: PipelineRun) -> tuple[StageSummary, ...]:
    if not run.stages:
        return ()
    first = evaluation.measures[0]
    steps = [later.values[first] - earlier.values[first] for earlier, later in pairwise(run.stages)]
    gains = [None, *estimates(np.stack(steps, axis=1), seed=evaluation.seed)]
    return tuple(
        StageSummary(
            stage.stage, {measure: _mean(values) for measure, values in stage.values.items()}, gain,
            float(np.percentile(stage.ms, 50)), float(np.percentile(stage.ms, 95)), float(stage.tokens.mean()),
        )
        for stage, gain in zip(run.stages, gains, strict=True)
    )  # fmt: skip


def _mean(values: Floats) -> float:
    return float(values.mean())


def most_hurt(evaluation: Evaluation, run: PipelineRun, count: int) -> list[int]:
    """The queries that a pipeline hurt most by the first measure, the worst first; ties in the queries' order."""
    gain = evaluation.gain(run, evaluation.measures[0])
    return [int(i) for i in np.argsort(gain, kind="stable")[:count] if gain[i] < -_SAME]
