"""Says in one sentence whether reranking is worth it, by a rule that is stated once.

With the mean gain m per query over the tuned first stage, its interval [low, high] and the smallest effect of interest:

    it hurts         high < 0
    worth it         low > 0 and m >= least
    not worth it     high < least, or low > 0 and m < least
    can't be known   everything else, and fewer than 50 queries

The verdict is on the option that was best on the queries that tuned. Where that is worth it, the cheapest option that
was less than least / 2 below it there is put to the same test, and where it passes, its gain and price count.

The verdict is certain to be one of the first three where half the interval's width is at most least / 2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from resift.evaluate.statistics import SAMPLES, Estimate, Floats, estimates
from resift.worth.selection import stretched
from resift.worth.splits import HALVES_FROM
from resift.worth.tuning import OutOfSample

LEAST = 0.01  # the smallest effect of interest
LEAST_QUERIES = 50  # below, an interval covers too little to decide by


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
        more: about how many more labelled queries would decide; 0 where it is decided.
        half_width: half of the interval's width that would decide; 0 where it is decided.

    """

    word: Word
    gain: Estimate
    ms: float
    dearer: Estimate | None
    dearer_ms: float
    queries: int
    labelled: int
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
    more, needed = (0, 0.0) if word is not Word.UNKNOWN else more_queries(best, len(result.queries), labelled, least)
    ms, enough_ms = _median(result.best.ms), _median(result.enough.ms)
    if word is word_of(enough, least) is Word.WORTH_IT and enough_ms < ms:
        return Verdict(word, enough, enough_ms, dearer, ms - enough_ms, len(result.queries), labelled)
    return Verdict(word, best, ms, None, 0.0, len(result.queries), labelled, more, needed)


def word_of(gain: Estimate, least: float) -> Word:
    """The rule, on an interval that can be trusted."""
    if gain.high < 0:
        return Word.HURTS
    if gain.low > 0:
        return Word.WORTH_IT if gain.value >= least else Word.NOT_WORTH_IT
    return Word.NOT_WORTH_IT if gain.high < least else Word.UNKNOWN


def more_queries(gain: Estimate, reported: int, labelled: int, least: float) -> tuple[int, float]:
    """About how many more labelled queries would decide if the mean stayed, and the half width that decides.

    An interval that is half as wide needs four times as many queries. At a mean m the rule needs low > 0 or
    high < least, so a half width of max(m, least - m). Less than a tenth more would be a matter of luck.

    Args:
        gain: the present interval.
        reported: how many queries it is of.
        labelled: how many queries there are.
        least: the smallest effect of interest.

    """
    needed = max(gain.value, least - gain.value)
    half = (gain.high - gain.low) / 2
    reports = math.ceil(reported * (half / needed) ** 2)
    whole = reports if reports < HALVES_FROM else 2 * reports
    return _rounded(max(whole, LEAST_QUERIES, math.ceil(1.1 * labelled)) - labelled), needed


def _rounded(count: int) -> int:
    """Up to two digits that mean something."""
    step: int = 10 ** max(0, len(str(count)) - 2)
    return -(-count // step) * step


def _median(values: Floats) -> float:
    return float(np.median(values))
