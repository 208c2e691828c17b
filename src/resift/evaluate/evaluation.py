"""The result of an evaluation: what each pipeline did with each query, from which all figures follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from resift.evaluate.issues import Issue
from resift.evaluate.statistics import Floats
from resift.types import Query

SCHEMA = 1  # a new field does not change it; a field that changes or goes away does
NO_DOCUMENT = -1

Rows = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class ModelScores:
    """What the last model of a pipeline said of documents, before a blend or a calibration.

    Attributes:
        model: its name.
        kind: what its scores are (`types.ScoreKind`).
        values: of each query, (n,), for the first n documents of its ranking, to six digits; a document that the model
            did not score never stands before one that it scored.

    """

    model: str
    kind: str
    values: tuple[Floats, ...]


@dataclass(frozen=True, eq=False)
class StageRun:
    """What one stage of a pipeline did with each of Q queries.

    Attributes:
        stage: its text in the pipeline; the first one is the retrievers, or "run".
        values: (Q,) of each measure, in the order as the stage left it.
        ms: (Q,), wall-clock milliseconds of this stage alone; 0 where it was skipped.
        tokens: (Q,), what its model read.

    """

    stage: str
    values: Mapping[str, Floats]
    ms: Floats
    tokens: npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class PipelineRun:
    """What one pipeline did with each of Q queries, in the order of `Evaluation.queries`.

    Attributes:
        pipeline: its text, which `Pipeline.parse` reads; "" for candidates that the data bring, as they are.
        baseline: the pipeline with the same first stage and no model; of such a pipeline, itself.
        depth: how many candidates its first model looks at; without a model how many were retrieved.
        rankings: (Q, K), positions in `Evaluation.documents`, best first; NO_DOCUMENT behind the last one.
        values: (Q,) of each measure, by its name.
        oracle: (Q,), the first measure where the candidates within `depth` stood in the best order.
        recall_bound: (Q,), the share of the relevant documents that are among the candidates within `depth`.
        unjudged: (Q,), the share of the first ten documents that nobody judged; 0 without a document.
        tied: (Q,), whether two documents have the same score of the last stage; the ranking's order breaks ties.
        ms: (Q,), wall-clock milliseconds of first stage and models, one query after the other on the run's machine.
        tokens: (Q,), what models read.
        flags: how many judgements have each flag (`types.Flag`).
        notes: how many queries have each note (`types.NoteCode`).
        scores: of the last model; None without a model, and in files of before they were written.
        stages: one after the other, the first stage in front; empty with fewer than two behind it, and in such files.

    """

    pipeline: str
    baseline: str
    depth: int
    rankings: Rows
    values: Mapping[str, Floats]
    oracle: Floats
    recall_bound: Floats
    unjudged: Floats
    tied: npt.NDArray[np.bool_]
    ms: Floats
    tokens: npt.NDArray[np.int64]
    flags: Mapping[str, int] = field(default_factory=dict)
    notes: Mapping[str, int] = field(default_factory=dict)
    scores: ModelScores | None = None
    stages: tuple[StageRun, ...] = ()

    @property
    def reranks(self) -> bool:
        """Whether a model orders candidates."""
        return self.pipeline != self.baseline


@dataclass(frozen=True, eq=False)
class DataFacts:
    """What the figures are about.

    Attributes:
        name, split: where the data come from.
        fingerprint: of queries, documents and judgements.
        documents, judgements: how many there are; the queries are in the evaluation.
        judged_only: whether only judged documents were candidates.
        issues: what was wrong with the data.
        synthetic: whether queries were made from the documents, and are not what people ask.
        defaults: models that were taken by the language of the texts, since none was named.

    """

    name: str
    split: str
    fingerprint: str
    documents: int
    judgements: int
    judged_only: bool = False
    issues: tuple[Issue, ...] = ()
    synthetic: bool = False
    defaults: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Pipelines on the same queries, and all that is needed to judge and compare them.

    Attributes:
        data: what was evaluated.
        queries: Q queries, in the order of all per-query values.
        documents: ids of all documents that are in a ranking or judged.
        grades: of each query, by position in `documents`.
        measures: names of the measures; the first one is compared, tested and shown first.
        pipelines: each first stage without a model stands before those that rerank it.
        texts: beginnings of the documents that a reader wants to see (`shown_documents`), by id: of the queries that
            were hurt most, then of those that changed most.
        models: what is known of each model by its name in pipelines: fingerprint, what it runs on, licence.
        machine: processor, cores, system and versions.
        seed: of resamples and samples.

    """

    data: DataFacts
    queries: tuple[Query, ...]
    documents: tuple[str, ...]
    grades: tuple[Mapping[int, int], ...]
    measures: tuple[str, ...]
    pipelines: tuple[PipelineRun, ...]
    texts: Mapping[str, str] = field(default_factory=dict)
    models: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    machine: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0

    def run(self, pipeline: str) -> PipelineRun:
        """The run of a pipeline's text.

        Raises:
            KeyError: there is none.

        """
        return next((run for run in self.pipelines if run.pipeline == pipeline), None) or _missing(pipeline)

    def ranking(self, run: PipelineRun, query: int) -> list[str]:
        """The document ids of one query's ranking, best first."""
        return [self.documents[i] for i in run.rankings[query] if i != NO_DOCUMENT]

    def gain(self, run: PipelineRun, measure: str) -> Floats:
        """(Q,), what a pipeline adds to a measure of its first stage."""
        gain: Floats = run.values[measure] - self.run(run.baseline).values[measure]
        return gain


def _missing(pipeline: str) -> PipelineRun:
    raise KeyError(pipeline)


def row_matrix(rankings: Sequence[Sequence[int]]) -> Rows:
    """Rankings of several lengths as one array, NO_DOCUMENT behind each one's last."""
    rows = np.full((len(rankings), max(map(len, rankings), default=0)), NO_DOCUMENT, np.int32)
    for i, ranking in enumerate(rankings):
        rows[i, : len(ranking)] = ranking
    return rows
