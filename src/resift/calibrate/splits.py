"""Splits labelled pairs by query, so that no query is fitted on and reported on at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from resift.calibrate.fitting import Bools, Ints


def groups_of(queries: Sequence[str]) -> Ints:
    """A number per query text, (n,): the same text under two ids, or in other letters, is one query."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(" ".join(q.casefold().split()), len(numbers)) for q in queries], np.int64)


def folds_of(groups: Ints, relevant: Bools, count: int, seed: int) -> Ints:
    """The fold of each pair, 0 to count - 1: whole queries, dealt out at random.

    Queries with and without a relevant pair are dealt one after the other, so that each fold has its share of both.
    """
    names, members = np.unique(groups, return_inverse=True)
    has_relevant = np.bincount(members, relevant, minlength=len(names)) > 0
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(~has_relevant[order], kind="stable")]
    fold_of = np.empty(len(names), np.int64)
    fold_of[order] = np.arange(len(names)) % count
    folds: Ints = fold_of[members]
    return folds
