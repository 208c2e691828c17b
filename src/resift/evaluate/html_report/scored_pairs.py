"""Scores beside judgements: which pairs a model scored, and how often a score means relevant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from resift.calibrate.bootstrap import Estimate, QueryBootstrap
from resift.calibrate.fitting import Bools, Floats, Ints
from resift.evaluate.evaluation import Evaluation, ModelScores, Rows

_BINS, _FEWEST = 12, 20


@dataclass(frozen=True, slots=True)
class ScoredPairs:
    """All pairs of query and document that a model scored.

    Attributes:
        scores: (n,).
        relevant: (n,), whether somebody judged the document with 1 or more; what nobody judged counts as not relevant.
        queries: (n,), the query of each pair.

    """

    scores: Floats
    relevant: Bools
    queries: Ints


@dataclass(frozen=True, slots=True)
class ScoreBin:
    """Pairs of neighbouring scores, and the share of them that is relevant."""

    lowest: float
    highest: float
    mean: float
    pairs: int
    relevant: Estimate


def scored_pairs(evaluation: Evaluation, scores: ModelScores, rankings: Rows) -> ScoredPairs:
    """The pairs of a pipeline's last model."""
    counts = [len(values) for values in scores.values]
    relevant = [
        grades.get(int(document), 0) > 0
        for grades, ranking, count in zip(evaluation.grades, rankings, counts, strict=True)
        for document in ranking[:count]
    ]
    return ScoredPairs(
        np.concatenate([np.empty(0), *scores.values]),
        np.array(relevant, bool),
        np.repeat(np.arange(len(counts)), counts),
    )


def score_bins(pairs: ScoredPairs, seed: int) -> list[ScoreBin]:
    """Bins of equal width over the scores; one of few pairs is part of the next lower one that has some.

    Bins of equally many pairs, as a calibration has them, would put most relevant pairs into a single one, since only
    a few of a hundred candidates are relevant. Intervals are over draws of queries.

    Args:
        pairs: at least one.
        seed: of the draws.

    """
    edges = np.linspace(pairs.scores.min(), pairs.scores.max(), _BINS + 1)
    place = np.clip(np.searchsorted(edges, pairs.scores, "right") - 1, 0, _BINS - 1)
    bins, bootstrap = _merged(np.bincount(place, minlength=_BINS))[place], QueryBootstrap(pairs.queries, seed)
    rows = []
    for i in np.unique(bins):
        inside = bins == i
        scores = pairs.scores[inside]
        share = bootstrap.ratio((pairs.relevant & inside).astype(float), inside.astype(float))
        rows.append(ScoreBin(float(scores.min()), float(scores.max()), float(scores.mean()), int(inside.sum()), share))
    return rows


def _merged(counts: Ints) -> Ints:
    """The bin that each bin becomes part of, from the highest down: with those below it until there are enough."""
    target = np.arange(len(counts))
    count, top = 0, len(counts) - 1
    for i in range(len(counts) - 1, -1, -1):
        if count >= _FEWEST:
            count, top = 0, i
        target[i] = top
        count += int(counts[i])
    if count < _FEWEST and top < len(counts) - 1:
        target[: top + 1] = target[top + 1]  # the last ones are too few for a bin of their own
    return target
