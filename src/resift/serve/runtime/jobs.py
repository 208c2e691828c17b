"""What the workers compute: judgements of pairs, judgements of lists, vectors of texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from resift.errors import InputError, ModelFailed, ResiftError
from resift.protocols import CutsTexts, Role, Scorer
from resift.types import Flag, Judgement, Pair

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from resift.protocols import Embedder


@dataclass(frozen=True, slots=True)
class PairJob:
    """A pair to score, and how many tokens of its document are read (None: all, in windows)."""

    pair: Pair
    truncate_to: int | None = None


def score_pairs(scorer: Scorer) -> Callable[[Sequence[PairJob]], list[Judgement]]:
    """A function that judges pairs; it cuts a document that is to be read in part, and flags it."""

    def compute(jobs: Sequence[PairJob]) -> list[Judgement]:
        pairs, shortened = zip(*(_cut(job, scorer) for job in jobs), strict=True)
        judgements = scorer.score(pairs).judgements
        if len(judgements) != len(pairs):
            raise ModelFailed(f"{scorer.info.name} gave {len(judgements)} judgements for {len(pairs)} pairs")
        return [
            replace(judgement, flags=judgement.flags | {Flag.TRUNCATED}) if is_shorter else judgement
            for judgement, is_shorter in zip(judgements, shortened, strict=True)
        ]

    return compute


def score_lists(scorer: Scorer) -> Callable[[Sequence[Sequence[PairJob]]], list[list[Judgement]]]:
    """A function that judges whole lists, each in a call of its own."""
    compute = score_pairs(scorer)
    return lambda lists: [compute(jobs) for jobs in lists]


def embed_texts(embedder: Embedder, role: Role) -> Callable[[Sequence[str]], list[npt.NDArray[np.float32]]]:
    """A function that embeds texts in one role."""
    return lambda texts: list(embedder.embed(texts, role))


def _cut(job: PairJob, scorer: Scorer) -> tuple[Pair, bool]:
    """The pair with its document's text cut to so many tokens, and whether the text became shorter."""
    query, candidate = job.pair
    text = candidate.document.text
    if job.truncate_to is None or not isinstance(scorer, CutsTexts):
        return job.pair, False
    start = scorer.start_of(text, job.truncate_to)
    return (query, replace(candidate, document=replace(candidate.document, text=start))), len(start) < len(text)


def raise_if_all_failed(outcomes: Sequence[Any]) -> None:
    """Raise the first error when nothing else came out, or when the request itself is at fault.

    Outcomes are results, errors, and flags of items that were never computed, which don't count.

    Raises:
        InputError: the request's texts can't be scored.
        ModelFailed: every item failed, or hung.

    """
    errors = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    for error in errors:
        if isinstance(error, InputError):
            raise error
    if errors and len(errors) == sum(not isinstance(outcome, Flag) for outcome in outcomes):
        first = errors[0]
        if isinstance(first, ModelFailed):
            raise first
        raise ModelFailed(f"the model failed on every item: {description(first)}") from first


def description(error: BaseException) -> str:
    """What a client may read of an error: Resift's own message; else the type, since a message may quote texts."""
    return str(error) if isinstance(error, ResiftError) else type(error).__name__


def judgement_of(outcome: Judgement | Exception | Flag) -> Judgement:
    """An outcome as a judgement: an error becomes the flag "failed"."""
    if isinstance(outcome, Judgement):
        return outcome
    return Judgement(None, flags=frozenset({outcome if isinstance(outcome, Flag) else Flag.FAILED}))
