"""Which queries train, which choose the checkpoint, and which are reported; what says the same is in one part alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from resift.errors import InputError
from resift.train.data import split_by_query
from resift.train.examples import ExampleSet, TrainingQuery
from resift.train.near_duplicates import normal

LEAST = 10  # queries that choose, and as many that are reported
_SHARE = 0.2  # of the queries that are held out, for both together
_MOST = 600


@dataclass(frozen=True, slots=True)
class Parts:
    """Queries that train, that choose the checkpoint (dev), and that are reported (test)."""

    train: Sequence[TrainingQuery]
    dev: Sequence[TrainingQuery]
    test: Sequence[TrainingQuery]


def split(examples: ExampleSet, is_measurable: Callable[[TrainingQuery], bool], seed: int = 0) -> Parts:
    """Hold a fifth of the queries out, 20 to 600, a half of them for dev and the other half for test.

    See `split_by_query`: queries of nearly the same words stay together, and neither ids nor the order of a file
    change the split. What can't be measured trains.

    Args:
        examples: whose queries are dealt out.
        is_measurable: whether something can be measured of a query.
        seed: another one gives another split.

    Raises:
        InputError: fewer than 40 queries can be measured, or too few of them say something different.

    """
    measurable = [q for q in examples.queries if is_measurable(q)]
    if len(measurable) < 4 * LEAST:
        raise InputError(
            f"{len(measurable)} queries of {examples.name} have a positive (or a label, where pairs are measured); "
            f"training takes {4 * LEAST}, of which "
            f"{2 * LEAST} are held out to measure it: judge more (resift judge), or give judged queries with --dev"
        )
    share = min(max(_SHARE, 2 * LEAST / len(measurable)), _MOST / len(measurable))
    outer = split_by_query(replace(examples, queries=measurable), share, seed)
    inner = split_by_query(outer.dev, 0.5, seed)
    if min(len(inner.train.queries), len(inner.dev.queries)) < LEAST // 2:
        raise InputError(
            f"the queries of {examples.name} say too much the same to hold {2 * LEAST} of them out; "
            "give judged queries with --dev"
        )
    held_out = [q.query.text for q in outer.dev.queries]
    train, _ = without_texts([q for q in examples.queries], held_out)
    return Parts(train, inner.dev.queries, inner.train.queries)


def halves(texts: Sequence[str]) -> tuple[list[int], list[int]]:
    """Places of texts in two halves: by turns, in the order of the texts; the same text is in one half."""
    order = {text: number for number, text in enumerate(sorted({normal(text) for text in texts}))}
    sides = [order[normal(text)] % 2 for text in texts]
    return [i for i, side in enumerate(sides) if not side], [i for i, side in enumerate(sides) if side]


def without_texts(queries: Sequence[TrainingQuery], texts: Iterable[str]) -> tuple[tuple[TrainingQuery, ...], int]:
    """Queries whose words are not those of one of these texts, and how many were."""
    others = {normal(text) for text in texts}
    rest = tuple(q for q in queries if normal(q.query.text) not in others)
    return rest, len(queries) - len(rest)
