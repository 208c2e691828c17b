"""From a data set to rows: queries run through a pipeline, features by the code that serves, labels of judgements."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from resift.evaluate import Dataset, EvaluationOptions
from resift.evaluate.first_stages import JUDGED
from resift.evaluate.issues import IssueCode
from resift.evaluate.pipeline_rankings import pipeline_rankings
from resift.features import FeatureMatrix, FeatureSet, Missing, MissingCode, Statistics, detect_fields, signal_kinds
from resift.pipeline import DEFAULT_DEPTH, Part, Pipeline
from resift.rerank.ranking_function import Matrix
from resift.text.analysis import sample
from resift.train.ltr.out_of_fold import OutOfFold, query_hash, renamed, replaced
from resift.train.ltr.rows import Integers, TrainingRows, checked_rows
from resift.train.ltr.search import Progress
from resift.types import Document, Query, Ranking

Unjudged = Literal["zero", "leave-out"]
DEFAULT_PIPELINE = "bm25 + dense"
_UNREAD = (MissingCode.NOT_FINITE, MissingCode.WRONG_TYPE, MissingCode.CATEGORY)


@dataclass(frozen=True, slots=True)
class DataOptions:
    """How a data set becomes rows.

    Attributes:
        pipeline: gives candidates and signals: retrievers, and models whose scores become features.
        depth: how many candidates each query has.
        unjudged: candidates that nobody judged count as "zero", or are left out.
        judged_only: the documents that were judged for a query are its only candidates.
        cache: where scores are kept; see `evaluate.EvaluationOptions`.
        out_of_fold: folders of one model by the name that the pipeline has for it, each trained without some queries;
            a query is scored by the first that was not trained on it.
        features: which to compute; None: all that signals and documents allow.

    """

    pipeline: str = DEFAULT_PIPELINE
    depth: int = DEFAULT_DEPTH
    unjudged: Unjudged = "zero"
    judged_only: bool = False
    cache: Path | bool | None = None
    out_of_fold: Mapping[str, Sequence[str]] = field(default_factory=dict)
    features: FeatureSet | None = None


@dataclass(frozen=True, eq=False)
class RankedData:
    """Rows of a data set, and what a model needs to compute the same features again.

    Attributes:
        rows: of the queries that teach an order, candidates in the order of the first stage, which breaks ties.
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

    Features are of all candidates, those that are left out as unjudged too, as in serving.

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
    ranked = ranked_queries(data, options, on_progress)
    values, unread = ranked.matrices()
    matrices, labels, queries, unjudged = [], [], [], 0
    for ranking, matrix in zip(ranked.rankings, values, strict=True):
        grades = data.qrels[ranking.query.id]
        unjudged += sum(c.document.id not in grades for c in ranking)
        taken = sorted(range(len(ranking)), key=lambda i, r=ranking: r[i].first_rank)  # type: ignore[misc]
        if options.unjudged == "leave-out":
            taken = [i for i in taken if ranking[i].document.id in grades]
        matrices.append(matrix[taken])
        labels += [grades.get(ranking[i].document.id, 0) for i in taken]
        queries += [ranking.query.id] * len(taken)
    candidates = sum(map(len, ranked.rankings))
    rows = checked_rows(np.concatenate(matrices), labels, queries, ranked.features.names, most=highest)
    ideals = tuple(_ideal(data.qrels[query], highest) for query in rows.queries)
    issues = (*issues_of(data, options), *unread, *_issues(unjudged, candidates, options.unjudged), *rows.issues)
    return ranked.data(replace(rows, ideals=ideals, issues=issues), facts_of(data, options, rows))


@dataclass(frozen=True, eq=False)
class RankedQueries:
    """The candidates of each query with their signals, and how their features are computed."""

    rankings: list[Ranking]
    features: FeatureSet
    statistics: Statistics
    pipeline: Pipeline

    def matrices(self) -> tuple[list[Matrix], list[str]]:
        """(n, F) of all candidates of each query, and sentences on fields whose values can't be read."""
        matrices = [self.features.matrix(ranking, self.statistics) for ranking in self.rankings]
        return [matrix.values for matrix in matrices], list(_unread(matrices))

    def data(self, rows: TrainingRows, facts: Mapping[str, Any]) -> RankedData:
        """Rows that were made of them, with what a model needs."""
        return RankedData(rows, self.features, self.statistics, self.pipeline, facts)


