"""Notes what each stage of a pipeline left of a query, and what it took: the order, milliseconds, tokens."""

from __future__ import annotations

import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

from resift.evaluate.document_store import DocumentStore
from resift.evaluate.first_stages import FirstRanking
from resift.evaluate.result_cache import Cost
from resift.pipeline import Part, Pipeline
from resift.types import Ranking


@dataclass(slots=True)
class StageOutcome:
    """What a stage did with the queries, in their order; rankings hold positions of documents in the data set."""

    stage: str
    rankings: list[array[int]] = field(default_factory=list)
    ms: list[float] = field(default_factory=list)
    tokens: list[float] = field(default_factory=list)


@dataclass(slots=True)
class _Reading:
    """What was left and taken when a part of the pipeline had run."""

    part: Part
    ranking: Ranking
    clock: float
    ms: float
    tokens: float
    seconds: float


class StageWatch:
    """Is shown what the stages of a pipeline leave; see `Pipeline.stage`.

    A stage that a guard or a rule skipped left the order as it was, and took nothing.

    Args:
        pipeline: whose stages run; one of fewer than two has nothing to tell apart, and `outcomes` stays empty.
        cost: what models took so far for the query at hand.
        documents: of the data set.

    """

    def __init__(self, pipeline: Pipeline, cost: Cost, documents: DocumentStore) -> None:
        self._parts = tuple(part for part in pipeline.stages if part.name != "when")
        self._parts = self._parts if len(self._parts) > 1 else ()
        self._cost, self._documents, self._top_k = cost, documents, pipeline.top_k
        self._readings: list[_Reading] = []
        first = " + ".join(map(str, pipeline.retrievers)) or "run"
        self.outcomes = [StageOutcome(stage) for stage in (first, *map(str, self._parts)) if self._parts]

    def __call__(self, part: Part, ranking: Ranking) -> None:
        """Note what a part left."""
        if self._parts:
            cost = self._cost
            self._readings.append(_Reading(part, ranking, time.perf_counter(), cost.ms, cost.tokens, cost.seconds))

    def begin(self) -> None:
        """Forget the query before."""
        self._readings.clear()

    def end(self, first: FirstRanking, began: float) -> None:
        """Write down what the stages did with a query.

        Args:
            first: what they began with.
            began: the reading of the clock when they did.

        """
        if not self._parts:
            return
        self._keep(self.outcomes[0], first.ranking, first.ms, 0.0)
        readings = _aligned(self._parts, self._readings)
        before = _Reading(self._parts[0], first.ranking, began, 0.0, 0.0, 0.0)
        for outcome, reading in zip(self.outcomes[1:], readings, strict=True):
            if reading is None:
                self._keep(outcome, before.ranking, 0.0, 0.0)
                continue
            elsewhere = max(0.0, reading.clock - before.clock - (reading.seconds - before.seconds)) * 1e3
            self._keep(outcome, reading.ranking, reading.ms - before.ms + elsewhere, reading.tokens - before.tokens)
            before = reading

    def _keep(self, outcome: StageOutcome, ranking: Ranking, ms: float, tokens: float) -> None:
        row = self._documents.row
        outcome.rankings.append(array("i", (row(c.document.id) for c in ranking.top(self._top_k))))
        outcome.ms.append(ms)
        outcome.tokens.append(tokens)


def _aligned(parts: Sequence[Part], readings: Sequence[_Reading]) -> list[_Reading | None]:
    """The reading of each part, None for those that did not run; a rule may have changed a depth."""
    waiting = list(readings)
    return [waiting.pop(0) if waiting and _is_of(waiting[0].part, part) else None for part in parts]


def _is_of(run: Part, part: Part) -> bool:
    return run.name in part.names and run.parameters == part.parameters
