"""What the workers compute: pairs to verdicts, texts to vectors; one lane per model and job."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from resift.errors import InputError, ModelFailed, ResiftError
from resift.protocols import Role, Scorer
from resift.types import Candidate, Pair, Query, ScoreKind, Scores, Span

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from resift.protocols import Embedder
    from resift.score.tokens import Tokens

NO_FLAGS: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class PairItem:
    """A pair to score, and how many tokens of its document are read (None: all, in windows)."""

    pair: Pair
    truncate_to: int | None = None


@dataclass(frozen=True, slots=True)
class PairVerdict:
    """One pair's share of Scores."""

    value: float | None
    kind: ScoreKind
    flags: frozenset[str] = NO_FLAGS
    span: Span | None = None
    tokens: int = 0


def score_lane(scorer: Scorer, tokens: Tokens | None) -> Callable[[Sequence[PairItem]], list[PairVerdict]]:
    """Scores PairItems; `tokens` cuts documents."""

    def compute(items: Sequence[PairItem]) -> list[PairVerdict]:
        pairs, cut = zip(*(_cut(item, tokens) for item in items), strict=True)
        s = scorer.score(pairs)
        lengths = s.lengths or (0,) * len(s)
        rows = zip(s.values, s.flags, s.spans, lengths, cut, strict=True)
        return [PairVerdict(v, s.kind, f | {"truncated"} if c else f, span, n) for v, f, span, n, c in rows]

    return compute


_CHARACTERS = 24  # per token wanted: more than a token has, so that a text of megabytes is not tokenised to be cut


def _cut(item: PairItem, tokens: Tokens | None) -> tuple[Pair, bool]:
    """The pair with its document's text cut to so many tokens, and whether anything was lost."""
    query, candidate = item.pair
    limit, text = item.truncate_to, candidate.document.text
    if limit is None or tokens is None or len(text.encode("utf-8", "replace")) <= limit:  # a token has a byte or more
        return item.pair, False
    offsets = tokens.encode([text[: limit * _CHARACTERS]])[0].offsets
    if len(offsets) <= limit and len(text) <= limit * _CHARACTERS:
        return item.pair, False
    end = offsets[min(limit, len(offsets)) - 1][1] if offsets else 0
    return (query, replace(candidate, document=replace(candidate.document, text=text[:end]))), True


def embed_lane(embedder: Embedder, role: Role) -> Callable[[Sequence[str]], list[npt.NDArray[np.float32]]]:
    """Embeds texts in one role."""

    def compute(texts: Sequence[str]) -> list[npt.NDArray[np.float32]]:
        return list(embedder.embed(texts, role))

    return compute


def raise_if_all_failed(outcomes: Sequence[Any]) -> None:
    """Raise the first error when nothing else came out, or when the request itself is at fault; texts don't count.

    Raises:
        InputError: what was asked can't be scored.
        ModelFailed: every item failed, or hung.

    """
    errors = [o for o in outcomes if isinstance(o, Exception)]
    for error in errors:
        if isinstance(error, InputError):
            raise error
    if errors and len(errors) == sum(not isinstance(o, str) for o in outcomes):
        first = errors[0]
        if isinstance(first, ModelFailed):
            raise first
        what = str(first) if isinstance(first, ResiftError) else type(first).__name__
        raise ModelFailed(f"the model failed on every item: {what}") from first


def as_scores(outcomes: Sequence[Any], kind: ScoreKind, source: str) -> Scores:
    """Outcomes as Scores: a text instead of an outcome becomes the flag of an item never computed; errors "failed"."""
    own = [_verdict(o, kind) for o in outcomes]
    values, flags = tuple(v.value for v in own), tuple(v.flags for v in own)
    spans, lengths = tuple(v.span for v in own), tuple(v.tokens for v in own)
    return Scores(values, kind, source, flags, spans, sum(lengths), lengths)


def _verdict(outcome: Any, kind: ScoreKind) -> PairVerdict:  # noqa: ANN401 - a PairVerdict, an error or a flag
    if isinstance(outcome, PairVerdict):
        return outcome
    return PairVerdict(None, kind, frozenset({outcome if isinstance(outcome, str) else "failed"}))


def pair_items(query: Query, candidates: Sequence[Candidate], truncate_to: int | None = None) -> list[PairItem]:
    """One item per candidate."""
    return [PairItem((query, c), truncate_to) for c in candidates]
