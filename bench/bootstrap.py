"""Per-query measures of rankings, and paired bootstrap intervals of their differences."""

from collections.abc import Iterable, Mapping

import ir_measures
import numpy as np
from ir_measures import RR, R, nDCG

from resift.types import Ranking

MEASURES = {"nDCG@10": nDCG @ 10, "RR@10": RR @ 10, "R@100": R @ 100}


def per_query(rankings: Iterable[Ranking], qrels: Mapping[str, Mapping[str, int]]) -> dict[str, np.ndarray]:
    """Measure -> one value per query, in the order of `qrels`; a query without results counts 0.

    The run handed over holds n - position, never raw scores: tools break ties differently.
    """
    run = {r.query.id: {c.document.id: float(len(r) - c.rank) for c in reversed(r.candidates)} for r in rankings}
    values = {name: dict.fromkeys(qrels, 0.0) for name in MEASURES}
    for m in ir_measures.iter_calc(list(MEASURES.values()), qrels, run):
        values[str(m.measure)][m.query_id] = m.value
    return {name: np.array(list(by_query.values())) for name, by_query in values.items()}


def interval(difference: np.ndarray, samples: int = 10_000) -> tuple[float, float]:
    """95 % bootstrap interval of the mean of paired differences (Efron & Tibshirani 1993; seeded)."""
    picks = np.random.default_rng(0).integers(0, len(difference), (samples, len(difference)))
    low, high = np.quantile(difference[picks].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def stratified_interval(differences: list[np.ndarray], samples: int = 10_000) -> tuple[float, float]:
    """The same for the mean over collections of each one's mean."""
    rng = np.random.default_rng(0)
    means = [d[rng.integers(0, len(d), (samples, len(d)))].mean(axis=1) for d in differences]
    low, high = np.quantile(np.mean(means, axis=0), [0.025, 0.975])
    return float(low), float(high)