def ranked_queries(data: Dataset, options: DataOptions, on_progress: Progress) -> RankedQueries:
    """Run the pipeline over all queries; features are those of the options, or all that the signals allow."""
    plan = Pipeline.parse(options.pipeline)
    if not plan.retrievers and data.run is None:
        plan = replace(plan, retrievers=(Part("bm25"), Part("dense")))
    rankings = _rankings(data, plan, options, on_progress)
    features = options.features or _features(rankings, data.documents)
    return RankedQueries(rankings, features, Statistics.of(data.documents), plan)


def _rankings(data: Dataset, plan: Pipeline, options: DataOptions, on_progress: Progress) -> list[Ranking]:
    """The candidates of each query, in the queries' order; each group of queries by models that do not know it."""
    folders = OutOfFold.of(plan, data.queries, options.out_of_fold)
    groups: dict[tuple[tuple[str, str], ...], list[Query]] = defaultdict(list)
    for query in data.queries:
        groups[tuple(sorted(folders.for_query(query).items()))].append(query)
    rankings: dict[str, Ranking] = {}

    def count(step: str, done: int, share: float) -> None:
        total = len(rankings)
        on_progress("training queries run", total, total / len(data.queries))

    for group, queries in groups.items():
        variant, models, names = replaced(plan, dict(group))
        part = replace(data, queries=tuple(queries))
        evaluation = EvaluationOptions(judged_only=options.judged_only, cache=options.cache, models=models)
        for ranking in pipeline_rankings(part, variant, evaluation, count, options.depth):
            rankings[ranking.query.id] = renamed(ranking.top(options.depth), names)
    return [rankings[query.id] for query in data.queries]


def _features(rankings: Sequence[Ranking], documents: Sequence[Document]) -> FeatureSet:
    """All features of the signals that these rankings have, and of the fields of a sample of the documents."""
    fields = detect_fields(documents[i] for i in sample(len(documents))).fields
    kinds = {source: of_source for source, of_source in signal_kinds(rankings).items() if source != JUDGED}
    return FeatureSet.default(kinds, fields)


def groups_of(features: FeatureSet) -> list[tuple[str, tuple[int, ...]]]:
    """Columns that belong together: those of one signal, of one field, else of one feature in all its forms."""
    groups: dict[str, list[int]] = {}
    for i, feature in enumerate(features.features):
        source, field_name = feature.parameters.get("source"), feature.parameters.get("field")
        name = f"signal {source}" if source else f"field {field_name}" if field_name else feature.definition.name
        groups.setdefault(name, []).append(i)
    return [(name, tuple(columns)) for name, columns in groups.items()]


def _ideal(grades: Mapping[str, int], highest: int) -> Integers:
    return np.array(sorted((min(g, highest) for g in grades.values() if g > 0), reverse=True), np.int64)


def _unread(matrices: Sequence[FeatureMatrix]) -> Iterator[str]:
    """A sentence on each field that holds what is no number, date or known category, with the first example."""
    notes: dict[tuple[MissingCode, str], list[Missing]] = defaultdict(list)
    for missing in (m for matrix in matrices for m in matrix.missing if m.code in _UNREAD):
        notes[missing.code, missing.name].append(missing)
    for of_field in notes.values():
        count, more = sum(m.count for m in of_field), len(of_field) - 1
        yield of_field[0].message + (f"; with {more} other queries {count} candidates" if more else "")


def issues_of(data: Dataset, options: DataOptions) -> list[str]:
    """What is wrong with the data, in sentences.

    Gaps between grades are said of gains that are the grades themselves; that the data bring their candidates is no
    news where those are all.
    """
    silent = {IssueCode.GRADE_GAPS, *([IssueCode.JUDGED_CANDIDATES] if options.judged_only else [])}
    return [str(issue) for issue in data.issues if issue.code not in silent]


def _issues(unjudged: int, candidates: int, rule: Unjudged) -> Iterator[str]:
    if not unjudged:
        return
    if rule == "zero":
        yield f"{unjudged} of {candidates} candidates were not judged, and count as 0 (--unjudged leave-out: left out)"
    else:
        yield f"{unjudged} candidates were not judged, and are left out (--unjudged zero: they count as 0)"


def facts_of(data: Dataset, options: DataOptions, rows: TrainingRows) -> dict[str, Any]:
    """What the model's summary says of its data."""
    return {
        "name": data.name,
        "split": data.split,
        "fingerprint": data.fingerprint,
        "queries": len(set(rows.queries)),
        "rows": len(rows.labels),
        "labels": {str(label): int((rows.labels == label).sum()) for label in np.unique(rows.labels)},
        "unjudged": options.unjudged,
        "judged_only": options.judged_only,
        "depth": options.depth,
        "query_hashes": sorted({query_hash(query) for query in data.queries}),
    }
