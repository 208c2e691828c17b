"""The records that cross every border of Resift: frozen, typed, standard library only."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from resift.errors import KindError, NonFiniteScore
from resift.vocabulary import UNREACHED as UNREACHED
from resift.vocabulary import Flag as Flag
from resift.vocabulary import Level as Level
from resift.vocabulary import NoteCode as NoteCode
from resift.vocabulary import ScoreKind as ScoreKind


@dataclass(frozen=True, slots=True)
class Note:
    """What happened to a ranking: a code for programs, a sentence for people."""

    code: NoteCode
    message: str


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What the rest of Resift needs to know of a scorer.

    Attributes:
        name: of the model; the source of its scores.
        kind: what its scores are.
        family: as its contract names it; empty for a scorer without a model folder.
        fingerprint: a hash of the model's files; empty without files.
        runs_on: engine and precision, such as "native bf16".
        max_tokens: the longest input; 0 where nothing is known.
        long_documents: how documents over the window are read: "windows", "strides" or "truncate".
        languages: codes of the languages that it was made for; empty where nothing is known.
        blend_weight: weight of its standardised score beside the first stage's (see `rerank.blend`).
        blend_weight_indexed: the same where the model's own vectors were among the retrievers; None: as elsewhere.
        licence: of the weights.
        settings: whatever else a score depends on, as text. Two scorers whose infos are equal give equal scores.

    """

    name: str
    kind: ScoreKind
    family: str = ""
    fingerprint: str = ""
    runs_on: str = ""
    max_tokens: int = 0
    long_documents: str = "windows"
    languages: tuple[str, ...] = ()
    blend_weight: float = 1.0
    blend_weight_indexed: float | None = None
    licence: str = ""
    settings: str = ""


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for."""

    text: str
    id: str = ""
    instruction: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """One passage of text; `metadata` is carried along untouched (for passages of files: path, line, start, end)."""

    id: str
    text: str
    title: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open range of characters of `Document.text`."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Score:
    """A finite number, what kind of number it is, who said it, and at which stage of the pipeline.

    Raises:
        NonFiniteScore: the value is NaN or infinite.
        KindError: a comparison with a score of another kind or stage, or with what is no score.

    """

    value: float
    kind: ScoreKind
    source: str
    stage: int = 0

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise NonFiniteScore(f"{self.source} gave {self.value}; a score is a finite number")

    def __float__(self) -> float:
        return self.value

    def _comparable(self, other: object) -> None:
        if not isinstance(other, Score):
            raise KindError(
                f"a score is compared with scores of its own kind, not with {type(other).__name__}; "
                "compare its number: score.value"
            )
        if (self.kind, self.stage) != (other.kind, other.stage):
            raise KindError(
                f"a {self.kind} score of stage {self.stage} ({self.source}) can't be compared with "
                f"a {other.kind} score of stage {other.stage} ({other.source}); compare ranks instead"
            )

    def __lt__(self, other: Score) -> bool:
        self._comparable(other)
        return self.value < other.value

    def __le__(self, other: Score) -> bool:
        self._comparable(other)
        return self.value <= other.value

    def __gt__(self, other: Score) -> bool:
        self._comparable(other)
        return self.value > other.value

    def __ge__(self, other: Score) -> bool:
        self._comparable(other)
        return self.value >= other.value

    def to_probability(self) -> Score:
        """The logistic function of a logit, in float64; any other kind raises KindError."""
        if self.kind is not ScoreKind.LOGIT:
            raise KindError(f"only a logit converts to a probability; this score is already a {self.kind}")
        small = math.exp(-abs(self.value))
        value = 1 / (1 + small) if self.value >= 0 else small / (1 + small)
        return replace(self, value=value, kind=ScoreKind.PROBABILITY)


RECIPROCAL_RANKS = "rrf"  # the source of a score that was made of ranks alone, each list of the same weight


@dataclass(frozen=True, slots=True)
class Reason:
    """What one feature added to the score of a learned stage.

    `value` is None where it was missing; `words` are a short clause with feature and value.
    """

    feature: str
    value: float | None
    contribution: float
    words: str


@dataclass(frozen=True, slots=True)
class Signal:
    """What one retriever or stage said of a candidate: its rank there (from 1), its score and level, if it gave one.

    `reasons` are those of a learned stage that was asked to explain itself, the largest contributions first.
    """

    source: str
    rank: int
    score: Score | None = None
    level: Level | None = None
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A document on its way through the pipeline.

    `score` is None when no stage scored it; it then stands after the scored ones. `signals` is append-only: the first
    entry is what the first stage said. `span` is the part of the text that won. `rank` is the position in its Ranking.
    """

    document: Document
    score: Score | None = None
    signals: tuple[Signal, ...] = ()
    span: Span | None = None
    flags: frozenset[Flag] = frozenset()
    rank: int = 0

    @property
    def probability(self) -> float:
        """How likely the last classifier thinks the document relevant, in float64; also where a blend stands above it.

        Raises:
            KindError: nothing that was said of the candidate is a logit or a probability.

        """
        for score in (self.score, *(s.score for s in reversed(self.signals))):
            if score is not None and score.kind is ScoreKind.PROBABILITY:
                return score.value
            if score is not None and score.kind is ScoreKind.LOGIT:
                return score.to_probability().value
        kinds = sorted({str(s.score.kind) for s in self.signals if s.score is not None}) or ["none"]
        raise KindError(f"{self.document.id} has no logit and no probability (scores: {', '.join(kinds)})")

    @property
    def level(self) -> Level | None:
        """How relevant it is by the last calibration that spoke of it; None where none did, or it has no levels."""
        return next((s.level for s in reversed(self.signals) if s.level is not None), None)

    @property
    def first_rank(self) -> int:
        """The rank at the first stage, from 1; the present rank when there was none."""
        return self.signals[0].rank if self.signals else self.rank


