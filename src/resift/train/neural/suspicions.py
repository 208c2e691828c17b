"""What looks wrong with examples to a model that can already rank: labels the wrong way round, negatives too hard."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from resift.score.pairs import whole_text
from resift.train.examples import TrainingQuery
from resift.train.neural.rows import query_text
from resift.train.neural.trainable import BaseModel

_QUERIES = 100
_LEAST_PAIRS = 30  # of a positive and a negative, below which nothing is said
REVERSED = 0.25  # share of pairs in which the positive has the higher score: below, labels look reversed
TOO_HARD = 0.5  # below, negatives look too hard, or are positives that nobody labelled


@dataclass(frozen=True, slots=True)
class Suspicion:
    """What looks wrong; `fatal` where a training on it would unlearn to rank."""

    message: str
    fatal: bool


def suspicions(base: BaseModel, queries: Sequence[TrainingQuery], seed: int = 0) -> list[Suspicion]:
    """Ask the base model how often a document with a higher label is above one with a lower label.

    Args:
        base: with a trained head; of a new head nothing can be said.
        queries: of the training; a sample of 100 is scored.
        seed: of the sample.

    """
    contrasted = [q for q in queries if len({c.label for c in q.candidates if c.label is not None}) > 1]
    sample = random.Random(seed).sample(contrasted, min(_QUERIES, len(contrasted)))
    rows = [(q, c) for q in sample for c in q.candidates if c.label is not None]
    scores = base.score([(query_text(q), whole_text(c.document)) for q, c in rows])
    above = count = 0.0
    by_query: dict[int, list[tuple[float, float]]] = {}
    for (query, candidate), score in zip(rows, scores.tolist(), strict=True):
        by_query.setdefault(id(query), []).append((float(candidate.label or 0), score))
    for items in by_query.values():
        for high, score in items:
            others = [other for label, other in items if label < high]
            count += len(others)
            above += sum((score > other) + 0.5 * (score == other) for other in others)
    if count < _LEAST_PAIRS:
        return []
    share = above / count
    if share < REVERSED:
        message = (
            f"the base model puts the higher label above the lower one in {share:.0%} of {count:.0f} pairs only: the "
            "labels look as if they were the wrong way round; look at some of them, or train all the same with --force"
        )
        return [Suspicion(message, fatal=True)]
    if share < TOO_HARD:
        message = (
            f"the base model puts a positive above its negatives in {share:.0%} of {count:.0f} pairs: the negatives "
            "are very hard, or are relevant and nobody said so; look at them, or mine with a margin (resift mine)"
        )
        return [Suspicion(message, fatal=False)]
    return []
