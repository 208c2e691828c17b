"""Says in one sentence whether reranking is worth it, by a rule that is stated once.

With the mean gain m per query over the tuned first stage, its interval [low, high] and the smallest effect of interest:

    it hurts         high < -least
    worth it         low > 0 and m >= least
    not worth it     everything else, where high < least, or low > 0, or a gain of 0.1 would have been seen
    can't be known   everything else, and fewer than 50 queries

A reranker costs time, so that it has to show its gain. That nothing is shown says something only where there were
queries enough to show it: a true gain is seen in four of five samples (a power of 0.8) from (z.975 + z.8) / z.975 times
half of the interval's width on, as in Sakai, Topic set size design (2016). A useless model is thus called worth it in
2.5 % of all samples, and hardly ever harmful: its interval would have to be below -least.

The verdict is on the option that was best on the queries that tuned. Where that is worth it, the cheapest option that
was less than least / 2 below it there is put to the same test, and where it passes, its gain and price count.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist

import numpy as np

from resift.evaluate.statistics import SAMPLES, Estimate, Floats, estimates
from resift.worth.selection import stretched
from resift.worth.splits import HALVES_FROM
from resift.worth.tuning import OutOfSample

LEAST = 0.01  # the smallest effect of interest
LEAST_QUERIES = 50  # below, an interval covers too little to decide by
MATERIAL = 0.1  # a gain that would have to be seen before "not worth it" is said because none was
_SEEN = 1 + NormalDist().inv_cdf(0.8) / NormalDist().inv_cdf(0.975)  # half-widths that make a gain visible


class Word(StrEnum):
    """What a verdict says."""

    WORTH_IT = "worth_it"
    NOT_WORTH_IT = "not_worth_it"
    HURTS = "hurts"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What reranking is worth.

    Attributes:
        word: the verdict.
        gain: mean over the reported queries, and its interval of 95 %.
        ms: median milliseconds that the model adds per query.
        dearer: what the best option adds to a cheaper one of which `gain` and `ms` are; None where they are the best's.
        dearer_ms: median milliseconds that it adds.
        queries: how many are reported.
        labelled: how many there are.
        visible: the gain that as many queries show in four of five samples.
        more: about how many more labelled queries would decide, or would show a gain that is not shown yet; 0 where
            there is nothing left to show.
        half_width: half of the interval's width that this takes; 0 likewise.

    """

    word: Word
    gain: Estimate
    ms: float
    dearer: Estimate | None
    dearer_ms: float
    queries: int
    labelled: int
    visible: float
    more: int = 0
    half_width: float = 0.0


def judge(
    result: OutOfSample, labelled: int, least: float = LEAST, factor: float = 1.0, seed: int = 0, samples: int = SAMPLES
) -> Verdict:
    """The verdict on what was chosen; see this module for the rule.

    Args:
        result: values of the reported queries.
        labelled: how many queries there are, those that only tuned among them.
        least: the smallest effect of interest, more than 0.
        factor: how many times as wide the intervals are, see `selection.stretch`.
        seed: of the resamples.
        samples: how many resamples are drawn.

    """
    columns = np.stack([result.gain, result.enough.values - result.baseline, result.best.values - result.enough.values])
    best, enough, dearer = (stretched(e, factor) for e in estimates(columns.T, samples=samples, seed=seed))
    word = word_of(best, least) if labelled >= LEAST_QUERIES else Word.UNKNOWN
    more, needed = 0, 0.0
    if word is Word.UNKNOWN or is_open(word, best, least):
        needed = max(best.value, MATERIAL / _SEEN if word is Word.UNKNOWN else 0.0)
        more = more_queries(best, len(result.queries), labelled, needed)
    ms, enough_ms = _median(result.best.ms), _median(result.enough.ms)
    if word is word_of(enough, least) is Word.WORTH_IT and enough_ms < ms:
        return Verdict(word, enough, enough_ms, dearer, ms - enough_ms, len(result.queries), labelled, visible(enough))
    return Verdict(word, best, ms, None, 0.0, len(result.queries), labelled, visible(best), more, needed)


def word_of(gain: Estimate, least: float) -> Word:
    """The rule, on an interval that can be trusted."""
    if gain.high < -least:
        return Word.HURTS
    if gain.low > 0 and gain.value >= least:
        return Word.WORTH_IT
    decided = gain.high < least or gain.low > 0 or visible(gain) <= MATERIAL
    return Word.NOT_WORTH_IT if decided else Word.UNKNOWN


def visible(gain: Estimate) -> float:
    """The gain that as many queries show in four of five samples: their interval is then above 0."""
    return _SEEN * (gain.high - gain.low) / 2


def is_open(word: Word, gain: Estimate, least: float) -> bool:
    """Whether a gain was measured that would matter, and that more queries could show."""
    return word is Word.NOT_WORTH_IT and gain.low <= 0 and gain.value >= least


def more_queries(gain: Estimate, reported: int, labelled: int, needed: float) -> int:
    """About how many more labelled queries make an interval so narrow.

    One that is half as wide takes four times as many. Less than a tenth more would be a matter of luck.

    Args:
        gain: the present interval.
        reported: how many queries it is of.
        labelled: how many queries there are.
        needed: half of the width that is wanted.

    """
    half = (gain.high - gain.low) / 2
    reports = math.ceil(reported * (half / needed) ** 2)
    whole = reports if reports < HALVES_FROM else 2 * reports
    return _rounded(max(whole, LEAST_QUERIES, math.ceil(1.1 * labelled)) - labelled)


def _rounded(count: int) -> int:
    """Up to two digits that mean something."""
    step: int = 10 ** max(0, len(str(count)) - 2)
    return -(-count // step) * step


def _median(values: Floats) -> float:
    return float(np.median(values))
