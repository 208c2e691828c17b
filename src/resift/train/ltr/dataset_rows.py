"""From a data set to rows: queries run through a pipeline, features by the code that serves, labels of judgements."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from resift.api import load
from resift.evaluate import Dataset
from resift.evaluate.first_stages import FirstStages
from resift.evaluate.outcomes import Models
from resift.evaluate.result_cache import Cost, ResultCache
from resift.evaluate.run import judgement_folder
from resift.features import FeatureSet, Statistics, detect_fields
from resift.pipeline import DEFAULT_DEPTH, Part, Pipeline
from resift.protocols import Stage
from resift.rerank.drive import drive
from resift.text.analysis import sample
from resift.train.ltr.leaks import query_hash, stage_names
from resift.train.ltr.rows import TrainingRows, checked_rows
from resift.train.ltr.search import Progress
from resift.types import Document, Ranking

Unjudged = Literal["zero", "leave-out"]
DEFAULT_PIPELINE = "bm25 + dense"
_NO_SIGNALS = {"judged"}  # sources that say nothing of a document


@dataclass(frozen=True, slots=True)
class DataOptions:
    """How a data set becomes rows.

    Attributes:
        pipeline: gives candidates and signals: retrievers, and models whose scores become features.
        depth: how many candidates each query has.
        unjudged: candidates that nobody judged count as "zero", or are left out.
        cache: where scores are kept; see `evaluate.EvaluationOptions`.
        out_of_fold: folders of one model by the name that the pipeline has for it, each trained without some queries;
            a query is scored by the first that was not trained on it.
        features: which to compute; None: all that signals and documents allow.

    """

    pipeline: str = DEFAULT_PIPELINE
    depth: int = DEFAULT_DEPTH
    unjudged: Unjudged = "zero"
    cache: Path | bool | None = None
    out_of_fold: Mapping[str, Sequence[str]] = field(default_factory=dict)
    features: FeatureSet | None = None


@dataclass(frozen=True, eq=False)
class RankedData:
    """Rows of a data set, and what a model needs to compute the same features again.

    Attributes:
        rows: of the queries that teach an order; in the order in which the pipeline leaves them.
        features, statistics: of the model's folder.
        pipeline: which gave the candidates.
        facts: name, fingerprint, counts, hashes of the queries.

    """

    rows: TrainingRows
    features: FeatureSet
    statistics: Statistics
    pipeline: Pipeline
    facts: Mapping[str, Any]


def rows_of(
    data: Dataset,
    options: DataOptions = DataOptions(),
    highest: int = 30,
    on_progress: Progress = lambda step, count, share: None,
) -> RankedData:
    """Run the pipeline over all queries, compute features, and label candidates by the judgements.

    Args:
        data: queries, documents and judgements.
        options: pipeline, depth, unjudged candidates.
        highest: label that the gains allow.
        on_progress: is called after each query.

    Raises:
        InputError: a pipeline that can't be run, a model that was trained on these very queries and has no folders out
            of fold, or rows that teach nothing; see `checked_rows`.
        ModelError: a model can't be used.

    """
    plan = _plan(data, options)
    rankings = _rankings(data, plan, options, on_progress)
    documents = data.documents
    statistics = Statistics.of(documents)
    features = options.features or _features(rankings, documents)
    matrices, labels, queries, unjudged = [], [], [], 0
    for ranking in rankings:
        grades = data.qrels[ranking.query.id]
        unjudged += sum(c.document.id not in grades for c in ranking)
        if options.unjudged == "leave-out":
            values = features.matrix(ranking, statistics).values
            judged = [i for i, c in enumerate(ranking) if c.document.id in grades]
            matrices.append(values[judged])
            labels += [grades[ranking[i].document.id] for i in judged]
            queries += [ranking.query.id] * len(judged)
        else:
            matrices.append(features.matrix(ranking, statistics).values)
            labels += [grades.get(c.document.id, 0) for c in ranking]
            queries += [ranking.query.id] * len(ranking)
    rows = checked_rows(np.concatenate(matrices), labels, queries, features.names, most=highest)
    ideals = tuple(_ideal(data.qrels[query], highest) for query in rows.queries)
    issues = _issues(rows, unjudged, len(labels), options.unjudged)
    rows = replace(rows, ideals=ideals, issues=(*issues, *rows.issues))
    return RankedData(rows, features, statistics, plan, _facts(data, options, rows))


def _plan(data: Dataset, options: DataOptions) -> Pipeline:
    """The pipeline with retrievers, unless the data bring the candidates."""
    plan = Pipeline.parse(options.pipeline)
    if not plan.retrievers and data.run is None:
        plan = replace(plan, retrievers=(Part("bm25"), Part("dense")))
    return plan


def _rankings(data: Dataset, plan: Pipeline, options: DataOptions, on_progress: Progress) -> list[Ranking]:
    variants = stage_names(plan, data.queries, options.out_of_fold)
    depth = max(options.depth, plan.depth if plan.stages else 0)
    cache = ResultCache(judgement_folder(data, options.cache))
    try:
        first_stages = FirstStages(data, cache, False, on_progress)
        first_stages.check(plan.retrievers)
        stage_of = _stages(plan, variants.folders, cache)
        rankings = []
        for i, query in enumerate(data.queries, 1):
            first = first_stages.ranking(plan.retrievers, query, depth).ranking
            rankings.append(drive(stage_of(variants.of(query)), [first])[0].top(options.depth))
            on_progress("training queries run", i, i / len(data.queries))
        return rankings
    finally:
        cache.close()


def _stages(plan: Pipeline, names: Sequence[str], cache: ResultCache) -> Callable[[Mapping[str, str]], Stage]:
    """A function that gives the pipeline's stage with other folders in the place of some models."""
    models = Models({name: load(name) for name in dict.fromkeys([*plan.models, *names])})
    scorers = models.recorded(dict.fromkeys([*plan.models, *names]), cache, Cost())
    stages: dict[tuple[tuple[str, str], ...], Stage] = {}

    def stage_of(folders: Mapping[str, str]) -> Stage:
        key = tuple(sorted(folders.items()))
        if key not in stages:
            stages[key] = plan.stage(lambda name: scorers[folders.get(name, name)])
        return stages[key]

    return stage_of


