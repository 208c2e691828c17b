"""Runs pipelines query by query, as `Index.run` runs them, and notes what came out and what it took."""

from __future__ import annotations

import time
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from resift.evaluate.first_stages import FirstStages, Progress
from resift.evaluate.plan import PlannedPipeline
from resift.evaluate.result_cache import Cost, RecordedScorer, ResultCache
from resift.evaluate.stage_watch import StageOutcome, StageWatch
from resift.pipeline import Pipeline
from resift.protocols import RemembersDocuments, Scorer, Stage
from resift.rerank.drive import drive
from resift.reranker import Reranker
from resift.types import ModelInfo, Query, Ranking

_REMEMBERED = 512 << 20  # bytes of encoded documents: about 20,000 of 200 tokens


@dataclass(slots=True)
class Outcome:
    """What a pipeline did with the queries, in their order; rankings hold positions of documents in the data set."""

    rankings: list[array[int]] = field(default_factory=list)
    candidates: list[array[int]] = field(default_factory=list)  # of the first stage
    tied: list[bool] = field(default_factory=list)
    ms: list[float] = field(default_factory=list)
    tokens: list[float] = field(default_factory=list)
    flags: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    scores: list[array[float]] = field(default_factory=list)
    model: ModelInfo | None = None  # the last one, whose scores these are
    stages: Sequence[StageOutcome] = ()  # of a pipeline that has several, the first stage in front


class Models:
    """The models of an evaluation by the names that pipelines have for them; each is let go when it is done.

    A model that encodes documents alone remembers them, since many queries find the same ones.
    """

    def __init__(self, models: Mapping[str, Reranker]) -> None:
        scorers = {name: model.scorer for name, model in models.items()}
        self._scorers: dict[str, Scorer] = {
            name: s.remembering(_REMEMBERED) if isinstance(s, RemembersDocuments) else s for name, s in scorers.items()
        }

    def recorded(self, names: Iterable[str], cache: ResultCache, cost: Cost) -> dict[str, Scorer]:
        """The scorers of a pipeline, with the cache in front of each."""
        return {name: RecordedScorer(self._scorers[name], cache, cost) for name in names}

    def release_all_but(self, names: Iterable[str]) -> None:
        """Let go of the other models."""
        self._scorers = {name: self._scorers[name] for name in dict.fromkeys(names)}


def run_all(
    steps: Sequence[PlannedPipeline], first_stages: FirstStages, models: Models, on_progress: Progress
) -> dict[Pipeline, Outcome]:
    """Run first stages, then pipelines model by model, the deepest first: the others find their pairs scored."""
    queries = first_stages.data.queries
    queue = sorted(steps, key=lambda step: (step.pipeline.models, -step.depth))
    outcomes: dict[Pipeline, Outcome] = {}
    done, total = 0, len(steps) * len(queries)
    for i, step in enumerate(queue):
        models.release_all_but(name for later in queue[i:] for name in later.pipeline.models)
        cost, label = Cost(), "queries reranked" if step.pipeline.models else "queries searched"
        scorers = models.recorded(step.pipeline.models, first_stages.cache, cost)
        watch = StageWatch(step.executed, cost, first_stages.data.documents)
        stage = step.executed.stage(scorers.__getitem__, watch=watch)
        last = scorers[step.pipeline.models[-1]].info if step.pipeline.models else None
        outcomes[step.pipeline] = outcome = Outcome(model=last, stages=watch.outcomes)
        for query in queries:
            _run_query(step, stage, query, first_stages, cost, outcome, watch)
            done += 1
            on_progress(label, done, done / total)
    return outcomes


def _run_query(
    step: PlannedPipeline,
    stage: Stage,
    query: Query,
    first_stages: FirstStages,
    cost: Cost,
    outcome: Outcome,
    watch: StageWatch,
) -> None:
    first = first_stages.ranking(step.executed.retrievers, query, step.candidates)
    cost.clear()
    watch.begin()
    began = time.perf_counter()
    ranking = drive(stage, [first.ranking])[0].top(step.executed.top_k)
    elsewhere = max(0.0, time.perf_counter() - began - cost.seconds) * 1e3  # guarding, sorting, blending
    watch.end(first, began)
    row = first_stages.data.documents.row
    outcome.rankings.append(array("i", (row(c.document.id) for c in ranking)))
    outcome.candidates.append(array("i", (row(c.document.id) for c in first.ranking)))
    outcome.tied.append(_has_ties(ranking))
    outcome.ms.append(first.ms + cost.ms + elsewhere)
    outcome.tokens.append(cost.tokens)
    outcome.flags.update(str(flag) for c in ranking for flag in c.flags)
    outcome.notes.update({str(note.code) for note in ranking.trace.notes})  # queries are counted, not notes
    outcome.scores.append(_scores(ranking, outcome.model.name) if outcome.model else array("d"))


def _scores(ranking: Ranking, model: str) -> array[float]:
    """What a model said of the first candidates, up to one that it did not score."""
    signals = ((s.score for s in reversed(c.signals) if s.source == model and s.score is not None) for c in ranking)
    scores = takewhile(lambda score: score is not None, (next(of_model, None) for of_model in signals))
    return array("d", (float(f"{score.value:.6g}") for score in scores if score is not None))


def _has_ties(ranking: Ranking) -> bool:
    """Whether two candidates have one score of the last stage."""
    stage = max((c.score.stage for c in ranking if c.score), default=0)
    values = [c.score.value for c in ranking if c.score and c.score.stage == stage]
    return len(set(values)) < len(values)
