"""nDCG of lists by scores, with the gain that ranking trees learn: 2^label - 1, or the label itself."""

from __future__ import annotations

from typing import Literal

import numpy as np

from resift.rerank.ranking_function import Floats
from resift.train.ltr.rows import Integers, TrainingRows

Gain = Literal["exponential", "linear"]

HIGHEST: dict[Gain, int] = {"exponential": 30, "linear": 10_000}  # labels; 2^31 - 1 is the last gain that both have


def gain_table(gain: Gain, highest: int) -> Floats:
    """The gains of the labels from 0 to the highest.

    Burges et al., Learning to rank using gradient descent (2005), have 2^label - 1; trec_eval has the label.
    """
    labels = np.arange(highest + 1, dtype=np.float64)
    return np.asarray(2.0**labels - 1 if gain == "exponential" else labels)


def ndcg_of_lists(rows: TrainingRows, scores: Floats, k: int, gain: Gain = "exponential") -> Floats:
    """(L,), nDCG@k of each list, 0 where no label is above 0; equal scores keep the order of the rows.

    The ideal order is that of all judged documents where the rows know them, else that of the candidates.

    Järvelin & Kekäläinen, Cumulated gain-based evaluation of IR techniques (2002), with the discount log2(rank + 1).
    LightGBM counts a list without a label above 0 as 1.
    """
    highest = max([int(rows.labels.max(initial=0)), *(int(labels.max(initial=0)) for labels in rows.ideals or ())])
    table = gain_table(gain, highest)
    values = table[rows.labels]
    discounts = 1 / np.log2(np.arange(2, k + 2))
    results = np.zeros(len(rows.sizes))
    starts = rows.starts
    for i in range(len(rows.sizes)):
        part = slice(starts[i], starts[i + 1])
        gains = values[part]
        ideal = np.sort(gains)[::-1] if rows.ideals is None else table[rows.ideals[i]]
        best = _discounted(ideal, discounts)
        if best > 0:
            results[i] = _discounted(gains[np.argsort(-scores[part], kind="stable")], discounts) / best
    return results


def _discounted(gains: Floats, discounts: Floats) -> float:
    n = min(len(gains), len(discounts))
    return float(gains[:n] @ discounts[:n])


def per_query(rows: TrainingRows, values: Floats) -> Floats:
    """(Q,), the mean over the lists of each query by their weights, queries in the order of their first lists."""
    numbers: dict[str, int] = {}
    of_list: Integers = np.array([numbers.setdefault(query, len(numbers)) for query in rows.queries], np.int64)
    weights = np.ones(len(values)) if rows.weights is None else rows.weights
    means: Floats = np.bincount(of_list, values * weights) / np.bincount(of_list, weights)
    return means
