"""Tunes a pipeline: scores once, fits level by level on folds of the queries, and takes the smallest that is better."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from resift.errors import InputError
from resift.evaluate.dataset import Dataset
from resift.evaluate.environment import machine, model_facts
from resift.evaluate.first_stages import FirstStages, Progress
from resift.evaluate.outcomes import Models
from resift.evaluate.result_cache import Cost, RecordedScorer, ResultCache
from resift.evaluate.run import facts_of, judgement_folder, places
from resift.evaluate.statistics import Floats, estimates
from resift.loading import load
from resift.measures import ndcg
from resift.pipeline import STAGES, Part, Pipeline, PipelineLike, read_pipeline
from resift.rerank.drive import drive
from resift.reranker import Reranker
from resift.tune.fit import DEFAULT, Fitted, fit, most_stretch
from resift.tune.learned import Learn, LearnedStage
from resift.tune.learner import Learner
from resift.tune.result import LEAST_QUERIES, LevelResult, Tuned, corrected, sentence, too_few
from resift.tune.signals import Signals
from resift.tune.space import Space, blend_space, check_tunable, default_option, tuned_pipeline, whole_space
from resift.tune.tables import PLACES, table
from resift.worth.first_stage_grid import FirstStageGrid
from resift.worth.selection import stretched
from resift.worth.splits import folds

MEASURE = f"nDCG@{PLACES}"
NAMES = {1: "blend", 2: "blend, fusion and BM25", 3: "learned stage"}


@dataclass(frozen=True, slots=True)
class TuneOptions:
    """What is tuned.

    Attributes:
        pipeline: whose weights are fitted, and the default that they have to beat; None: what a search does by default,
            or where the data bring candidates the default model behind them.
        learn: fits the stage of level 3; None: a linear correction; False: there is no level 3.
        cache: a folder that keeps judgements; None: one for these documents in the user's cache; False: none.
        seed: of folds and intervals.
        models: loaded models by the names that the pipeline has for them; others are loaded by name.

    """

    pipeline: PipelineLike | None = None
    learn: Learn | Literal[False] | None = None
    cache: Path | bool | None = None
    seed: int = 0
    models: Mapping[str, Reranker] = field(default_factory=dict)


def tune(
    data: Dataset,
    options: TuneOptions = TuneOptions(),
    on_progress: Progress = lambda step, count, share: None,
) -> Tuned:
    """Fit a pipeline's weights to labelled queries, and take as little freedom as is surely better than the default.

    Levels in rising order of freedom: the blend; the blend, BM25's k1 and b and the fusion; a learned stage. Each is
    fitted on four fifths of the queries and measured on the fifth that is left. A level is taken where its gain over
    what was taken before it has an interval above 0, which is corrected for the number of levels.

    Args:
        data: what is searched and judged.
        options: what is tuned.
        on_progress: is called with the name of the present step, how many items it has done, and their share (0..1).

    Raises:
        InputError: a pipeline that can't be tuned, or a cache that can't be written.
        ModelError: a model can't be used.

    """
    began = time.monotonic()
    stages = data.default_models.stages
    default = read_pipeline(options.pipeline or (stages if data.run else f"bm25 + dense >> {stages}"))
    check_tunable(default)
    if not (default.retrievers or data.run):
        default = replace(default, retrievers=(Part("bm25"), Part("dense")))
    result = Tuned(
        str(default), too_few(len(data.queries)), None, str(default), 0.0, MEASURE, len(data.queries), (), 0, 0.0,
        facts_of(data), seed=options.seed,
    )  # fmt: skip
    if len(data.queries) < LEAST_QUERIES:
        return result
    name = default.models[0]
    model = options.models[name] if name in options.models else load(name)
    cache = ResultCache(judgement_folder(data, options.cache))
    try:
        tuning = _Tuning(data, default, model, cache, options, on_progress)
        result = tuning.run(result)
    finally:
        cache.close()
    seconds = time.monotonic() - began
    return replace(result, seconds=seconds, models={name: model_facts(model.info)}, machine=machine())


class _Tuning:
    """One data set and one pipeline."""

    def __init__(
        self,
        data: Dataset,
        default: Pipeline,
        model: Reranker,
        cache: ResultCache,
        options: TuneOptions,
        on_progress: Progress,
    ) -> None:
        self.data, self.default, self.options, self._on_progress = data, default, options, on_progress
        stages = FirstStages(data, cache, on_progress=on_progress)
        stages.check(default.retrievers)
        count = max(default.depth, default.top_k or places(data, ()))  # as many as an evaluation retrieves
        self.grid = FirstStageGrid(stages, default.retrievers, count)
        info = model.info
        searched = any(part.name == "dense" and part.value("model") == info.name for part in default.retrievers)
        self.usual = (info.blend_weight_indexed if searched else None) or info.blend_weight
        first = self.grid.stages[0]
        self.spaces = [blend_space(default, first, self.usual), whole_space(default, first, self.usual)]
        if len(self.spaces[1].firsts) == 1:
            del self.spaces[1]  # there is no freedom but the blend's
        self.grid.search(on_progress, self.spaces[-1].firsts)
        scorer = Models({default.models[0]: model}).recorded(default.models, cache, Cost())[default.models[0]]
        assert isinstance(scorer, RecordedScorer)
        self.scorer = scorer
        depth = next(part.depth for part in default.stages if part.name not in STAGES) or default.depth
        self.signals = Signals(data, self.grid, scorer, depth, default.guard)
        self._lists = self._done = 0  # candidate lists that the levels look at, and those that are done
        self.learned: LearnedStage | None = None  # from all queries
        self.folds = folds(data.queries, options.seed)
        if not self.folds:
            raise InputError("all queries have the same text, so that none can be held out; label others")

    def run(self, result: Tuned) -> Tuned:
        """The levels one after the other."""
        self.signals.score(self.spaces[-1].firsts, self._on_progress)
        self._lists = sum(len(space.firsts) for space in self.spaces) * len(self.data.queries)
        usual = self._default_values()
        fits = [(level, *self._fit(space, usual)) for level, space in enumerate(self.spaces, 1)]
        notes: tuple[str, ...] = ()
        if self.options.learn is not False:
            try:
                learn = self.options.learn or Learner(self.data, self.options.seed)
                fits.append((3, self._learned(learn), str(self.default)))
            except InputError as error:
                notes = (f"level 3, a learned stage, was left out: {error}",)
        return replace(self._taken(result, usual, fits), notes=notes)

    def _default_values(self) -> Floats:
        """(Q,), of the pipeline as it is."""
        opinion, weight = default_option(self.default, self.usual)
        space = Space((self.grid.stages[0],), (opinion,), (weight,))
        values: Floats = table(space, self.signals.candidates, len(self.data.queries), lambda: None)[0]
        return values

    def _fit(self, space: Space, usual: Floats) -> tuple[Fitted, str]:
        """A level's values, and the text of what it makes of the pipeline."""

        def on_query() -> None:
            self._done += 1
            self._on_progress("candidate lists weighed", self._done, self._done / self._lists)

        values = table(space, self.signals.candidates, len(self.data.queries), on_query)
        outcome = fit(space, values, usual, self.folds, self.options.seed)
        if outcome.option == DEFAULT:
            return outcome, str(self.default)
        return outcome, str(tuned_pipeline(self.default, *space.option(outcome.option), self.grid.own_weight))

    def _learned(self, learn: Learn) -> Fitted:
        """The values of a stage that is learned in each fold from the others."""
        stage = self.default.stage(lambda name: self.scorer)
        rankings = [drive(stage, [self.grid.ranking(self.grid.stages[0], q)])[0] for q in range(len(self.data.queries))]
        grades = [self.data.qrels[query.id] for query in self.data.queries]
        values = np.zeros(len(rankings))
        for done, fold in enumerate(self.folds, 1):
            teachers = np.flatnonzero(fold.tune).tolist()
            stage_of_fold = learn([rankings[q] for q in teachers], [grades[q] for q in teachers])
            for q in np.flatnonzero(fold.report).tolist():
                (ranking,) = drive(stage_of_fold.stage, [rankings[q]])
                values[q] = ndcg([c.document.id for c in ranking], grades[q], PLACES)
            self._on_progress("folds learned", done, done / len(self.folds))
        self.learned = learn(rankings, grades)
        return Fitted(values, 0, most_stretch(len(self.folds)))

    def _taken(self, result: Tuned, usual: Floats, fits: Sequence[tuple[int, Fitted, str]]) -> Tuned:
        """The levels as they are reported, and the one that is taken."""
        confidence, best, before = corrected(len(fits)), None, usual
        levels = []
        for level, outcome, pipeline in fits:
            columns = np.stack([outcome.values - usual, outcome.values - before], axis=1)
            gain, step = (stretched(e, outcome.factor) for e in estimates(columns, confidence, seed=self.options.seed))
            value = float(outcome.values.mean())
            levels.append(LevelResult(level, NAMES[level], pipeline, value, gain, step, outcome.factor))
            if step.low > 0 and outcome.option != DEFAULT:
                best, before = levels[-1], outcome.values
        return replace(
            result,
            pipeline=best.pipeline if best else result.default,
            sentence=sentence(best, tuple(levels), MEASURE, result.queries),
            level=best.level if best else 0,
            learned=self.learned if best and best.level == 3 else None,
            default_value=float(usual.mean()),
            levels=tuple(levels),
            misfits=self.signals.misfits,
        )