def _features(rankings: Sequence[Ranking], documents: Sequence[Document]) -> FeatureSet:
    """All features of the signals that these rankings have, and of the fields of a sample of the documents."""
    sources = dict.fromkeys(s.source for ranking in rankings for c in ranking for s in c.signals)
    fields = detect_fields(documents[i] for i in sample(len(documents))).fields
    return FeatureSet.default([name for name in sources if name not in _NO_SIGNALS], fields)


def groups_of(features: FeatureSet) -> list[tuple[str, tuple[int, ...]]]:
    """Columns that belong together: those of one signal, of one field, else of one feature in all its forms."""
    groups: dict[str, list[int]] = {}
    for i, feature in enumerate(features.features):
        source, field_name = feature.parameters.get("source"), feature.parameters.get("field")
        name = f"signal {source}" if source else f"field {field_name}" if field_name else feature.definition.name
        groups.setdefault(name, []).append(i)
    return [(name, tuple(columns)) for name, columns in groups.items()]


def _ideal(grades: Mapping[str, int], highest: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.array(sorted((min(g, highest) for g in grades.values() if g > 0), reverse=True), np.int64)


def _issues(rows: TrainingRows, unjudged: int, candidates: int, rule: Unjudged) -> Iterator[str]:
    if not unjudged:
        return
    if rule == "zero":
        yield f"{unjudged} of {candidates} candidates were not judged, and count as 0 (--unjudged leave-out: left out)"
    else:
        yield f"{unjudged} candidates were not judged, and are left out (--unjudged zero: they count as 0)"


def _facts(data: Dataset, options: DataOptions, rows: TrainingRows) -> dict[str, Any]:
    return {
        "name": data.name,
        "split": data.split,
        "fingerprint": data.fingerprint,
        "queries": len(set(rows.queries)),
        "rows": len(rows.labels),
        "labels": {str(label): int((rows.labels == label).sum()) for label in np.unique(rows.labels)},
        "unjudged": options.unjudged,
        "depth": options.depth,
        "query_hashes": sorted({query_hash(query) for query in data.queries}),
    }
