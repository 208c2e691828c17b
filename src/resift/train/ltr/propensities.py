"""How likely a position is looked at, from documents that were shown at several positions of one query."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from resift.errors import InputError
from resift.train.ltr.click_log import Impression

_ROUNDS, _ENOUGH = 2000, 1e-7


@dataclass(frozen=True, slots=True)
class Propensities:
    """The chance that a position is looked at, relative to the first one's.

    Attributes:
        values: by position, more than 0; the first position's is 1.
        source: where they come from, for people.

    """

    values: dict[int, float]
    source: str

    def weight(self, position: int, bound: float) -> float:
        """1 / the position's propensity, at most `bound`: how much a click there counts."""
        return min(bound, 1 / self.values[position])


def read_propensities(path: Path) -> Propensities:
    """Read a JSON file such as {"1": 1.0, "2": 0.6, "3": 0.4}.

    Raises:
        InputError: no such file, or values that are no chances.

    """
    try:
        value = json.loads(path.read_text("utf-8"))
        values = {int(position): float(chance) for position, chance in value.items()}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise InputError(f'{path} holds no propensities ({error}); write {{"1": 1.0, "2": 0.6}}') from error
    if not values or not all(position >= 1 and 0 < chance <= 1 for position, chance in values.items()):
        raise InputError(f"{path} has propensities outside of 0 to 1, or positions below 1; correct them")
    return Propensities(values, str(path))


def estimated_propensities(impressions: Sequence[Impression]) -> Propensities:
    """Estimate propensities from pairs of query and document that were shown at two positions or more.

    The position-based model: a click is a look times relevance. Both are fitted by expectation maximisation (Wang et
    al., Position bias estimation for unbiased learning to rank in personal search, 2018) on those pairs alone, whose
    relevance is the same wherever they stand (Joachims et al., Unbiased learning-to-rank with biased feedback, 2017).

    Raises:
        InputError: no pair was shown at two positions, or some positions share none with the first, even by detours.

    """
    shown: Counter[tuple[str, str, int]] = Counter()
    clicks: Counter[tuple[str, str, int]] = Counter()
    for i in impressions:
        shown[i.query, i.document, i.position] += 1
        clicks[i.query, i.document, i.position] += i.clicked
    positions: dict[tuple[str, str], list[int]] = defaultdict(list)
    for query, document, position in shown:
        positions[query, document].append(position)
    moved = {pair for pair, places in positions.items() if len(places) > 1}
    _check_connected([places for pair, places in positions.items() if pair in moved], {i.position for i in impressions})
    cells = [cell for cell in sorted(shown) if cell[:2] in moved]
    chances = _expectation_maximisation(cells, shown, clicks)
    source = f"{len(moved)} pairs of query and document that were shown at several positions"
    return Propensities(chances, source)


def _check_connected(groups: Sequence[Sequence[int]], positions: set[int]) -> None:
    if not groups:
        raise InputError(
            "no document was shown at two positions of one query, so that position and relevance can't be told apart; "
            "swap neighbours now and then, or give a file of propensities"
        )
    reached, grows = {min(positions)}, True
    while grows:
        wider = reached.union(*(group for group in groups if reached.intersection(group)))
        grows, reached = len(wider) > len(reached), wider
    if apart := sorted(positions - reached):
        raise InputError(
            f"position {apart[0]} shares no document with position {min(positions)}, not even by way of others; swap "
            "more, leave such positions out of the log, or give a file of propensities"
        )


def _expectation_maximisation(
    cells: Sequence[tuple[str, str, int]], shown: Counter[tuple[str, str, int]], clicks: Counter[tuple[str, str, int]]
) -> dict[int, float]:
    """The chance of a look at each position, the first one's as 1."""
    pairs = {pair: n for n, pair in enumerate(dict.fromkeys(cell[:2] for cell in cells))}
    places = {place: n for n, place in enumerate(sorted({cell[2] for cell in cells}))}
    of_pair = np.array([pairs[cell[:2]] for cell in cells])
    of_place = np.array([places[cell[2]] for cell in cells])
    n = np.array([shown[cell] for cell in cells], np.float64)
    c = np.array([clicks[cell] for cell in cells], np.float64)
    looks, relevances = np.full(len(places), 0.5), np.full(len(pairs), 0.5)
    for _ in range(_ROUNDS):
        look, relevance = looks[of_place], relevances[of_pair]
        silent = (n - c) / np.maximum(1 - look * relevance, 1e-12)  # impressions without a click, by their chance
        looked = c + silent * look * (1 - relevance)
        relevant = c + silent * relevance * (1 - look)
        updated = np.bincount(of_place, looked) / np.bincount(of_place, n)
        relevances = np.bincount(of_pair, relevant) / np.bincount(of_pair, n)
        change, looks = float(np.abs(updated - looks).max()), updated
        if change < _ENOUGH:
            break
    highest = max(float(looks[0]), 1e-12)
    return {place: float(min(max(looks[i] / highest, 1e-6), 1.0)) for place, i in places.items()}
