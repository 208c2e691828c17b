"""How far probabilities can be trusted: the reliability table, ECE, Brier score, log loss and AUC, with intervals."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from resift.calibrate.bootstrap import Estimate, QueryBootstrap, auc
from resift.calibrate.fitting import Bools, Floats, Ints, losses_of

BINS = 10
_CHANCE_DRAWS = 200


@dataclass(frozen=True, slots=True)
class ReliabilityRow:
    """Pairs of neighbouring probabilities: the mean of these beside the share that is relevant."""

    lowest: float
    highest: float
    pairs: int
    predicted: float
    relevant: Estimate

    def entries(self) -> dict[str, Any]:
        """The row as JSON."""
        return {
            "lowest": self.lowest, "highest": self.highest, "pairs": self.pairs, "predicted": self.predicted,
            "relevant": self.relevant.entries(),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Measures:
    """What is measured of probabilities; every interval is of draws of queries.

    Attributes:
        base_rate: the share of relevant pairs.
        auc: see `bootstrap.auc`.
        brier: the mean squared difference of probability and label (Brier, 1950).
        log_loss: in nats.
        ece: the mean over bins, weighted by their pairs, of |mean probability - share of relevant pairs| (Naeini et
            al., 2015). The bins are ten of equally many pairs, of which equal probabilities are never parted.
        ece_by_chance: the mean ECE that these probabilities would have if they were exactly right.

    """

    base_rate: Estimate
    auc: Estimate
    brier: Estimate
    log_loss: Estimate
    ece: Estimate
    ece_by_chance: float

    def entries(self) -> dict[str, Any]:
        """The measures as JSON."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: v.entries() if isinstance(v, Estimate) else round(v, 6) for name, v in values.items()}


def measured(
    probabilities: Floats, scores: Floats, relevant: Bools, bootstrap: QueryBootstrap
) -> tuple[Measures, tuple[ReliabilityRow, ...]]:
    """The measures and the reliability table of pairs, all arrays (n,); the AUC is of the raw scores."""
    labels, bins = relevant.astype(float), bins_of(probabilities)
    count = int(bins.max()) + 1
    gaps = _by_query_and_bin(bootstrap, bins, count, probabilities - labels)
    ece = float(np.abs(gaps.sum(axis=0)).sum() / len(labels))
    draws = np.abs(bootstrap.weights @ gaps).sum(axis=1) / (bootstrap.weights @ bootstrap.sums(np.ones(len(labels))))
    measures = Measures(
        bootstrap.mean(labels),
        auc(bootstrap, scores, relevant),
        bootstrap.mean((probabilities - labels) ** 2),
        bootstrap.mean(losses_of(probabilities, relevant)),
        bootstrap.estimate(ece, draws),
        _ece_by_chance(probabilities, bins, count),
    )
    rows = []
    for i in range(count):
        inside = bins == i
        share = bootstrap.ratio(labels * inside, inside.astype(float))
        p = probabilities[inside]
        rows.append(ReliabilityRow(float(p.min()), float(p.max()), int(inside.sum()), float(p.mean()), share))
    return measures, tuple(rows)


def bins_of(probabilities: Floats, count: int = BINS) -> Ints:
    """The bin of each pair, (n,), from 0 without gaps: equally many pairs each, as far as ties allow."""
    _, inverse, counts = np.unique(probabilities, return_inverse=True, return_counts=True)
    middles = np.cumsum(counts) - (counts + 1) / 2  # the place of a value among the pairs: the middle of its ties
    raw = (middles * count // len(probabilities)).astype(np.int64)
    _, dense = np.unique(raw, return_inverse=True)
    bins: Ints = dense[inverse]
    return bins


def _by_query_and_bin(bootstrap: QueryBootstrap, bins: Ints, count: int, values: Floats) -> Floats:
    """The sum of a value over the pairs of each query and bin, (queries, bins)."""
    cells = np.bincount(bootstrap.members * count + bins, values, minlength=bootstrap.queries * count)
    return cells.astype(np.float64).reshape(bootstrap.queries, count)


def _ece_by_chance(probabilities: Floats, bins: Ints, count: int) -> float:
    random = np.random.default_rng(0)
    draws = []
    for _ in range(_CHANCE_DRAWS):
        gaps = np.bincount(bins, probabilities - (random.random(len(probabilities)) < probabilities), minlength=count)
        draws.append(np.abs(gaps).sum() / len(probabilities))
    return float(np.mean(draws))