@dataclass(frozen=True, slots=True)
class Step:
    """What one stage did: wall-clock milliseconds, pairs and model tokens, and how many of the n were scored."""

    name: str
    ms: float
    pairs: int = 0
    tokens: int = 0
    scored: int = 0
    total: int = 0
    truncated: int = 0


@dataclass(frozen=True, slots=True)
class Trace:
    """The history of a ranking; the notes say why `reranked` is False, or why it is only partly so."""

    steps: tuple[Step, ...] = ()
    reranked: bool = False
    notes: tuple[Note, ...] = ()

    @property
    def reason(self) -> str:
        """The notes' messages, for people; empty when there is nothing to say."""
        return "; ".join(note.message for note in self.notes)

    def then(self, step: Step, *notes: Note, reranked: bool | None = None) -> Trace:
        """A copy with one more step, and notes behind those that are there."""
        return Trace((*self.steps, step), self.reranked if reranked is None else reranked, (*self.notes, *notes))


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a scorer says of one pair.

    Attributes:
        value: the score; None when there is none, and the flags then say why.
        span: the characters of `Document.text` that won.
        flags: see `Flag`.
        tokens: how many of query and document were read for it, whatever was shared with other pairs.

    """

    value: float | None
    span: Span | None = None
    flags: frozenset[Flag] = frozenset()
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Scores:
    """What a Scorer says of n pairs: one judgement each, all of one kind.

    Attributes:
        judgements: in the order of the pairs.
        kind, source: what the values are, and the model's name.
        tokens: what the model read in all.
        ms: wall-clock milliseconds that the pairs took; a driver fills it in.

    Raises:
        NonFiniteScore: a value is NaN or infinite.

    """

    judgements: tuple[Judgement, ...]
    kind: ScoreKind
    source: str
    tokens: int = 0
    ms: float = 0.0

    def __post_init__(self) -> None:
        if any(j.value is not None and not math.isfinite(j.value) for j in self.judgements):
            raise NonFiniteScore(
                f"{self.source} gave a score that is not finite: its weights are damaged, or precision='f32' is needed"
            )

    @classmethod
    def of(cls, values: Iterable[float | None], info: ModelInfo) -> Scores:
        """Bare values, in the order of the pairs, as a simple scorer has them; None means empty."""
        empty = Judgement(None, flags=frozenset({Flag.EMPTY}))
        return cls(tuple(empty if v is None else Judgement(float(v)) for v in values), info.kind, info.name)

    def __len__(self) -> int:
        return len(self.judgements)

    @property
    def values(self) -> tuple[float | None, ...]:
        """Each pair's score, None where there is none."""
        return tuple(j.value for j in self.judgements)

    @property
    def flags(self) -> tuple[frozenset[Flag], ...]:
        """Each pair's flags."""
        return tuple(j.flags for j in self.judgements)

    @property
    def spans(self) -> tuple[Span | None, ...]:
        """Each pair's span."""
        return tuple(j.span for j in self.judgements)


