"""From clicks to rows: each click is a list of its own, which counts by how seldom its position is looked at."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from resift.errors import InputError
from resift.rerank.ranking_function import Matrix
from resift.train.ltr.click_log import Impression
from resift.train.ltr.propensities import Propensities
from resift.train.ltr.rows import TrainingRows, checked_rows

BOUND = 10.0  # of a click's weight

RowOf = Callable[[str, str], Matrix | None]  # (F,) features of a query's document; None where they are not known


def click_rows(
    impressions: Sequence[Impression],
    row_of: RowOf,
    features: Sequence[str],
    propensities: Propensities | None,
    bound: float = BOUND,
) -> TrainingRows:
    """One list for each click: all documents of its session as they were shown, the clicked one labelled 1.

    Others that were clicked too are labelled 0: those that stand high are looked at more often, and to leave them out
    would make what stands low the opponent more often than it should be. Their own clicks have lists of their own.

    A click weighs 1 / the propensity of its position, `bound` at most (Joachims, Swaminathan & Schnabel, Unbiased
    learning-to-rank with biased feedback, 2017). The bound keeps single clicks far below from deciding all, at the
    price of some bias towards the order that was shown.

    Args:
        impressions: of the log.
        row_of: gives features; documents without them are left out and counted.
        features: (F,) names.
        propensities: None: every click counts the same, as naive training has it.
        bound: of a weight.

    Raises:
        InputError: a bound below 1, a position without propensity, or lists that teach nothing.

    """
    if bound < 1:
        raise InputError(f"the bound of a click's weight is 1 or more; not {bound:g}")
    sessions: dict[int, list[Impression]] = defaultdict(list)
    for impression in impressions:
        sessions[impression.session].append(impression)
    matrix: list[Matrix] = []
    labels: list[int] = []
    lists: list[str] = []
    weights: list[float] = []
    queries: list[str] = []  # of each list
    unknown = clipped = 0
    for session in sessions.values():
        rows = [(i, row_of(i.query, i.document)) for i in session]
        unknown += sum(row is None for _, row in rows)
        known = sorted(((i, row) for i, row in rows if row is not None), key=lambda entry: entry[0].position)
        for i, _ in known if len(known) > 1 else ():
            if not i.clicked:
                continue
            weight = _weight(i.position, propensities, bound)
            clipped += propensities is not None and propensities.values[i.position] < 1 / bound
            matrix += [row for _, row in known]
            labels += [int(other is i) for other, _ in known]
            lists += [f"{len(queries)}"] * len(known)
            weights += [weight] * len(known)
            queries.append(i.query)
    if not queries:
        raise InputError("no click stands beside another document; there is no order to learn")
    rows_ = checked_rows(np.stack(matrix), labels, lists, features, weights)
    names = tuple(queries[int(name)] for name in rows_.queries)
    return replace(rows_, queries=names, issues=(*_issues(unknown, clipped, bound, propensities), *rows_.issues))


def _weight(position: int, propensities: Propensities | None, bound: float) -> float:
    if propensities is None:
        return 1.0
    if position not in propensities.values:
        raise InputError(f"position {position} has no propensity; add it, or leave such lines out of the log")
    return propensities.weight(position, bound)


def _issues(unknown: int, clipped: int, bound: float, propensities: Propensities | None) -> list[str]:
    issues = []
    if propensities is not None:
        issues.append(f"clicks weigh 1 / the propensity of their position, {bound:g} at most; {clipped} were cut there")
        issues.append(f"propensities come from {propensities.source}")
    if unknown:
        issues.append(f"{unknown} times a document was shown that is no candidate of its query; it is left out")
    return issues
