"""The candidates of one query: where each ranker puts them, what the judge says, and which are eligible."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from resift.train.mine.options import MineOptions

AGREED = 10  # the rank down to which rankers must agree on a likely false negative


@dataclass(slots=True)
class MinedCandidate:
    """A document that a retriever lists for a query.

    Attributes:
        place: in the corpus.
        ranks: by the name of a ranker, from 1, positives not counted; only rankers that list it.
        values: by the name of a ranker; only rankers that say a score.
        score: the judge's.
        judged: somebody labelled it as not relevant.

    """

    place: int
    ranks: dict[str, int] = field(default_factory=dict)
    values: dict[str, float] = field(default_factory=dict)
    score: float = 0.0
    judged: bool = False


def in_range(candidate: MinedCandidate, options: MineOptions) -> bool:
    """Whether a retriever has the candidate within the range of ranks."""
    return any(options.range_min < rank <= options.range_max for rank in candidate.ranks.values())


def is_suspect(candidate: MinedCandidate, best: Mapping[str, float]) -> bool:
    """Whether all rankers, two at least, have a candidate among their first ten and above the best positive.

    What somebody judged is none.

    Args:
        candidate: of the query.
        best: the highest score of a positive, by the name of a ranker.

    """
    return (
        not candidate.judged
        and len(best) > 1
        and all(candidate.ranks.get(name, AGREED + 1) <= AGREED for name in best)
        and all(candidate.values[name] > value for name, value in best.items())
    )


def remaining(
    candidates: Iterable[MinedCandidate], reference: float, suspects: Sequence[MinedCandidate], options: MineOptions
) -> tuple[list[MinedCandidate], Counter[str]]:
    """The candidates that may become negatives, and how many were left out for each reason.

    Documents that somebody judged not relevant are no false negatives, and no margin is asked of them.

    Args:
        candidates: within the range of ranks.
        reference: the median of the judge's scores of the positives.
        suspects: likely false negatives among the candidates.
        options: limits and margins.

    """
    ceiling = _ceiling(reference, options)
    doubtful = {candidate.place for candidate in suspects} if not options.keep_suspects else set()
    eligible, reasons = [], Counter[str]()
    for candidate in candidates:
        if candidate.place in doubtful:
            reasons["likely_false_negatives"] += 1
        elif options.max_score is not None and candidate.score > options.max_score:
            reasons["above_max_score"] += 1
        elif options.min_score is not None and candidate.score < options.min_score:
            reasons["below_min_score"] += 1
        elif not candidate.judged and candidate.score > ceiling:
            reasons["within_margin"] += 1
        else:
            eligible.append(candidate)
    return eligible, reasons


def _ceiling(reference: float, options: MineOptions) -> float:
    """The highest score of a negative by the margins; the stricter of the two counts."""
    ceiling = float("inf")
    if options.absolute_margin is not None:
        ceiling = reference - options.absolute_margin
    if options.relative_margin is not None:  # |p|, since a share of a negative score would lie above it
        ceiling = min(ceiling, reference - options.relative_margin * abs(reference))
    return ceiling
