"""Level 3: a linear correction of a pipeline's order by features, as much as the labels show that it may."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from resift.evaluate.dataset import Dataset
from resift.evaluate.statistics import Floats
from resift.features import FeatureSet, Statistics, detect_fields, signal_kinds
from resift.pipeline import Part
from resift.pipeline.parts import LEARNED
from resift.rerank.learned import Learned, LearnedModel, corrected, scored_last
from resift.rerank.training_summary import TrainingSummary, distributions
from resift.text.analysis import sample
from resift.train.ltr.dataset_rows import groups_of
from resift.train.ltr.folder import write_stage
from resift.train.ltr.gains import HIGHEST, ndcg_of_lists
from resift.train.ltr.linear import CUTOFF, LinearExamples, fit_linear, out_of_fold, settings_of
from resift.train.ltr.out_of_fold import query_hash
from resift.train.ltr.report import AS_IT_CAME, compared, group_figures
from resift.train.ltr.rows import checked_rows
from resift.train.ltr.search import FOLDS
from resift.tune.fit import DEFAULT, choose
from resift.tune.learned import LearnedStage
from resift.types import Ranking

FOLDER = "linear"  # within the folder of what was tuned
RIDGES = (1000.0, 300.0, 100.0, 30.0, 10.0, 3.0)
_INNER_FOLDS = 3


@dataclass(frozen=True, eq=False)
class _Correction:
    """A correction that was fitted, with all that its folder holds.

    Attributes:
        model: with what it needs to compute features.
        examples: that it was fitted to.
        ridge: that was chosen.
        weight: 1, or 0 where it is not surely of use.
        seed: of the folds.

    """

    model: LearnedModel
    examples: LinearExamples
    ridge: float
    weight: float
    seed: int

    def save(self, folder: Path) -> Part:
        """Write a learned stage's folder into this one, and give the part of a pipeline that reads it."""
        model, rows, features = self.model, self.examples.rows, self.model.features
        folds = min(FOLDS, len(set(rows.queries)))
        (scores,) = out_of_fold(self.examples, [self.ridge], folds, self.seed)
        groups = group_figures(rows, model.function.gains(), groups_of(features))
        report = compared(rows, scores, groups, features.directions, folds, CUTOFF, "linear")
        note = (
            f"'{AS_IT_CAME}' is the order of the pipeline in front, and 'learned' the corrected one, whose ridge was "
            "chosen on these queries"
        )
        figures = report.as_json() | {"trials": []}
        summary = replace(model.summary, report=figures, issues=(note, *rows.issues))
        target = folder.absolute() / FOLDER
        write_stage(target, model.function, summary, features, model.statistics)
        return Part(LEARNED, None, (("model", str(target)), ("weight", self.weight)))


class Learner:
    """Fits a linear correction to rankings; it is a `learned.Learn`.

    It learns from all features of signals, texts and metadata but categories. Its ridge is the one whose mean
    gain, less a standard error of it, is largest on queries that it was not fitted to; where this is above 0 for none,
    the order stays. Documents count, never labels of other queries.

    Args:
        data: whose documents are searched.
        seed: of the folds.

    """

    def __init__(self, data: Dataset, seed: int = 0) -> None:
        documents = data.documents
        self._data, self._seed, self._statistics = data, seed, Statistics.of(documents)
        self._fields = detect_fields(documents[i] for i in sample(len(documents))).fields

    def __call__(self, rankings: Sequence[Ranking], grades: Sequence[Mapping[str, int]]) -> LearnedStage:
        """Fit.

        Raises:
            InputError: fewer than two queries have candidates of different grades.

        """
        heads = [Ranking(ranking.query, scored_last(ranking)) for ranking in rankings]
        heads = [head for head in heads if len(head)]
        features = FeatureSet.default(signal_kinds(heads), self._fields)
        by_query = {ranking.query.id: of_query for ranking, of_query in zip(rankings, grades, strict=True)}
        examples = self._examples(heads, by_query, features)
        ridge, weight = chosen(examples, self._seed)
        (function,) = fit_linear(examples, [ridge])
        rows = examples.rows
        facts = self._facts(rankings, rows.labels.tolist(), len(rows.queries))
        known = distributions(features.names, rows.matrix, function.gains())
        summary = TrainingSummary(FOLDER, function.library, known, settings_of(ridge), facts)
        model = LearnedModel(function, features, self._statistics, summary)
        return LearnedStage(Learned(model, weight=weight), _Correction(model, examples, ridge, weight, self._seed).save)

    def _examples(
        self, heads: Sequence[Ranking], grades: Mapping[str, Mapping[str, int]], features: FeatureSet
    ) -> LinearExamples:
        """Features and labels of the candidates, in the pipeline's order; those that nobody judged count as 0."""
        matrices = [features.matrix(head, self._statistics).values for head in heads]
        labels = [grades[head.query.id].get(c.document.id, 0) for head in heads for c in head]
        queries = [head.query.id for head in heads for _ in head]
        rows = checked_rows(np.concatenate(matrices), labels, queries, features.names, most=HIGHEST["linear"])
        ideals = (sorted((g for g in grades[query].values() if g > 0), reverse=True) for query in rows.queries)
        rows = replace(rows, ideals=tuple(np.array(ideal, np.int64) for ideal in ideals))
        of_query = {head.query.id: head.candidates for head in heads}
        lists = [of_query[query] for query in rows.queries]
        so_far = [corrected(candidates, np.zeros(len(candidates)), 0.0) for candidates in lists]
        categories = [i for i, name in enumerate(features.names) if name in features.categorical]
        return LinearExamples(rows, np.concatenate(so_far), tuple(categories))

    def _facts(self, rankings: Sequence[Ranking], labels: Sequence[int], queries: int) -> dict[str, Any]:
        return {
            "made_by": "resift tune",
            "name": self._data.name,
            "split": self._data.split,
            "fingerprint": self._data.fingerprint,
            "queries": queries,
            "rows": len(labels),
            "labels": {str(label): labels.count(label) for label in sorted(set(labels))},
            "unjudged": "zero",
            "query_hashes": sorted({query_hash(ranking.query) for ranking in rankings}),
        }


def chosen(examples: LinearExamples, seed: int) -> tuple[float, float]:
    """The ridge that is surely best on queries that it did not see, with the weight 1; the weight 0 where none is."""

    def values(scores: Floats) -> Floats:
        return ndcg_of_lists(examples.rows, scores, CUTOFF, "linear")

    outside = out_of_fold(examples, RIDGES, _INNER_FOLDS, seed)
    gains = np.stack([values(scores) for scores in outside]) - values(examples.so_far)
    (option,) = choose(gains, np.ones((1, gains.shape[1])))
    return (RIDGES[0], 0.0) if option == DEFAULT else (RIDGES[option], 1.0)
