"""The seams: each has one method, and a fake of any of them fits in five lines."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from resift.types import Pair, Query, Ranking, Scores


@dataclass(frozen=True, slots=True)
class Budget:
    """What a stage may spend: candidates per query (`depth`) and a moment of `time.monotonic()` (`deadline`)."""

    depth: int | None = None
    deadline: float = math.inf

    def expired(self) -> bool:
        """Whether the deadline has passed."""
        return time.monotonic() >= self.deadline


UNLIMITED = Budget()


class Retriever(Protocol):
    """Finds candidates: at most k per query, best first, each with this retriever's signal."""

    def retrieve(self, queries: Sequence[Query], k: int) -> list[Ranking]:
        """Return one ranking per query, in the order of the queries."""


class Scorer(Protocol):
    """Scores pairs; a score depends on its pair alone, and pairs of many queries may share a call."""

    name: str

    def score(self, pairs: Sequence[Pair]) -> Scores:
        """Return one value per pair, in the order of the pairs."""


class Stage(Protocol):
    """Turns rankings into rankings: every candidate comes back exactly once, nothing given is altered."""

    def run(self, rankings: Sequence[Ranking], budget: Budget = UNLIMITED) -> list[Ranking]:
        """Return one ranking per ranking, in order."""
