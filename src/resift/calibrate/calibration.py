"""A calibration as it is applied: to which model it belongs, its curve, its levels, and what shows that it still fits.

Standard library only: what a search needs of a calibration imports nothing heavy.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from resift.calibrate.curves import Curve, curve_of
from resift.errors import InputError, KindError, NotCalibrated
from resift.protocols import Scorer
from resift.types import (
    Candidate,
    Document,
    Level,
    ModelInfo,
    Query,
    Score,
    ScoreKind,
    Scores,
)

SHIFT_FROM = 50  # scores; with fewer, a difference may be chance
SHIFT_MOST = 0.5  # the share of scores that may lie beyond what was calibrated
_CANARY_SHARE = 0.01  # of the range of 90 % of the scores, by which a canary's score may differ

# What is compared of a model, and what to say of it.
_FACTS = {
    "provider": "provider", "model": "model", "revision": "revision", "kind": "kind of score",
    "fingerprint": "version of the model's files", "runs_on": "engine and precision",
    "long_documents": "treatment of long documents", "settings": "settings of the model",
}  # fmt: skip
_HASHES = ("fingerprint", "settings")


@dataclass(frozen=True, slots=True)
class Binding:
    """What scores depend on: a calibration is refused where any of it differs.

    Attributes:
        model: the name, which is the source of the scores.
        kind: of its scores.
        fingerprint, runs_on, long_documents, settings: see `ModelInfo`.
        provider: of a hosted model, whose files nobody sees; empty for a model that runs here.
        revision: of a hosted model, as its provider names it.

    """

    model: str
    kind: ScoreKind
    fingerprint: str = ""
    runs_on: str = ""
    long_documents: str = ""
    settings: str = ""
    provider: str = ""
    revision: str = ""

    @classmethod
    def of(cls, info: ModelInfo) -> Binding:
        """What a model's info says."""
        return cls(info.name, info.kind, info.fingerprint, info.runs_on, info.long_documents, info.settings)

    def difference(self, other: Binding) -> str:
        """The first fact in which another model differs, in words; empty where none does."""
        for name, words in _FACTS.items():
            a, b = getattr(self, name), getattr(other, name)
            if a != b:
                return (
                    f"another {words}"
                    if name in _HASHES
                    else f"another {words}: {b or 'none'} instead of {a or 'none'}"
                )
        return ""


@dataclass(frozen=True, slots=True)
class Canary:
    """A pair and the score that the model gave it when it was calibrated."""

    query: str
    document: str
    score: float
    title: str = ""


@dataclass(frozen=True, slots=True)
class ScoreSample:
    """The distribution of the calibrated scores: equally spaced quantiles, of relevant and of irrelevant pairs."""

    relevant: tuple[float, ...]
    irrelevant: tuple[float, ...]

    @property
    def spread(self) -> float:
        """The range of the middle 90 % of all."""
        values = sorted((*self.relevant, *self.irrelevant))
        return values[int(0.95 * (len(values) - 1))] - values[int(0.05 * (len(values) - 1))]

    def beyond(self, values: Sequence[float]) -> float:
        """How much of `values` is too high or too low to be of the same model, 0 to 1.

        Too high: the largest distance by which their cumulative share stays below those of relevant and of irrelevant
        pairs (the one-sided two-sample statistic of Smirnov, against the nearer of two samples); any mixture of the two
        has none. Too low is only what lies below the lowest score by a tenth of the range or more: a search finds many
        documents that are further off than any that people judged.
        """
        ordered, samples = sorted(values), (self.relevant, self.irrelevant)
        lowest, highest = min(map(min, samples)), max(map(max, samples))
        largest = bisect_right(ordered, lowest - (highest - lowest) / 10) / len(ordered)
        for x in {*ordered, *self.relevant, *self.irrelevant}:
            shares = [bisect_right(sample, x) / len(sample) for sample in samples]
            largest = max(largest, min(shares) - bisect_right(ordered, x) / len(ordered))
        return largest


