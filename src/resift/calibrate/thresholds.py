"""Thresholds for a stated intent, chosen on some queries with a margin for luck, and what they do on others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from resift.calibrate.bootstrap import Estimate, QueryBootstrap
from resift.calibrate.fitting import Bools, Floats
from resift.errors import InputError

_CUTS = 250  # thresholds that are tried, at most
_Z = 1.6448536269514722  # the one-sided 95 % point of the normal distribution


class Aim(StrEnum):
    """What a threshold is for."""

    MIN_PRECISION = "min_precision"  # the share of relevant pairs among those that are kept
    MAX_FALSE_KEEP = "max_false_keep"  # the share of kept pairs among those that are irrelevant
    MIN_RECALL = "min_recall"  # the share of kept pairs among those that are relevant


@dataclass(frozen=True, slots=True)
class Intent:
    """An aim and its limit, such as a precision of 0.9.

    Raises:
        InputError: a limit that is not above 0 and below 1.

    """

    aim: Aim
    limit: float

    def __post_init__(self) -> None:
        if not 0 < self.limit < 1:
            raise InputError(f"{self.aim} is above 0 and below 1, such as 0.9; not {self.limit:g}")

    def __str__(self) -> str:
        return f"{self.aim} {self.limit:g}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a threshold does on the queries of the report.

    Attributes:
        precision, recall, false_keep: see `Aim`; precision is None where nothing is kept.
        kept_pairs: of so many pairs.
        pairs: as above.
        silent: queries of which nothing is kept: "nothing relevant".
        silent_rightly: those of them that have no relevant pair.
        irrelevant_queries: queries that have no relevant pair.

    """

    precision: Estimate | None
    recall: Estimate
    false_keep: Estimate
    kept_pairs: int
    pairs: int
    silent: int
    silent_rightly: int
    irrelevant_queries: int

    def of(self, aim: Aim) -> Estimate | None:
        """The estimate that an aim speaks of."""
        by_aim = {
            Aim.MIN_PRECISION: self.precision, Aim.MAX_FALSE_KEEP: self.false_keep, Aim.MIN_RECALL: self.recall
        }  # fmt: skip
        return by_aim[aim]

    def entries(self) -> dict[str, Any]:
        """The outcome as JSON."""
        numbers = {
            "kept_pairs": self.kept_pairs, "pairs": self.pairs, "silent": self.silent,
            "silent_rightly": self.silent_rightly, "irrelevant_queries": self.irrelevant_queries,
        }  # fmt: skip
        precision = {} if self.precision is None else {"precision": self.precision.entries()}
        return precision | {"recall": self.recall.entries(), "false_keep": self.false_keep.entries()} | numbers


@dataclass(frozen=True, slots=True)
class Threshold:
    """A threshold for an intent: the least probability that is kept; None where none can be trusted to meet it."""

    intent: Intent
    least: float | None
    outcome: Outcome | None

    @property
    def contradicted(self) -> bool:
        """Whether the queries of the report say that the intent is not met: its interval is on the wrong side."""
        estimate = self.outcome.of(self.intent.aim) if self.outcome else None
        if estimate is None:
            return False
        if self.intent.aim is Aim.MAX_FALSE_KEEP:
            return estimate.low > self.intent.limit
        return estimate.high < self.intent.limit

    def entries(self) -> dict[str, Any]:
        """The threshold as JSON."""
        least = {} if self.least is None else {"least": self.least}
        outcome = {} if self.outcome is None else {"report": self.outcome.entries(), "contradicted": self.contradicted}
        return {"aim": str(self.intent.aim), "limit": self.intent.limit} | least | outcome