@dataclass(frozen=True, slots=True)
class Ranking:
    """The candidates of one query; their order is the tuple's order, and `rank` counts from 1.

    `left_out` are those that a threshold of relevance took out of the candidates, in their order.
    """

    query: Query
    candidates: tuple[Candidate, ...] = ()
    trace: Trace = Trace()
    left_out: tuple[Candidate, ...] = ()

    def __post_init__(self) -> None:
        ranked = tuple(c if c.rank == i else replace(c, rank=i) for i, c in enumerate(self.candidates, 1))
        object.__setattr__(self, "candidates", ranked)

    def __len__(self) -> int:
        return len(self.candidates)

    def __iter__(self) -> Iterator[Candidate]:
        return iter(self.candidates)

    def __getitem__(self, i: int) -> Candidate:
        return self.candidates[i]

    @classmethod
    def from_scores(cls, query: Query, candidates: Iterable[Candidate], trace: Trace = Trace()) -> Ranking:
        """Sort candidates; the one place in Resift that sorts by score.

        Order: later stage first, value descending, first rank, input position; those without a score come last, in
        their first-stage order.

        Raises:
            KindError: one stage gave scores of two kinds.

        """
        given, kinds = tuple(candidates), dict[int, ScoreKind]()
        for c in given:
            if c.score is not None and kinds.setdefault(c.score.stage, c.score.kind) is not c.score.kind:
                raise KindError(f"stage {c.score.stage} gave both {kinds[c.score.stage]} and {c.score.kind} scores")

        def key(position: int) -> tuple[float, float, int, int]:
            c = given[position]
            stage, value = (-c.score.stage, -c.score.value) if c.score is not None else (math.inf, 0.0)
            return stage, value, c.signals[0].rank if c.signals else position + 1, position

        return cls(query, tuple(given[i] for i in sorted(range(len(given)), key=key)), trace)

    @classmethod
    def unscored(cls, query: Query, documents: Iterable[Document]) -> Ranking:
        """Documents in the order given, which becomes their first rank, with no score."""
        return cls(query, tuple(Candidate(d, signals=(Signal("input", i),)) for i, d in enumerate(documents, 1)))

    def reordered(self, order: Sequence[int]) -> Ranking:
        """The same candidates in another order; `order` is a permutation of their positions from 0."""
        if sorted(order) != list(range(len(self.candidates))):
            raise ValueError("an order is a permutation of all positions")
        return replace(self, candidates=tuple(self.candidates[i] for i in order))

    def noting(self, *notes: Note) -> Ranking:
        """The same with notes before those of the trace."""
        return replace(self, trace=replace(self.trace, notes=(*notes, *self.trace.notes))) if notes else self

    def top(self, k: int | None) -> Ranking:
        """The first k candidates; all of them when k is None."""
        return self if k is None else replace(self, candidates=self.candidates[:k])


Pair = tuple[Query, Candidate]
