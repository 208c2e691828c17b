"""Checks that apply to every scorer, whatever it is made of: above all, a score belongs to its pair alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from resift.errors import ResiftError
from resift.inspection.agreement import finite, grid, pair, probe_pairs, probes
from resift.models.published import PublishedScore
from resift.protocols import Scorer
from resift.types import Pair

Status = Literal["ok", "note", "warn", "fail"]
Values = npt.NDArray[np.float64]

TOLERANCE = 1e-4  # at f32, of a score, or of its size where that is over 1


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check, in one sentence: fine, worth knowing, a warning, or a failure."""

    check: str
    status: Status
    message: str


def probe_language(languages: Sequence[str]) -> str:
    """The language of the probes that a model of these languages is asked in; English where it names none of them."""
    return next((language for language in probes() if language in languages), "en")


def examine_scorer(scorer: Scorer) -> Iterator[Finding]:
    """Give one finding for each check that applies to every scorer; nothing but `info` and `score` is asked of it."""
    language = probe_language(scorer.info.languages)
    try:
        reference = grid(scorer, language)
    except ResiftError as error:
        yield Finding("finite", "fail", str(error))
        return
    yield Finding("finite", "ok", f"{reference.size} scores, all finite")
    if np.ptp(reference) == 0:
        yield Finding("spread", "fail", f"every score is {reference[0, 0]:.4g}")
        return
    yield Finding("spread", "ok", f"{reference.min():.3f} to {reference.max():.3f}")
    yield from belonging_checks(scorer, language, reference)


def published_scores_check(scorer: Scorer, published: Sequence[PublishedScore]) -> Finding:
    """Whether a scorer gives the scores that were published of its model, each within its tolerance."""
    values = finite(scorer, [pair(p.query, p.document) for p in published]).tolist()
    scaled = [_logistic(v) if p.scale == "probability" else v for v, p in zip(values, published, strict=True)]
    misses = [abs(v - p.score) - p.tolerance for v, p in zip(scaled, published, strict=True)]
    worst = int(np.argmax(misses))
    value, of = scaled[worst], published[worst]
    terms = f"{of.scale} at {of.precision}, within {of.tolerance:g}"
    if misses[worst] > 0:
        message = f"{value:.5g} for {of.document!r}, where {of.source} has {of.score:g} ({terms})"
        return Finding("published", "fail", f"{message}: weights, tokenizer or config are not the published ones")
    return Finding("published", "ok", f"{len(published)} pairs as {of.source} has them ({terms})")


def _logistic(logit: float) -> float:
    return float(np.exp(-np.logaddexp(0.0, -logit)))


def belonging_checks(scorer: Scorer, language: str, reference: Values) -> Iterator[Finding]:
    """Whether scores are of one kind and belong to their pairs; `reference` has scores of many pairs for the scale."""
    for check in (_kind, _invariance, _equal_pairs, _empty_documents):
        try:
            yield check(scorer, probe_pairs(language)[::18], reference)
        except ResiftError as error:
            yield Finding(check.__name__.strip("_").replace("_", " "), "fail", str(error))


def scale_of(values: Values) -> float:
    """The size of scores of which the tolerance is a share: the largest, or 1."""
    return max(1.0, float(np.abs(values).max()))


def _kind(scorer: Scorer, pairs: Sequence[Pair], reference: Values) -> Finding:
    """The scores name the kind and the source that `info` names, and there is one for each pair."""
    scores, info = scorer.score(pairs), scorer.info
    if len(scores) != len(pairs):
        return Finding("kind", "fail", f"it gives {len(scores)} judgements for {len(pairs)} pairs")
    if (scores.kind, scores.source) != (info.kind, info.name):
        message = f"its scores are of kind {scores.kind} by {scores.source}, its info says {info.kind} by {info.name}"
        return Finding("kind", "fail", message)
    return Finding("kind", "ok", f"every score is a {info.kind} by {info.name}")


def _invariance(scorer: Scorer, pairs: Sequence[Pair], reference: Values) -> Finding:
    """A batch of one against a batch of many, beside a long neighbour, and in another order."""
    expected = finite(scorer, pairs)
    alone = [finite(scorer, [one])[0] for one in pairs]
    long = pair("a long neighbour", "a word that comes again and again " * 60)
    beside = finite(scorer, [*pairs, long])[:-1]
    backwards = finite(scorer, pairs[::-1])[::-1]
    worst = max(float(np.abs(expected - np.array(values)).max()) for values in (alone, beside, backwards))
    scale = scale_of(reference)
    gaps = np.diff(np.sort(reference, axis=1), axis=1)
    near = int((gaps <= max(worst, 1e-7 * scale)).sum())  # these two may change places: f32 has 7 digits
    message = (
        f"alone, beside a long one and backwards, a score moves by {worst:.1e} at most; "
        f"{near} of {gaps.size} neighbours in an order are no further apart"
    )
    return Finding("invariance", "ok" if worst <= TOLERANCE * scale else "fail", message)


def _equal_pairs(scorer: Scorer, pairs: Sequence[Pair], reference: Values) -> Finding:
    """The same pair, several times among others, gets one score."""
    first = [value for i, value in enumerate(finite(scorer, [p for p in pairs for _ in range(2)])) if i % 2 == 0]
    twice = finite(scorer, [*pairs, *pairs]).reshape(2, -1)
    worst = max(float(np.abs(twice[0] - twice[1]).max()), float(np.abs(twice[0] - np.array(first)).max()))
    good = worst <= TOLERANCE * scale_of(reference)
    message = f"equal pairs in one call differ by {worst:.1e} at most"
    return Finding("equal pairs", "ok" if good else "fail", message)


def _empty_documents(scorer: Scorer, pairs: Sequence[Pair], reference: Values) -> Finding:
    """A document without text gets no score and a flag that says why, and its neighbours keep theirs."""
    expected = finite(scorer, pairs)
    query = pairs[0][0].text
    scores = scorer.score([pair(query, ""), *pairs, pair(query, " \n")])
    for judgement in (scores.judgements[0], scores.judgements[-1]):
        if judgement.value is not None:
            return Finding("empty documents", "fail", f"a document without text gets the score {judgement.value:.4g}")
        if not judgement.flags:
            return Finding("empty documents", "fail", "a document without text gets no score, and no flag says why")
    worst = float(np.abs(np.array(scores.values[1:-1], float) - expected).max())
    good = worst <= TOLERANCE * scale_of(reference)
    message = f"documents without text get no score, and move those of others by {worst:.1e} at most"
    return Finding("empty documents", "ok" if good else "fail", message)