def choose_thresholds(
    probabilities: Floats, relevant: Bools, bootstrap: QueryBootstrap, intents: Sequence[Intent]
) -> list[float | None]:
    """For each intent the threshold that keeps most (for a recall: least) among those that can be trusted.

    A threshold can be trusted where the one-sided 95 % bound of what the intent speaks of is on the right side of its
    limit. The bound is the less favourable one of two: of draws of queries, whose pairs depend on each other, and of
    Wilson (1927), which also asks for enough pairs where there is no error among few.
    """
    cuts = np.unique(probabilities)
    if len(cuts) > _CUTS:
        cuts = np.unique(cuts[np.linspace(0, len(cuts) - 1, _CUTS).astype(int)])
    totals = _sums_above(probabilities, cuts, bootstrap, np.ones(len(relevant)))
    hits = _sums_above(probabilities, cuts, bootstrap, relevant.astype(float))
    least: list[float | None] = []
    for intent in intents:
        part, whole = {
            Aim.MIN_PRECISION: (hits, totals),
            Aim.MAX_FALSE_KEEP: (totals - hits, np.broadcast_to((totals - hits)[:, :1], totals.shape)),
            Aim.MIN_RECALL: (hits, np.broadcast_to(hits[:, :1], hits.shape)),
        }[intent.aim]
        upper = intent.aim is Aim.MAX_FALSE_KEEP
        bounds = _bounds(part, whole, bootstrap, upper)
        met = np.flatnonzero(bounds <= intent.limit if upper else bounds >= intent.limit)
        place = None if not len(met) else met[-1] if intent.aim is Aim.MIN_RECALL else met[0]
        least.append(None if place is None else float(cuts[place]))
    return least


def outcome_of(keep: Bools, relevant: Bools, bootstrap: QueryBootstrap) -> Outcome:
    """What keeping some pairs does, all arrays (n,)."""
    labels, keeps = relevant.astype(float), keep.astype(float)
    keeps_of, relevant_of = bootstrap.sums(keeps), bootstrap.sums(labels)
    return Outcome(
        bootstrap.ratio(keeps * labels, keeps) if keep.any() else None,
        bootstrap.ratio(keeps * labels, labels),
        bootstrap.ratio(keeps * (1 - labels), 1 - labels),
        int(keep.sum()),
        len(keep),
        int((keeps_of == 0).sum()),
        int(((keeps_of == 0) & (relevant_of == 0)).sum()),
        int((relevant_of == 0).sum()),
    )


def _sums_above(probabilities: Floats, cuts: Floats, bootstrap: QueryBootstrap, weights: Floats) -> Floats:
    """The weight of the pairs of each query that each cut keeps, (queries, cuts)."""
    place = np.searchsorted(cuts, probabilities, side="right") - 1  # the highest cut that keeps the pair
    cells = np.bincount(bootstrap.members * len(cuts) + place, weights, minlength=bootstrap.queries * len(cuts))
    reverse: Floats = cells.astype(np.float64).reshape(bootstrap.queries, len(cuts))[:, ::-1]
    sums: Floats = np.cumsum(reverse, axis=1)[:, ::-1]
    return sums


def _bounds(part: Floats, whole: Floats, bootstrap: QueryBootstrap, upper: bool) -> Floats:
    """The one-sided 95 % bound of part / whole at each cut, (cuts,)."""
    draws = bootstrap.ratios(part, np.ascontiguousarray(whole))
    by_draws = np.nanquantile(np.where(np.isnan(draws), 1.0 if upper else 0.0, draws), 0.95 if upper else 0.05, axis=0)
    by_pairs = wilson(part.sum(axis=0), whole.sum(axis=0), upper)
    bounds: Floats = np.maximum(by_draws, by_pairs) if upper else np.minimum(by_draws, by_pairs)
    return bounds


def wilson(part: Floats, whole: Floats, upper: bool) -> Floats:
    """Wilson's one-sided 95 % bound of a share; with nothing to count it is 0, or 1 from above."""
    n = np.maximum(whole, 1e-12)
    p, z = part / n, _Z
    margin = z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    bound: Floats = (p + z * z / (2 * n) + (margin if upper else -margin)) / (1 + z * z / n)
    return bound
