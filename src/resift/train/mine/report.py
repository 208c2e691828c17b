"""What mining did: counts, scores of positives and negatives, and whether these are too hard or too easy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

SCHEMA = 1
KIND = "mining"
TOO_EASY, TOO_HARD = 0.98, 0.6
_BUCKETS = 12
_BAR = 30  # characters
_LINE = 100  # characters

Verdict = Literal["too hard", "too easy", "fine", "unknown"]


@dataclass(frozen=True, slots=True)
class Suspect:
    """A document that is likely relevant, since all rankers agree on it (`is_suspect`); ranks by ranker, from 1."""

    query: str
    positive: str
    document: str
    document_id: str
    ranks: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Histogram:
    """Scores of the judge in buckets of one width; `edges` has one number more than there are buckets."""

    edges: tuple[float, ...]
    positives: tuple[int, ...]
    negatives: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class MiningReport:
    """What mining did.

    Attributes:
        data: its name.
        queries, documents: how many of each there were.
        rankers, judge: their names; limits and margins are on the judge's scores.
        mined, random: how many negatives of each kind there are.
        per_query: the least, the median and the most negatives of a query that has some.
        short: how many queries have fewer hard negatives than were asked for.
        left_out: how many queries are left out, by reason.
        dropped: how many candidates are no negatives, by reason. Near-duplicates are counted where one would have
            become a negative.
        suspects: likely false negatives, the likeliest first, 20 at most.
        suspect_count: how many there are in all.
        auc: the share of pairs of a positive and a hard negative, of any two queries, in which the positive has the
            higher score of the judge; a tie is half a pair. None without pairs.
        verdict: on the hard negatives, by `auc`.
        histogram: None without scores.
        seconds: that it took.

    """

    data: str
    queries: int
    documents: int
    rankers: tuple[str, ...]
    judge: str
    mined: int
    random: int
    per_query: tuple[int, float, int]
    short: int
    left_out: Mapping[str, int]
    dropped: Mapping[str, int]
    suspects: tuple[Suspect, ...]
    suspect_count: int
    auc: float | None
    verdict: Verdict
    histogram: Histogram | None
    seconds: float

    def as_json(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The report as a JSON object, beside the settings that it was made with; docs/mine.md has its fields."""
        return {"schema": SCHEMA, "kind": KIND, **asdict(self), "rule": rule(), "settings": dict(settings)}

    @property
    def histogram_sentence(self) -> str:
        """Where most scores of the judge lie."""
        if self.histogram is None:
            return "nothing was scored"
        ends = [_most(counts, self.histogram.edges) for counts in (self.histogram.positives, self.histogram.negatives)]
        return f"positives score mostly {ends[0]}, hard negatives {ends[1]}"

    def lines(self) -> list[str]:
        """The report for people."""
        low, middle, high = self.per_query
        lines = [
            f"{self.queries:,} queries got {self.mined:,} hard and {self.random:,} random negatives from "
            f"{self.documents:,} documents by {', '.join(self.rankers)} in {self.seconds:.1f} s: "
            f"{low} to {high} each, the median is {middle:g}; {self.short:,} got fewer hard ones than asked for",
            *(f"left out: {count:,} queries {name.replace('_', ' ')}" for name, count in self.left_out.items()),
            *(f"no negatives: {count:,} candidates, {name.replace('_', ' ')}" for name, count in self.dropped.items()),
        ]
        if self.histogram is not None:
            lines += ["", f"scores of {self.judge}:", *histogram_lines(self.histogram), ""]
        share = "" if self.auc is None else f" (a positive has the higher score in {self.auc:.1%} of the pairs)"
        lines += [f"verdict: {self.verdict}{share}", rule()]
        if self.suspects:
            lines += [
                "",
                f"{self.suspect_count:,} likely false negatives, among the first ten of all rankers, above positives:",
            ]
        for suspect in self.suspects:
            ranks = ", ".join(f"{name} {rank}" for name, rank in suspect.ranks.items())
            lines += [f"  query     {_short(suspect.query)}", f"  positive  {_short(suspect.positive)}"]
            lines += [f"  suspect   {_short(suspect.document)} (ranks: {ranks})", ""]
        return lines


def rule() -> str:
    """The rule of the verdict, for people."""
    return (
        f"too easy where a positive has the higher score in {TOO_EASY:.0%} of the pairs with a hard negative of any "
        f"query, too hard where in {TOO_HARD:.0%} or fewer"
    )


def area(positives: Sequence[float], negatives: Sequence[float]) -> float | None:
    """The share of pairs in which the positive has the higher score, a tie half of one; None without pairs.

    Mann & Whitney, On a test of whether one of two random variables is stochastically larger than the other (1947).
    """
    if not positives or not negatives:
        return None
    ordered = np.sort(np.asarray(negatives, np.float64))
    values = np.asarray(positives, np.float64)
    below = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
    return float(below.mean() / (2 * len(ordered)))


def verdict_of(auc: float | None) -> Verdict:
    """What an area means; see `rule`."""
    if auc is None:
        return "unknown"
    return "too easy" if auc >= TOO_EASY else "too hard" if auc <= TOO_HARD else "fine"


def histogram_of(positives: Sequence[float], negatives: Sequence[float]) -> Histogram | None:
    """The scores of both in twelve buckets; None without scores."""
    scores: npt.NDArray[np.float64] = np.asarray([*positives, *negatives], np.float64)
    if not len(scores):
        return None
    edges = np.histogram_bin_edges(scores, _BUCKETS)
    counts = [tuple(np.histogram(part, edges)[0].tolist()) for part in (positives, negatives)]
    return Histogram(tuple(edges.tolist()), counts[0], counts[1])


def histogram_lines(histogram: Histogram) -> list[str]:
    """A histogram as text: one line for each bucket, the highest scores first; bars are shares of their own kind."""
    heads = ("score from", "positives", "negatives")
    tops = (max(sum(histogram.positives), 1), max(sum(histogram.negatives), 1))
    largest = max(max(histogram.positives) / tops[0], max(histogram.negatives) / tops[1], 1e-9)
    lines = [f"{heads[0]:>12}  {heads[1]:<{_BAR + 8}}  {heads[2]}"]
    for i in reversed(range(len(histogram.positives))):
        cells = []
        for count, top in ((histogram.positives[i], tops[0]), (histogram.negatives[i], tops[1])):
            cells.append(f"{'█' * round(_BAR * count / top / largest)} {count}")
        lines.append(f"{histogram.edges[i]:>12.4g}  {cells[0]:<{_BAR + 8}}  {cells[1]}")
    return lines


def _most(counts: Sequence[int], edges: Sequence[float]) -> str:
    """The ends of the fullest bucket; of equally full ones the lowest."""
    if not any(counts):
        return "nowhere"
    place = int(np.argmax(counts))
    return f"{edges[place]:.3g} to {edges[place + 1]:.3g}"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LINE else f"{line[: _LINE - 1]}…"
