"""Lets a document's age or importance count: a bounded bonus beside the scores that a ranking has."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from resift.protocols import Flow
from resift.rerank.blend import standardised
from resift.rerank.field_values import UNITS, duration, moment, number
from resift.types import Candidate, Note, NoteCode, Ranking, Score, ScoreKind, Signal, Step

WEIGHT = 0.3  # standard deviations between the least and the most that a boost can do
_PREFIX = "boost("


@dataclass(frozen=True, slots=True)
class BoostRule:
    """Which metadata count, and how much.

    Attributes:
        field: the name of the entry in `Document.metadata`.
        weight: standard deviations between the least and the most that it changes.
        half_life: the entry is a date, and after this time a document has half the freshness; None: it is a number.
        log: a number counts by its logarithm.
        unit: dates that are numbers are Unix times in "s" or "ms"; None: they are years.
        now: the date at which ages end; None: the present of each ranking.

    Raises:
        ValueError: a weight that is negative or not finite, a half-life or date that can't be read, or a unit or a now
            without a half-life.

    """

    field: str
    weight: float = WEIGHT
    half_life: str | None = None
    log: bool = True
    unit: str | None = None
    now: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.weight < math.inf:
            raise ValueError(f"the weight of a boost is 0 or more and finite; not {self.weight}")
        if self.half_life is None and (self.unit is not None or self.now is not None):
            raise ValueError("unit and now belong to dates; give half_life too, or leave them out")
        if self.unit is not None and self.unit not in UNITS:
            raise ValueError(f"the unit of a boost is {' or '.join(UNITS)}; not {self.unit!r}")
        if self.half_life is not None:
            duration(self.half_life)
        if self.now is not None:
            moment(self.now, self.unit)

    @property
    def name(self) -> str:
        """What the trace calls it."""
        return f"{_PREFIX}{self.field})"


@dataclass(frozen=True, slots=True)
class Shares:
    """What a rule makes of n candidates.

    Attributes:
        values: n of them from 0 to 1; 0.5, which changes nothing, where there is no value.
        missing: how many lack the entry.
        unreadable: the entries that can't be read.
        future: how many dates lie behind `now`.

    """

    values: tuple[float, ...]
    missing: int = 0
    unreadable: tuple[object, ...] = ()
    future: int = 0


class Boost:
    """value = score + weight x (share - 0.5), so that a score which is better by more than `weight` stays in front.

    The score is z of the last stage's scores, over the candidates of one query that it scored; the others stay behind,
    in order. Where no stage gave scores that make the order, it is z(-log(10 + rank)) of all candidates, as in
    `rerank.blend`. A boost behind a boost adds to its value, so that their order does not matter and the bound of all
    is the sum of their weights. z(x) = (x - mean) / standard deviation, and 0 where all x are equal. Ties keep the
    present order.

    The share of a date is 2^(-age / half-life), 1 in the future. The share of a number is its place between the least
    and the largest number of the candidates, with `log` of sign(x) log(1 + |x|); 0.5 where all are equal. An entry that
    is missing or can't be read has the share 0.5, and a note of the trace counts these.
    """

    def __init__(self, rule: BoostRule, clock: Callable[[], float] = time.time) -> None:
        self.rule, self._clock = rule, clock

    @property
    def name(self) -> str:
        """The word boost, and the name of the field."""
        return self.rule.name

    def order(self, ranking: Ranking) -> Flow:
        """Boost; nothing is asked."""
        yield from ()
        return self._boosted(ranking) if len(ranking) else ranking

    def _boosted(self, ranking: Ranking) -> Ranking:
        began = time.perf_counter()
        head, scores = scored_head(ranking)
        result = shares(self.rule, head, self._clock())
        stage = 1 + max((c.score.stage for c in ranking if c.score), default=0)
        values = [score + self.rule.weight * (b - 0.5) for score, b in zip(scores, result.values, strict=True)]
        boosted = [
            replace(c, score=Score(value, ScoreKind.FUSED, self.name, stage))
            for c, value in zip(head, values, strict=True)
        ]
        order = sorted(range(len(head)), key=lambda i: -values[i])
        signed = [
            replace(c, signals=(*c.signals, Signal(self.name, rank, c.score)))
            for rank, c in enumerate((boosted[i] for i in order), 1)
        ]
        readable = len(head) - result.missing - len(result.unreadable)
        step = Step(self.name, (time.perf_counter() - began) * 1e3, scored=readable, total=len(ranking))
        trace = ranking.trace.then(step, *_notes(self.rule, result))
        return replace(ranking, candidates=(*signed, *ranking.candidates[len(head) :]), trace=trace)


def scored_head(ranking: Ranking) -> tuple[tuple[Candidate, ...], list[float]]:
    """The first candidates, which a boost orders, and their scores in standard deviations; see `Boost`."""
    last = max((c.score.stage for c in ranking if c.score), default=0)
    scores = [c.score for c in ranking if c.score and c.score.stage == last]
    count, values = len(scores), [score.value for score in scores]
    in_front = all(c.score and c.score.stage == last for c in ranking.candidates[:count])
    if not last or not in_front or values != sorted(values, reverse=True):
        return ranking.candidates, standardised([-math.log(10 + c.rank) for c in ranking])
    head = ranking.candidates[:count]
    return head, values if scores[0].source.startswith(_PREFIX) else standardised(values)


def shares(rule: BoostRule, candidates: Sequence[Candidate], now: float) -> Shares:
    """What a rule makes of the candidates of one query.

    Args:
        rule: what counts.
        candidates: of one query.
        now: seconds since 1970, at which ages end where the rule has no `now`.

    """
    read: list[float | None] = []
    missing, unreadable = 0, list[object]()
    for candidate in candidates:
        entry = candidate.document.metadata.get(rule.field)
        read.append(None)
        if entry is None or entry == "":
            missing += 1
            continue
        try:
            read[-1] = _read(rule, entry)
        except ValueError:
            unreadable.append(entry)
    if rule.half_life is None:
        return Shares(_places(rule, read), missing, tuple(unreadable))
    half_life, end = duration(rule.half_life), now if rule.now is None else moment(rule.now, rule.unit)
    ages = [None if date is None else end - date for date in read]
    values = (0.5 if age is None else 2.0 ** (-max(0.0, age) / half_life) for age in ages)
    return Shares(tuple(values), missing, tuple(unreadable), sum(age is not None and age < 0 for age in ages))


def _read(rule: BoostRule, entry: Any) -> float:  # noqa: ANN401 - whatever metadata hold
    return number(entry) if rule.half_life is None else moment(entry, rule.unit)


def _places(rule: BoostRule, numbers: Sequence[float | None]) -> tuple[float, ...]:
    """Each number's place between the least and the largest; halves keep differences of huge numbers finite."""
    scaled = [None if x is None else (math.copysign(math.log1p(abs(x)), x) if rule.log else x) / 2 for x in numbers]
    present = [x for x in scaled if x is not None]
    low, high = min(present, default=0.0), max(present, default=0.0)
    return tuple(0.5 if x is None or low == high else (x - low) / (high - low) for x in scaled)


def _notes(rule: BoostRule, result: Shares) -> list[Note]:
    """What was left as it was, counted and named."""
    what = "number" if rule.half_life is None else "date"
    parts = [f"{result.missing} without {rule.field!r}"] if result.missing else []
    if result.unreadable:
        example = repr(result.unreadable[0])
        parts.append(
            f"{len(result.unreadable)} whose {rule.field!r} is no {what}, such as "
            f"{example if len(example) <= 40 else example[:39] + '…'}"
        )
    notes = [f"{' and '.join(parts)} of {len(result.values)} stay as they are"] if parts else []
    notes += [f"{result.future} of {len(result.values)} lie in the future and count as new"] if result.future else []
    return [Note(NoteCode.BOOST, f"{rule.name}: {'; '.join(notes)}")] if notes else []
