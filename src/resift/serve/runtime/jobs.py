"""What the workers compute: pairs to judgements, lists to judgements, texts to vectors; one lane per model and job."""

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
    """Judge pairs; a document that is to be read in part is cut first, and flagged."""

    def compute(jobs: Sequence[PairJob]) -> list[Judgement]:
        pairs, cut = zip(*(_cut(job, scorer) for job in jobs), strict=True)
        judgements = scorer.score(pairs).judgements
        return [replace(j, flags=j.flags | {Flag.TRUNCATED}) if c else j for j, c in zip(judgements, cut, strict=True)]

    return compute


def score_lists(scorer: Scorer) -> Callable[[Sequence[tuple[Pair, ...]]], list[tuple[Judgement, ...]]]:
    """Judge whole lists, each in a call of its own."""
    return lambda lists: [scorer.score(pairs).judgements for pairs in lists]


def embed_texts(embedder: Embedder, role: Role) -> Callable[[Sequence[str]], list[npt.NDArray[np.float32]]]:
    """Embed texts in one role."""
    return lambda texts: list(embedder.embed(texts, role))


def _cut(job: PairJob, scorer: Scorer) -> tuple[Pair, bool]:
    """The pair with its document's text cut to so many tokens, and whether anything was lost."""
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
        InputError: what was asked can't be scored.
        ModelFailed: every item failed, or hung.

    """
    errors = [o for o in outcomes if isinstance(o, Exception)]
    for error in errors:
        if isinstance(error, InputError):
            raise error
    if errors and len(errors) == sum(not isinstance(o, Flag) for o in outcomes):
        first = errors[0]
        if isinstance(first, ModelFailed):
            raise first
        what = str(first) if isinstance(first, ResiftError) else type(first).__name__
        raise ModelFailed(f"the model failed on every item: {what}") from first


def judgement_of(outcome: Judgement | Exception | Flag) -> Judgement:
    """An outcome as a judgement: an error becomes the flag "failed"."""
    if isinstance(outcome, Judgement):
        return outcome
    return Judgement(None, flags=frozenset({outcome if isinstance(outcome, Flag) else Flag.FAILED}))
