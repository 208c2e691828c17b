"""What turns a raw score into a probability: Platt's logistic curve, or isotonic steps; standard library only."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from resift.errors import InputError


class Curve(Protocol):
    """A function from a score to a probability that never falls as the score rises."""

    name: ClassVar[str]

    def __call__(self, score: float) -> float:
        """The probability of relevance, above 0 and below 1."""

    def entries(self) -> dict[str, Any]:
        """The curve as JSON; `curve_of` reads it."""


@dataclass(frozen=True, slots=True)
class PlattCurve:
    """1 / (1 + exp(-(slope · score + intercept))); slope is 0 or more. Source: Platt, 1999."""

    slope: float
    intercept: float
    name: ClassVar[str] = "platt"

    def __call__(self, score: float) -> float:
        """The probability; 0 or 1 only where float64 has nothing between."""
        x = self.slope * score + self.intercept
        small = math.exp(-abs(x))
        return 1 / (1 + small) if x >= 0 else small / (1 + small)

    def entries(self) -> dict[str, Any]:
        """Name, slope and intercept."""
        return {"name": self.name, "slope": self.slope, "intercept": self.intercept}


@dataclass(frozen=True, slots=True)
class IsotonicCurve:
    """Straight lines between points of rising scores and never falling probabilities; level beyond both ends.

    Source: Zadrozny and Elkan, 2002; the points are both ends of each block that pooling adjacent violators leaves.
    """

    scores: tuple[float, ...]
    probabilities: tuple[float, ...]
    name: ClassVar[str] = "isotonic"

    def __call__(self, score: float) -> float:
        """The probability, by the line between the two points around the score."""
        right = bisect_right(self.scores, score)
        if right == 0:
            return self.probabilities[0]
        if right == len(self.scores):
            return self.probabilities[-1]
        (x0, x1), (y0, y1) = self.scores[right - 1 : right + 1], self.probabilities[right - 1 : right + 1]
        return y0 if y0 == y1 else y0 + (y1 - y0) * (score - x0) / (x1 - x0)

    def entries(self) -> dict[str, Any]:
        """Name and points."""
        return {"name": self.name, "scores": list(self.scores), "probabilities": list(self.probabilities)}


def curve_of(entries: Mapping[str, Any]) -> Curve:
    """The curve that `entries` wrote.

    Raises:
        InputError: no curve, or one whose probability falls or leaves 0 to 1.
        KeyError, TypeError, ValueError: an entry is missing or of another type.

    """
    if entries["name"] == PlattCurve.name:
        curve = PlattCurve(float(entries["slope"]), float(entries["intercept"]))
        if not (0 <= curve.slope < math.inf and math.isfinite(curve.intercept)):
            raise InputError(f"a slope is a finite number of 0 or more; not {curve.slope}")
        return curve
    if entries["name"] == IsotonicCurve.name:
        scores, probabilities = tuple(map(float, entries["scores"])), tuple(map(float, entries["probabilities"]))
        rising = all(a < b for a, b in zip(scores, scores[1:], strict=False))
        monotone = list(probabilities) == sorted(probabilities) and all(0 <= p <= 1 for p in probabilities)
        if not scores or len(scores) != len(probabilities) or not rising or not monotone:
            raise InputError("the points of an isotonic curve do not rise from 0 to 1")
        return IsotonicCurve(scores, probabilities)
    raise InputError(f"a curve is platt or isotonic; not {entries['name']!r}")
