"""Level 3: trees that correct the order of a pipeline, as much as the labels show that they may."""

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
from resift.rerank.tree_models import import_lightgbm
from resift.text.analysis import sample
from resift.train.ltr.dataset_rows import groups_of
from resift.train.ltr.fit import fit
from resift.train.ltr.folder import write_folder
from resift.train.ltr.gains import HIGHEST, ndcg_of_lists
from resift.train.ltr.out_of_fold import query_hash
from resift.train.ltr.report import AS_IT_CAME, report
from resift.train.ltr.rows import TrainingRows, checked_rows
from resift.train.ltr.search import out_of_fold
from resift.train.ltr.settings import TreeSettings
from resift.train.ltr.train import TrainedLtr
from resift.tune.fit import DEFAULT, choose
from resift.tune.learned import LearnedStage
from resift.types import Ranking

FOLDER = "trees"  # within the folder of what was tuned
WEIGHTS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)  # of the trees' score beside the pipeline's
_INNER_FOLDS = 3
# Few small trees, each of some of the features: 50 queries have about 100 relevant candidates in all.
_SETTINGS = TreeSettings(
    leaves=4, learning_rate=0.05, rounds=100, least_rows=100, row_share=0.8, feature_share=0.3, gain="linear",
    truncation=20,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Trees:
    """Trees that were fitted, and how much they count.

    Attributes:
        model: with what it needs to compute features.
        rows: of training; queries that teach no order are left out.
        settings: of the trees.
        weight: of their score beside the pipeline's.
        facts: of the training data.

    """

    model: LearnedModel
    rows: TrainingRows
    settings: TreeSettings
    weight: float
    facts: Mapping[str, Any]

    def save(self, folder: Path) -> Part:
        """Write a learned stage's folder into this one, and give the part of a pipeline that reads it."""
        features, rows, trees = self.model.features, self.rows, self.model.trees
        gains, groups = trees.gains(), groups_of(features)
        figures = report(rows, self.settings, gains, groups, features.directions, None, ablate=False)
        note = (
            f"'{AS_IT_CAME}' is the order of the pipeline in front; the figures are of trees alone, and the pipeline "
            f"adds their score to its own with the weight {self.weight:g}"
        )
        trained = TrainedLtr(
            trees, self.settings, (), figures, self.model.summary.features, (), (note, *rows.issues), 0.0, self.facts
        )
        target = folder.absolute() / FOLDER
        write_folder(target, trained, features, self.model.statistics)
        return Part(LEARNED, None, (("model", str(target)), ("weight", self.weight)))


class TreeLearner:
    """Fits trees to rankings, and how much they count beside the pipeline's own score; it is a `learned.Learn`.

    Trees learn from all features of signals, texts and metadata, and never against the direction of a feature. Their
    weight is the one whose mean gain, less a standard error of it, is largest on queries that the trees did not see;
    where this is above 0 for none, it is 0 and the order stays. Documents count, never labels of other queries.

    Args:
        data: whose documents are searched.
        seed: of the trees and the folds.

    Raises:
        MissingExtra: LightGBM is not installed.

    """

    def __init__(self, data: Dataset, seed: int = 0) -> None:
        import_lightgbm()
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
        rows = self._rows(heads, by_query, features)
        signs = {name: sign for name, sign in zip(features.names, features.directions, strict=True) if sign}
        least = min(_SETTINGS.least_rows, max(5, len(rows.labels) // 40))  # where few candidates are scored
        settings = replace(_SETTINGS, monotone=signs, seed=self._seed, least_rows=least)
        weight = _weight(rows, {head.query.id: head for head in heads}, settings)
        trees = fit(rows, settings)
        summary = TrainingSummary(FOLDER, "lightgbm", distributions(features.names, rows.matrix, trees.gains()))
        model = LearnedModel(trees, features, self._statistics, summary)
        facts = {
            "made_by": "resift tune",
            "name": self._data.name,
            "split": self._data.split,
            "fingerprint": self._data.fingerprint,
            "queries": len(rows.queries),
            "rows": len(rows.labels),
            "labels": {str(label): int((rows.labels == label).sum()) for label in np.unique(rows.labels)},
            "unjudged": "zero",
            "query_hashes": sorted({query_hash(ranking.query) for ranking in rankings}),
        }
        return LearnedStage(Learned(model, weight=weight), _Trees(model, rows, settings, weight, facts).save)

    def _rows(
        self, heads: Sequence[Ranking], grades: Mapping[str, Mapping[str, int]], features: FeatureSet
    ) -> TrainingRows:
        """Features and labels of the candidates, in the pipeline's order; those that nobody judged count as 0."""
        matrices = [features.matrix(head, self._statistics).values for head in heads]
        labels = [grades[head.query.id].get(c.document.id, 0) for head in heads for c in head]
        queries = [head.query.id for head in heads for _ in head]
        rows = checked_rows(np.concatenate(matrices), labels, queries, features.names, most=HIGHEST["linear"])
        ideals = (sorted((g for g in grades[query].values() if g > 0), reverse=True) for query in rows.queries)
        return replace(rows, ideals=tuple(np.array(ideal, np.int64) for ideal in ideals))


def _weight(rows: TrainingRows, heads: Mapping[str, Ranking], settings: TreeSettings) -> float:
    """How much trees may count, by queries that they did not see; 0 where they are not surely of use."""
    scores = out_of_fold(rows, lambda _: settings, _INNER_FOLDS, settings.seed)
    lists = [heads[query].candidates for query in rows.queries]
    parts = np.split(scores, rows.starts[1:-1])

    def values(weight: float) -> Floats:
        mixed = [corrected(head, part, weight) for head, part in zip(lists, parts, strict=True)]
        return ndcg_of_lists(rows, np.concatenate(mixed), settings.cutoff, settings.gain)

    gains = np.stack([values(weight) for weight in WEIGHTS]) - values(0.0)
    (option,) = choose(gains, np.ones((1, len(lists))))
    return 0.0 if option == DEFAULT else WEIGHTS[option]
