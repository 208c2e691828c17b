"""The seams: each has one method, and a fake of any of them fits in five lines."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from resift.types import Document, Level, ModelInfo, Pair, Query, Ranking, Score, ScoreKind, Scores

if TYPE_CHECKING:  # NumPy stays out of `import resift`
    import numpy as np
    import numpy.typing as npt

    FloatArray = npt.NDArray[np.float32]

Role = Literal["query", "document"]  # some embedders treat the two differently


@dataclass(frozen=True, slots=True)
class Budget:
    """What a driver may spend on a stage; None is no limit.

    Attributes:
        deadline: the reading of `time.perf_counter()` after which no further batch is begun; the best order so far
            comes back.
        memory: bytes that the process may hold; blocks become smaller, and where not even a batch fits the best order
            so far comes back.

    """

    deadline: float | None = None
    memory: int | None = None

    @classmethod
    def within(cls, deadline_ms: float | None, memory: int | None = None) -> Budget:
        """A budget whose time runs from now."""
        return cls(None if deadline_ms is None else time.perf_counter() + deadline_ms / 1e3, memory)


UNLIMITED = Budget()


class Retriever(Protocol):
    """Finds candidates: at most k per query, best first, each with this retriever's signal."""

    def retrieve(self, queries: Sequence[Query], k: int) -> list[Ranking]:
        """Return one ranking per query, in the order of the queries."""


@runtime_checkable
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


@runtime_checkable
class ByVectors(Protocol):
    """A retriever that compares vectors."""

    @property
    def embedder(self) -> Embedder:
        """The model of the vectors."""

    def retrieve(self, queries: Sequence[Query], k: int) -> list[Ranking]:
        """As `Retriever` has it."""


class Scorer(Protocol):
    """Scores pairs; a score depends on its pair alone, and pairs of many queries may share a call."""

    @property
    def info(self) -> ModelInfo:
        """Name, kind of score and limits of the model."""

    def score(self, pairs: Sequence[Pair]) -> Scores:
        """Return one judgement per pair, in the order of the pairs."""


@runtime_checkable
class KnowsLanguages(Protocol):
    """What a scorer has that can tell which texts it was not made for."""

    def foreign(self, texts: Sequence[str], role: Role) -> list[str]:
        """Return the language of each text that it does not read; empty where it reads it, or too little tells."""

    def misfit(self, query: str, passages: Sequence[str]) -> str:
        """Return why it should not judge these texts, in one sentence; empty when it should."""


@runtime_checkable
class HasContract(Protocol):
    """What a scorer has that was loaded from a model folder."""

    @property
    def contract(self) -> Any:  # noqa: ANN401 - protocols stay free of what is below them
        """The folder's contract (`models.contract.Contract`)."""


@runtime_checkable
class CutsTexts(Protocol):
    """What a scorer has that can cut a text at a number of its tokens."""

    def start_of(self, text: str, tokens: int) -> str:
        """Return the beginning of a text that has at most so many tokens."""


@runtime_checkable
class RunsOn(Protocol):
    """What a scorer has that runs on an engine which can be wrapped, to count or to share its batches."""

    def with_engine(self, wrap: Callable[[Any], Any]) -> Scorer:
        """Return the same scorer over the engine that `wrap` gives for the present one (`engine.batching.Engine`)."""


class TokenStore(Protocol):
    """Token vectors that were computed before."""

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the model that made them (`ModelInfo.fingerprint`)."""

    def windows_of(self, document: Document) -> tuple[Any, ...] | None:
        """Return the document's windows (`engine.maxsim.TokenVectors`); None when it is not stored."""

    def pooled_of(self, document: Document) -> FloatArray:
        """Return the pooled vector (H,) of a stored document; asked where it has a share of the score."""


@runtime_checkable
class StoresTokens(Protocol):
    """What a scorer has that compares token vectors, and can take stored ones."""

    def with_store(self, store: TokenStore) -> Scorer:
        """Return the same scorer, which takes the vectors of stored documents from `store`."""


class SparesTime(Protocol):
    """A memory that says how much time it spared."""

    spared_ms: float


@runtime_checkable
class RemembersDocuments(Protocol):
    """What a scorer has that encodes documents alone, and can keep what it made of them."""

    @property
    def memory(self) -> SparesTime | None:
        """What it remembers; None for a scorer that remembers nothing."""

    def remembering(self, limit: int) -> Scorer:
        """Return the same scorer, which keeps so many bytes of encoded documents; its scores are equal."""


class Calibrator(Protocol):
    """Turns a model's scores into probabilities of relevance, and knows what its thresholds are."""

    @property
    def model(self) -> str:
        """The model's name, which is the source of the scores that it converts."""

    @property
    def kind(self) -> ScoreKind:
        """The kind of the scores that it converts."""

    def probability(self, score: Score) -> Score:
        """Return the probability; raises KindError where the score is of another kind or source."""

    def level(self, probability: float) -> Level | None:
        """Return the level of a probability; None where the calibration has no levels."""

    def least(self, relevance: float | str) -> float:
        """Return the least probability that a number or a level's name allows; raises InputError for others."""

    def shift(self, values: Sequence[float]) -> str:
        """Return why these can't be scores like those of the calibration, in one sentence; empty when they can."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What a stage wants to know: the judgement of some pairs of one ranking, the most promising first.

    Attributes:
        scorer: who is asked.
        pairs: of the ranking's query and its candidates.
        whole: the scorer must see all pairs in one call and no others, as a listwise judge does; otherwise a driver may
            split them, and put them together with those of other rankings.

    """

    scorer: Scorer
    pairs: tuple[Pair, ...]
    whole: bool = False


Flow = Generator[Ask, Scores, Ranking]


class Stage(Protocol):
    """Puts one ranking into another order.

    A stage only decides; it never calls a scorer itself. It yields what it wants judged, and is sent one judgement per
    pair; where time or room ran out, a judgement has no value and a flag of `UNREACHED`. It returns the ranking with
    every candidate exactly once, be it in `left_out`, and alters nothing. A driver (`rerank.drive`, or the server's)
    watches clock, memory and queue, and may run many flows side by side.
    """

    @property
    def name(self) -> str:
        """What the trace calls the stage."""

    def order(self, ranking: Ranking) -> Flow:
        """Yield asks, take scores, return the ranking."""


@runtime_checkable
class LoadsModels(Protocol):
    """What a stage has that loads models when a ranking needs them."""

    def load_for(self, ranking: Ranking) -> None:
        """Load what this ranking needs: a driver calls it before the time of a deadline runs."""
