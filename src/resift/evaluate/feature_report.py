"""What each feature is worth alone on judged queries: how often it is missing, its mean, how well it orders."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from resift.errors import InputError
from resift.evaluate.dataset import Dataset
from resift.evaluate.first_stages import Progress
from resift.evaluate.pipeline_rankings import pipeline_rankings
from resift.evaluate.run import EvaluationOptions
from resift.evaluate.statistics import Estimate, estimates
from resift.features import FeatureSet, Missing, Statistics, constant_columns, detect_fields, signal_kinds
from resift.pipeline import Pipeline
from resift.text.analysis import sample

SCHEMA = 1
_FIRST_STAGE, _OPTIONS = Pipeline(), EvaluationOptions()
_SAMPLES = 2_000  # of a bootstrap; there is one for each feature
_NO_SIGNAL = frozenset(("judged",))  # the source of judged documents that no retriever returned

Values = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class FeatureFacts:
    """One feature on a data set.

    Attributes:
        name: of the column.
        version: of the feature.
        missing: share of candidates without a value (0..1).
        mean: of the others; None where there are none.
        auc: how often a relevant candidate has more than one of the same query that is not, ties counted half: the
            mean over queries, with its interval. 0.5 tells nothing, and below it less is better. None where the
            candidates of no query differ.
        queries: over how many queries that is the mean.

    """

    name: str
    version: int
    missing: float
    mean: float | None
    auc: Estimate | None
    queries: int


@dataclass(frozen=True, slots=True)
class FeatureReport:
    """The features of a data set.

    Attributes:
        features: the set.
        facts: of each, in its order.
        constant: names of the features whose values are all equal, or all missing.
        missing: signals and fields that whole queries lack, and values that could not be used, with counts.
        left_out: fields of metadata that are no feature, with the reason.
        queries, candidates, relevant: how many there are.

    """

    features: FeatureSet
    facts: tuple[FeatureFacts, ...]
    constant: tuple[str, ...]
    missing: tuple[Missing, ...]
    left_out: dict[str, str]
    queries: int
    candidates: int
    relevant: int

    def without_constant(self) -> FeatureSet:
        """The set without features that tell nothing here.

        Raises:
            InputError: none is left.

        """
        telling = [f for f, name in zip(self.features.features, self.features.names, strict=True) if name not in
                   self.constant]  # fmt: skip
        if not telling:
            raise InputError("every feature has one value for all candidates; nothing can be learned from them")
        return FeatureSet(tuple(telling))

    def as_json(self) -> dict[str, Any]:
        """A value for JSON (schema: docs/features.md)."""
        return {
            "schema": SCHEMA,
            "queries": self.queries,
            "candidates": self.candidates,
            "relevant": self.relevant,
            "features": [
                {
                    "name": fact.name,
                    "version": fact.version,
                    "missing": fact.missing,
                    "mean": fact.mean,
                    "auc": None if fact.auc is None else fact.auc.value,
                    "auc_interval": None if fact.auc is None else [fact.auc.low, fact.auc.high],
                    "queries": fact.queries,
                    "constant": fact.name in self.constant,
                }
                for fact in self.facts
            ],
            "missing": [{"code": str(m.code), "name": m.name, "count": m.count, "message": m.message}
                        for m in self.missing],
            "left_out": self.left_out,
        }  # fmt: skip


def feature_report(
    data: Dataset,
    pipeline: Pipeline = _FIRST_STAGE,
    fields: Sequence[str] | None = None,
    options: EvaluationOptions = _OPTIONS,
    on_progress: Progress = lambda step, count, share: None,
) -> FeatureReport:
    """Compute all features of the candidates of a data set's queries, and measure each alone.

    A candidate that nobody judged counts as not relevant, as in a measure of the ranking.

    Args:
        data: queries, documents and judgements.
        pipeline: whose candidates and signals they are; see `pipeline_rankings`.
        fields: of metadata; by default all that can be features, see `detect_fields`.
        options: see `pipeline_rankings`; `seed` is that of the intervals.
        on_progress: as in `evaluate`.

    Raises:
        InputError: a field can't be used, no query has both relevant and other candidates, or as `evaluate`.

    """
    documents = data.documents
    detected = detect_fields((documents[i] for i in sample(len(documents))), fields)
    statistics = Statistics.of(documents)
    rankings = list(pipeline_rankings(data, pipeline, options, on_progress))
    signals = {source: kinds for source, kinds in signal_kinds(rankings).items() if source not in _NO_SIGNAL}
    features = FeatureSet.default(signals, detected.fields)
    now = time.time()
    values: list[Values] = []
    relevant: list[npt.NDArray[np.bool_]] = []
    missing: list[Missing] = []
    for done, ranking in enumerate(rankings, 1):
        matrix = features.matrix(ranking, statistics, now)
        grades = data.qrels[ranking.query.id]
        values.append(matrix.values)
        relevant.append(np.array([grades.get(c.document.id, 0) > 0 for c in ranking], bool))
        missing += matrix.missing
        on_progress("queries' features", done, 1.0)
    whole = np.concatenate(values)
    constant = constant_columns(features.names, whole)
    facts = _facts(features, values, relevant, options.seed)
    return FeatureReport(
        features, facts, constant, _summed(missing), dict(detected.left_out),
        len(rankings), len(whole), int(sum(r.sum() for r in relevant)),
    )  # fmt: skip


def _facts(
    features: FeatureSet, values: Sequence[Values], relevant: Sequence[npt.NDArray[np.bool_]], seed: int
) -> tuple[FeatureFacts, ...]:
    if not any(r.any() and not r.all() for r in relevant):
        raise InputError(
            "no query has both a relevant candidate and another one, so no feature can be measured; "
            "name a pipeline that finds relevant documents, or judge more"
        )
    areas, differ = (np.stack(columns) for columns in zip(*map(query_areas, values, relevant), strict=True))
    whole = np.concatenate(values).astype(np.float64)
    there = ~np.isnan(whole)
    counts = there.sum(axis=0)
    sums = np.where(there, whole, 0.0).sum(axis=0)
    facts = []
    for i, feature in enumerate(features.features):
        column = areas[~np.isnan(areas[:, i]), i : i + 1]
        telling = len(column) > 0 and differ[:, i].any()
        facts.append(
            FeatureFacts(
                feature.column,
                feature.definition.version,
                float(1 - counts[i] / len(whole)),
                float(sums[i] / counts[i]) if counts[i] else None,
                estimates(column, samples=_SAMPLES, seed=seed)[0] if telling else None,
                len(column) if telling else 0,
            )
        )
    return tuple(facts)


def query_areas(
    values: Values, relevant: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Per feature the area under the ROC curve of one query's candidates, and whether their values differ.

    That is the share of pairs of a relevant and another candidate in which the relevant one has more, ties counted
    half (Mann & Whitney, 1947). Pairs in which one has no value are left out; NaN where no pair is left.

    Args:
        values: (n, F).
        relevant: (n,).

    """
    wins, ties, pairs = (np.zeros(values.shape[1]) for _ in range(3))
    others = values[~relevant]
    for row in values[relevant]:
        wins += (row > others).sum(axis=0)
        ties += (row == others).sum(axis=0)
        pairs += (~np.isnan(row) & ~np.isnan(others)).sum(axis=0)
    areas = np.divide(wins + ties / 2, pairs, out=np.full(values.shape[1], np.nan), where=pairs > 0)
    return areas, pairs > ties


def _summed(missing: Iterable[Missing]) -> tuple[Missing, ...]:
    """What several queries lack, once, with the sum of the counts and the message of the first."""
    sums: dict[tuple[str, str], Missing] = {}
    for item in missing:
        key = (item.code, item.name)
        before = sums[key].count if key in sums else 0
        first = sums.get(key, item)
        sums[key] = Missing(first.code, first.name, before + item.count, first.message)
    return tuple(sums.values())
