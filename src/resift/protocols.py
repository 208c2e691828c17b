"""The seams: each has one method, and a fake of any of them fits in five lines."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from resift.types import Pair, Query, Ranking, Scores

if TYPE_CHECKING:  # NumPy stays out of `import resift`
    import numpy as np
    import numpy.typing as npt

    FloatArray = npt.NDArray[np.float32]

Role = Literal["query", "document"]  # some embedders treat the two differently


@dataclass(frozen=True, slots=True)
class Budget:
    """What a stage may spend; None is no limit.

    depth: candidates per query that it looks at. deadline: the reading of `time.perf_counter()` after which it starts
    no further batch, and returns the best order so far. memory: bytes that the process may hold; a stage takes smaller
    blocks, and where not even a batch fits it returns the best order so far.
    """

    depth: int | None = None
    deadline: float | None = None
    memory: int | None = None

    @classmethod
    def within(cls, deadline_ms: float | None, depth: int | None = None, memory: int | None = None) -> Budget:
        """A budget whose time runs from now."""
        return cls(depth, None if deadline_ms is None else time.perf_counter() + deadline_ms / 1e3, memory)


UNLIMITED = Budget()


class Retriever(Protocol):
    """Finds candidates: at most k per query, best first, each with this retriever's signal."""

    def retrieve(self, queries: Sequence[Query], k: int) -> list[Ranking]:
        """Return one ranking per query, in the order of the queries."""


class Embedder(Protocol):
    """Turns a text into one vector of length 1, so that a dot product is a cosine."""

    @property
    def name(self) -> str:
        """The model's name."""

    @property
    def dims(self) -> int:
        """How many numbers a vector has."""

    def embed(self, texts: Sequence[str], role: Role) -> FloatArray:
        """Return (n, dims) f32; a text without any token is all zeros."""


class Scorer(Protocol):
    """Scores pairs; a score depends on its pair alone, and pairs of many queries may share a call."""

    name: str

    def score(self, pairs: Sequence[Pair]) -> Scores:
        """Return one value per pair, in the order of the pairs."""


class Stage(Protocol):
    """Turns rankings into rankings: every candidate comes back exactly once, nothing given is altered."""

    def run(self, rankings: Sequence[Ranking], budget: Budget = UNLIMITED) -> list[Ranking]:
        """Return one ranking per ranking, in order."""
