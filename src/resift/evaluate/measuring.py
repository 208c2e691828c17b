"""From outcomes to measures: documents get numbers, and each pipeline its values per query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from resift.evaluate import named_measures
from resift.evaluate.dataset import Dataset
from resift.evaluate.evaluation import NO_DOCUMENT, ModelScores, PipelineRun, Rows, StageRun, row_matrix
from resift.evaluate.outcomes import Outcome
from resift.evaluate.plan import PlannedPipeline
from resift.evaluate.stage_watch import StageOutcome
from resift.pipeline import Pipeline

if TYPE_CHECKING:
    from ir_measures import Measure


class Numbering:
    """Numbers for the documents that are ranked or judged, and the grades by these numbers.

    A judged document that the data do not have gets a number behind all others, and no id.
    """

    def __init__(self, data: Dataset, outcomes: Mapping[Pipeline, Outcome]) -> None:
        store = data.documents
        ranked: set[int] = set()
        for outcome in outcomes.values():
            ranked.update(*outcome.rankings, *outcome.candidates)
        judged = {store.row(i) for query in data.queries for i in data.qrels[query.id] if store.has(i)}
        rows = sorted(ranked | judged)
        self.ids = tuple(store.ids[row] for row in rows)
        self._rows = np.asarray(rows, np.int64)
        numbers = {id_: number for number, id_ in enumerate(self.ids)}
        self.grades: tuple[dict[int, int], ...] = tuple(
            {numbers.get(id_, len(rows) + at): grade for at, (id_, grade) in enumerate(data.qrels[query.id].items())}
            for query in data.queries
        )

    def of(self, rankings: Sequence[Sequence[int]]) -> Rows:
        """(Q, K), rankings by these numbers."""
        rows = row_matrix(rankings)
        numbers = np.searchsorted(self._rows, rows).astype(np.int32)
        return np.where(rows == NO_DOCUMENT, np.int32(NO_DOCUMENT), numbers)


def measured(step: PlannedPipeline, outcome: Outcome, numbering: Numbering, measures: Sequence[Measure]) -> PipelineRun:
    """What one pipeline did, with all measures of each query."""
    grades = numbering.grades
    rankings, candidates = numbering.of(outcome.rankings), numbering.of(outcome.candidates)
    best = named_measures.best_order(grades, candidates, step.depth)[:, : step.executed.top_k]
    return PipelineRun(
        pipeline=str(step.pipeline),
        baseline=str(step.baseline),
        depth=step.depth,
        rankings=rankings,
        values=named_measures.calculate(measures, grades, rankings),
        oracle=named_measures.calculate(measures[:1], grades, best)[str(measures[0])],
        recall_bound=named_measures.recall_bound(grades, candidates[:, : step.depth]),
        unjudged=named_measures.unjudged(grades, rankings),
        tied=np.array(outcome.tied, bool),
        ms=np.round(outcome.ms, 3),
        tokens=np.rint(outcome.tokens).astype(np.int64),
        flags=dict(outcome.flags),
        notes=dict(outcome.notes),
        scores=_scores(outcome),
        stages=tuple(_stage(stage, numbering, measures) for stage in outcome.stages),
    )


def _stage(stage: StageOutcome, numbering: Numbering, measures: Sequence[Measure]) -> StageRun:
    return StageRun(
        stage.stage,
        named_measures.calculate(measures, numbering.grades, numbering.of(stage.rankings)),
        np.round(stage.ms, 3),
        np.rint(stage.tokens).astype(np.int64),
    )


def _scores(outcome: Outcome) -> ModelScores | None:
    if outcome.model is None:
        return None
    values = tuple(np.array(row, np.float64) for row in outcome.scores)
    return ModelScores(outcome.model.name, str(outcome.model.kind), values)
