"""How good a ranking is, and how like two rankings are: one function for each published formula.

A ranking is a sequence of document ids, best first, each id once. Ties of scores are therefore broken before: by the
order of the ranking. `grades` has the grade of each judged document of the query; a document of grade 1 or more is
relevant, and one without a grade is not. Where nothing is relevant a measure is 0, as in trec_eval.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Grades = Mapping[str, int]
Item = TypeVar("Item", bound=Hashable)


def ndcg(ranking: Sequence[str], grades: Grades, k: int | None = 10) -> float:
    """Normalised discounted cumulative gain of the first k, 0 to 1: linear gain, discount log2(rank + 1).

    Järvelin & Kekäläinen, Cumulated gain-based evaluation of IR techniques (2002). Grades below 0 have a gain of 0.
    """
    gain = _discounted([grades.get(i, 0) for i in _first(ranking, k)])
    ideal = _discounted(sorted(grades.values(), reverse=True)[:k])
    return gain / ideal if ideal else 0.0


def reciprocal_rank(ranking: Sequence[str], grades: Grades, k: int | None = None) -> float:
    """1 / the rank of the first relevant document, 0 where none is among the first k.

    Voorhees, The TREC-8 question answering track report (1999).
    """
    return next((1 / rank for rank, i in enumerate(_first(ranking, k), 1) if _is_relevant(i, grades)), 0.0)


def recall(ranking: Sequence[str], grades: Grades, k: int | None = None) -> float:
    """The share of the relevant documents that are among the first k.

    Van Rijsbergen, Information Retrieval (1979), chapter 7.
    """
    relevant = _count_relevant(grades)
    return _hits(ranking, grades, k) / relevant if relevant else 0.0


def precision(ranking: Sequence[str], grades: Grades, k: int) -> float:
    """The share of relevant documents among the first k places; a place without a document counts as not relevant.

    Van Rijsbergen, Information Retrieval (1979), chapter 7; for short rankings as in trec_eval.
    """
    return _hits(ranking, grades, k) / k


def success(ranking: Sequence[str], grades: Grades, k: int) -> float:
    """1 where a relevant document is among the first k, else 0; its mean over queries is also called hit rate.

    The measure success_k of trec_eval.
    """
    return float(_hits(ranking, grades, k) > 0)


def average_precision(ranking: Sequence[str], grades: Grades, k: int | None = None) -> float:
    """The mean, over all relevant documents, of the precision at their ranks; 0 for those beyond the first k.

    Buckley & Voorhees, Retrieval system evaluation, in TREC: experiment and evaluation (2005).
    """
    hits, total = 0, 0.0
    for rank, i in enumerate(_first(ranking, k), 1):
        if _is_relevant(i, grades):
            hits += 1
            total += hits / rank
    relevant = _count_relevant(grades)
    return total / relevant if relevant else 0.0


def kendall_tau(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """Kendall's tau-b of two scores of the same n documents, -1 to 1; 0 where all scores of one side are equal.

    Kendall, The treatment of ties in ranking problems (1945). It takes n x n comparisons.

    Raises:
        ValueError: the scores are not of equally many documents.

    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if a.shape != b.shape:
        raise ValueError(f"{a.size} scores can't be compared with {b.size}")
    x, y = np.sign(a[:, None] - a[None, :]), np.sign(b[:, None] - b[None, :])
    pairs = float(np.sqrt((x != 0).sum() * (y != 0).sum()))
    return float((x * y).sum()) / pairs if pairs else 0.0


def overlap(reference: Sequence[Hashable], other: Sequence[Hashable], k: int) -> float:
    """The share of the first k of a reference ranking that are among the first k of another, 0 to 1.

    Webber, Moffat & Zobel, A similarity measure for indefinite rankings (2010), the agreement at depth k; a reference
    of fewer than k documents is compared whole, and an empty one gives 0.
    """
    first, second = set(_first(reference, k)), set(_first(other, k))
    return len(first & second) / len(first) if first else 0.0


def _first(ranking: Sequence[Item], k: int | None) -> Sequence[Item]:
    if k is not None and k < 1:
        raise ValueError(f"a measure looks at 1 document or more; not at {k}")
    if len(set(ranking)) < len(ranking):
        raise ValueError("a ranking has each document once")
    return ranking[:k]


def _is_relevant(document: str, grades: Grades) -> bool:
    return grades.get(document, 0) >= 1


def _count_relevant(grades: Grades) -> int:
    return sum(grade >= 1 for grade in grades.values())


def _hits(ranking: Sequence[str], grades: Grades, k: int | None) -> int:
    return sum(_is_relevant(i, grades) for i in _first(ranking, k))


def _discounted(gains: Sequence[int]) -> float:
    return sum(max(0, gain) / math.log2(rank + 1) for rank, gain in enumerate(gains, 1))
