"""A training and a development part without a query in both, by the texts of the queries."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace

from resift.errors import InputError
from resift.train.data.collect import content_hash
from resift.train.examples import ExampleSet
from resift.train.near_duplicates import groups

DEV_SHARE = 0.1


@dataclass(frozen=True)
class QuerySplit:
    """Examples in two.

    Attributes:
        train, dev: no query of one says the same as a query of the other.
        near_duplicates: how many queries say the same as another, beside the first of each group.

    """

    train: ExampleSet
    dev: ExampleSet
    near_duplicates: int


def split_by_query(examples: ExampleSet, dev_share: float = DEV_SHARE, seed: int = 0) -> QuerySplit:
    """Set a share of the queries aside; queries of nearly the same words stay together.

    Groups of queries are dealt by a hash of seed and text, so neither ids nor the order of a file change the split; a
    group that is larger than what is left of the share goes to the training part.

    Args:
        examples: at least two queries that don't say the same.
        dev_share: of the queries, over 0 and under 1; at least one query.
        seed: another one gives another split.

    Raises:
        InputError: a share outside of 0 to 1, or too few different queries.

    """
    if not 0 < dev_share < 1:
        raise InputError(f"the share of the queries that are set aside is over 0 and under 1; not {dev_share:g}")
    texts = [query.query.text for query in examples.queries]
    members: dict[int, list[int]] = defaultdict(list)
    for i, group in enumerate(groups(texts)):
        members[group].append(i)
    if len(members) < 2:
        raise InputError(
            f"{examples.name} has {len(texts)} queries that all say the same; training needs others to be measured on"
        )
    room = max(1, round(dev_share * len(texts)))
    dev: set[int] = set()
    ordered = sorted(members.values(), key=lambda places: min(content_hash(str(seed), texts[i]) for i in places))
    for places in ordered:
        if len(dev) + len(places) <= room:
            dev.update(places)
    if not dev:  # each group is larger than the share
        dev.update(sorted(ordered, key=len)[0])
    return QuerySplit(
        _part(examples, [i for i in range(len(texts)) if i not in dev]),
        _part(examples, sorted(dev)),
        len(texts) - len(members),
    )


def _part(examples: ExampleSet, places: list[int]) -> ExampleSet:
    return replace(examples, queries=tuple(examples.queries[i] for i in places))