@dataclass(frozen=True, slots=True)
class Calibration:
    """What turns scores of one model into probabilities; see `Calibrator`.

    Attributes:
        binding: the model.
        curve: from score to probability.
        levels: from which probability on a pair is "high", and "some"; one that can't be trusted is absent.
        canaries: pairs whose scores show whether the model is still the same.
        sample: of the scores that it was made of.
        relevant_from: the grade from which on a pair counted as relevant.
        report: what was measured, as JSON; nothing depends on it.

    """

    binding: Binding
    curve: Curve
    levels: Mapping[Level, float]
    canaries: tuple[Canary, ...]
    sample: ScoreSample
    relevant_from: float = 1.0
    report: Mapping[str, Any] = field(default_factory=dict)

    @property
    def model(self) -> str:
        """The model's name."""
        return self.binding.model

    @property
    def kind(self) -> ScoreKind:
        """The kind of the scores that it converts."""
        return self.binding.kind

    def probability(self, score: Score) -> Score:
        """The probability that belongs to a score; the only place where a calibration converts.

        Raises:
            KindError: the score is of another kind or source, or was converted before.

        """
        if (score.kind, score.source) != (self.kind, self.model):
            raise KindError(
                f"this calibration is for {self.kind} scores of {self.model}; not for a {score.kind} of {score.source}"
            )
        return Score(self.curve(score.value), ScoreKind.PROBABILITY, score.source, score.stage + 1)

    def converted(self, scores: Scores) -> Scores:
        """Scores of pairs as probabilities; a pair without a score stays without.

        Raises:
            KindError: scores of another kind or source, or converted before.
            NotCalibrated: they are clearly others than those of the calibration, see `shift`.

        """
        if reason := self.shift([value for value in scores.values if value is not None]):
            raise NotCalibrated(reason)

        def value(raw: float | None) -> float | None:
            return None if raw is None else self.probability(Score(raw, scores.kind, scores.source)).value

        judgements = tuple(replace(j, value=value(j.value)) for j in scores.judgements)
        return replace(scores, judgements=judgements, kind=ScoreKind.PROBABILITY)

    def level(self, probability: float) -> Level | None:
        """The highest level that a probability reaches; "none" below all, None without any levels."""
        reached = [level for level, least in self.levels.items() if probability >= least]
        return (Level.HIGH if Level.HIGH in reached else reached[0]) if reached else Level.NONE if self.levels else None

    def least(self, relevance: float | str) -> float:
        """The least probability that a threshold keeps.

        Args:
            relevance: a probability above 0 and up to 1, also as text; or "high" or "some".

        Raises:
            InputError: another number or word, or a level that this calibration does not have.

        """
        if isinstance(relevance, str) and relevance in (Level.HIGH, Level.SOME):
            level = Level(relevance)
            if level not in self.levels:
                raise InputError(
                    f"the calibration of {self.model} has no level {level}: its data showed no threshold that can be "
                    f"trusted for it; give a number, or {' or '.join(self.levels) or 'more labels'}"
                )
            return self.levels[level]
        try:
            number = math.nan if isinstance(relevance, bool) else float(relevance)
        except (TypeError, ValueError):
            number = math.nan
        if not 0 < number <= 1:
            raise InputError(f"a relevance is a probability above 0 and up to 1, high or some; not {relevance!r}")
        return number

    def shift(self, values: Sequence[float]) -> str:
        """Why these can't be scores like those of the calibration; empty when they can, or are fewer than 50.

        The rule: more than half of them lie beyond what it was made of; see `ScoreSample.beyond`.
        """
        if len(values) < SHIFT_FROM:
            return ""
        beyond = self.sample.beyond(values)
        if beyond <= SHIFT_MOST:
            return ""
        return (
            f"{beyond:.0%} of {len(values)} scores of {self.model} lie beyond those that it was calibrated on; "
            "calibrate it with texts like these"
        )

    def check(self, info: ModelInfo) -> None:
        """The calibration belongs to this model, precision and settings.

        Raises:
            NotCalibrated: it does not; the message says what differs.

        """
        if difference := self.binding.difference(Binding.of(info)):
            raise NotCalibrated(
                f"the calibration of {self.model} is for {difference}; load the model as it was calibrated "
                f"({self.binding.runs_on or 'any engine'}, {self.binding.long_documents}), or calibrate it again"
            )

    def check_canaries(self, scorer: Scorer) -> None:
        """The model gives the canaries their scores.

        Raises:
            NotCalibrated: it gives others: it is another model, whatever its name is.

        """
        pairs = [
            (Query(c.query), Candidate(Document(str(i), c.document, c.title))) for i, c in enumerate(self.canaries)
        ]
        allowed = _CANARY_SHARE * self.sample.spread
        for canary, value in zip(self.canaries, scorer.score(pairs).values, strict=True):
            if value is None or abs(value - canary.score) > allowed:
                now = "no score" if value is None else f"{value:.4g}"
                raise NotCalibrated(
                    f"{self.model} gives a pair {now} that had {canary.score:.4g} when it was calibrated: the model "
                    "has changed; calibrate it again"
                )

    def entries(self) -> dict[str, Any]:
        """The calibration as JSON."""
        return {
            "binding": asdict(self.binding),
            "curve": self.curve.entries(),
            "levels": {str(level): least for level, least in self.levels.items()},
            "canaries": [asdict(canary) for canary in self.canaries],
            "scores": asdict(self.sample),
            "relevant_from": self.relevant_from,
            "report": dict(self.report),
        }

    @classmethod
    def of(cls, entries: Mapping[str, Any]) -> Calibration:
        """The calibration that `entries` wrote.

        Raises:
            InputError: a value that can't be.
            KeyError, TypeError, ValueError: an entry is missing, unknown or of another type.

        """
        binding = Binding(**{**entries["binding"], "kind": ScoreKind(entries["binding"]["kind"])})
        sample = ScoreSample(
            *(tuple(sorted(map(float, entries["scores"][name]))) for name in ("relevant", "irrelevant"))
        )
        if not sample.relevant or not sample.irrelevant:
            raise InputError("it has no scores of relevant, or of irrelevant pairs")
        return cls(
            binding,
            curve_of(entries["curve"]),
            {Level(name): float(least) for name, least in entries["levels"].items()},
            tuple(Canary(**canary) for canary in entries["canaries"]),
            sample,
            float(entries["relevant_from"]),
            entries["report"],
        )
