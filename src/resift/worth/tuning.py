"""Chooses parameters on some queries, and gives the values of others: no query is reported by what it tuned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from resift.evaluate.statistics import Floats
from resift.worth.reranked import Option
from resift.worth.splits import Bools, Split


@dataclass(frozen=True, eq=False)
class Reranked:
    """O options over one first stage, on Q queries: the measure (O, Q), and milliseconds of the model (O, Q)."""

    values: Floats
    ms: Floats


@dataclass(frozen=True, eq=False)
class Tables:
    """All values from which parameters are chosen.

    Attributes:
        first: (F, Q), the measure of each first stage without a model; the first is the product's.
        options: O ways to rerank.
        reranked: by the position of a first stage; those that some split chooses.

    """

    first: Floats
    options: tuple[Option, ...]
    reranked: Mapping[int, Reranked]


@dataclass(frozen=True, eq=False)
class Choice:
    """What some queries chose: a first stage, the best option, the cheapest that is hardly worse, and one per depth.

    All but `first` are positions in `Tables.options`; `sweep` has the best weight of each model and depth.
    """

    first: int
    best: int
    enough: int
    sweep: Mapping[tuple[str, int], int]


def choose_first(first: Floats, tune: Bools) -> int:
    """The best first stage on these queries, where it is better than the product's by more than luck; else that, 0.

    What counts as luck is a standard error of the difference per query: with few queries the best of many settings was
    worse on others than the product's, and a baseline that is too weak flatters every reranker.
    """
    weights = tune[None, :].astype(np.float64)
    return int(choose_firsts(first, weights)[0])


def choose_firsts(first: Floats, weights: Floats) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """(S,), the first stage that S samples of the queries choose; see `choose_first`.

    Args:
        first: (F, Q), the product's in front.
        weights: (S, Q), how often each query is in a sample.

    """
    difference = first - first[0]
    size = np.maximum(weights.sum(axis=1, keepdims=True), 1)
    means = np.round(weights @ difference.T / size, 9)
    variances = np.maximum(weights @ (difference**2).T / size - means**2, 0)
    better = means > np.sqrt(variances / size)
    chosen: np.ndarray[tuple[int], np.dtype[np.int64]] = np.argmax(np.where(better, means, 0.0), axis=1)
    return chosen


def choose(tables: Tables, first: int, tune: Bools, least: float) -> Choice:
    """The best option on these queries, and the cheapest that is less than half the smallest effect of interest below.

    Options of one model and depth cost the same, so that among them the best weight wins. Costs are medians.

    Args:
        tables: values of all options.
        first: position of the first stage.
        tune: (Q,), the queries that choose.
        least: the smallest effect of interest.

    """
    reranked = tables.reranked[first]
    means = np.round(reranked.values[:, tune].mean(axis=1), 9)
    sweep: dict[tuple[str, int], int] = {}
    for i, candidate in enumerate(tables.options):
        key = candidate.model, candidate.depth
        if key not in sweep or means[i] > means[sweep[key]]:
            sweep[key] = i
    costs = {i: _median(reranked.ms[i, tune]) for i in sweep.values()}
    best = max(sweep.values(), key=lambda i: (means[i], -costs[i]))
    enough = min((i for i in sweep.values() if means[i] > means[best] - least / 2), key=lambda i: (costs[i], -means[i]))
    return Choice(first, best, enough, sweep)


def _median(values: Floats) -> float:
    return float(np.median(values))


@dataclass(frozen=True, eq=False)
class Column:
    """An option as the reported queries see it: the measure and the model's milliseconds of each, (N,)."""

    values: Floats
    ms: Floats


@dataclass(frozen=True, eq=False)
class OutOfSample:
    """N reported queries, each by parameters that other queries chose.

    Attributes:
        queries: (N,), their positions.
        default: (N,), the product's first stage.
        baseline: (N,), the tuned first stage.
        best, enough: the option that was best on the queries that tuned, and the cheapest that was hardly worse.
        sweep: by model and depth, the weight of the blend tuned.
        ceiling: (N,), the best order of the candidates within the depth of the best option.

    """

    queries: np.ndarray[tuple[int], np.dtype[np.int64]]
    default: Floats
    baseline: Floats
    best: Column
    enough: Column
    sweep: Mapping[tuple[str, int], Column]
    ceiling: Floats

    @property
    def gain(self) -> Floats:
        """(N,), what the best option adds to the tuned first stage."""
        return self.best.values - self.baseline


def out_of_sample(
    tables: Tables, ceilings: Mapping[int, Floats], parts: Sequence[Split], choices: Sequence[Choice]
) -> OutOfSample:
    """Put together what each split reports.

    Args:
        tables: values of all options.
        ceilings: by first stage, (Q,) of the best order of the candidates.
        parts: who tunes and who is reported.
        choices: what each split's queries chose.

    """
    places = [np.flatnonzero(part.report) for part in parts]

    def column(options: Sequence[int]) -> Column:
        by_split = list(zip(choices, options, places, strict=True))
        return Column(
            np.concatenate([tables.reranked[c.first].values[i, at] for c, i, at in by_split]),
            np.concatenate([tables.reranked[c.first].ms[i, at] for c, i, at in by_split]),
        )

    return OutOfSample(
        queries=np.concatenate(places),
        default=np.concatenate([tables.first[0, at] for at in places]),
        baseline=np.concatenate([tables.first[c.first, at] for c, at in zip(choices, places, strict=True)]),
        best=column([choice.best for choice in choices]),
        enough=column([choice.enough for choice in choices]),
        sweep={key: column([choice.sweep[key] for choice in choices]) for key in choices[0].sweep},
        ceiling=np.concatenate([ceilings[c.first][at] for c, at in zip(choices, places, strict=True)]),
    )
