"""What a model in training is measured by: rankings of lists, and labelled pairs by their scores alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from resift.errors import InputError
from resift.evaluate import named_measures
from resift.evaluate.statistics import Floats
from resift.train.examples import TrainingQuery
from resift.train.neural.ranking_lists import RELEVANT_FROM, RankingLists, grade, measured

if TYPE_CHECKING:
    from ir_measures import Measure

_WITH_BORDER = ("bce", "ce", "gbce")  # losses of a sigmoid, whose 0 is a probability of a half


@dataclass(frozen=True, slots=True)
class PairMeasure:
    """A measure of all labelled pairs together, whichever query they are of.

    Attributes:
        name: as it is asked for.
        calculate: its value, of labels (n,) and scores (n,).
        binary: whether it reads labels as relevant or not.
        of_logits: whether it takes a score above 0 for relevant, which holds for logits alone.

    """

    name: str
    calculate: Callable[[Floats, Floats], float]
    binary: bool = True
    of_logits: bool = False


def pearson(labels: Floats, scores: Floats) -> float:
    """The correlation of labels and scores, -1..1; 0 where either is constant."""
    if np.ptp(labels) == 0 or np.ptp(scores) == 0:
        return 0.0
    return float(np.corrcoef(labels, scores)[0, 1])


def spearman(labels: Floats, scores: Floats) -> float:
    """The correlation of ranks, -1..1; equal values share their mean rank."""
    return pearson(_ranks(labels), _ranks(scores))


def auc(labels: Floats, scores: Floats) -> float:
    """How often a relevant pair is above one that is not, 0..1; a tie is half, and 0.5 where one side is empty."""
    relevant = labels >= RELEVANT_FROM
    positives, negatives = int(relevant.sum()), int((~relevant).sum())
    if not positives or not negatives:
        return 0.5
    above = float(_ranks(scores)[relevant].sum()) - positives * (positives + 1) / 2
    return above / (positives * negatives)


def _ranks(values: Floats) -> Floats:
    """(n,) places from 1 on, of equal values their mean."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Floats = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return ranks


def accuracy(labels: Floats, scores: Floats) -> float:
    """The share of pairs whose logit is on the right side of 0, 0..1."""
    return float(((labels >= RELEVANT_FROM) == (scores > 0)).mean())


def f1(labels: Floats, scores: Floats) -> float:
    """The harmonic mean of precision and recall of logits above 0, 0..1; 0 without a hit."""
    relevant, positives = labels >= RELEVANT_FROM, scores > 0
    hits = float((relevant & positives).sum())
    return 2 * hits / float(relevant.sum() + positives.sum()) if hits else 0.0


PAIR_MEASURES = {
    measure.name.lower(): measure
    for measure in (
        PairMeasure("Pearson", pearson, binary=False),
        PairMeasure("Spearman", spearman, binary=False),
        PairMeasure("AUC", auc),
        PairMeasure("Accuracy", accuracy, of_logits=True),
        PairMeasure("F1", f1, of_logits=True),
    )
}


@dataclass(frozen=True, slots=True)
class ListScores:
    """Scores of the candidates of lists, and of their judged pairs; none of these where nothing asks for them."""

    candidates: Floats
    judged: Floats

    @property
    def finite(self) -> bool:
        """Whether all of them are numbers."""
        return bool(np.isfinite(self.candidates).all() and np.isfinite(self.judged).all())


@dataclass(frozen=True, slots=True)
class Measures:
    """Measures by their names, in the order in which they were asked for; the first one decides."""

    ranking: tuple[Measure, ...]
    pairs: tuple[PairMeasure, ...]
    names: tuple[str, ...]

    @classmethod
    def parse(cls, names: Sequence[str], logits: bool) -> Measures:
        """Measures of rankings as `named_measures.parse` knows them, and those of pairs, in any case.

        Args:
            names: of the measures.
            logits: whether the model's scores are logits.

        Raises:
            InputError: one that nobody knows, or one of logits for a model with other scores.

        """
        measures: dict[str, Measure | PairMeasure] = {}
        for name in names:
            pair = PAIR_MEASURES.get(re.sub(r"[ _-]", "", name).lower())
            if pair is None:
                try:
                    [measure] = named_measures.parse([name])
                except InputError as error:
                    known = ", ".join(m.name for m in PAIR_MEASURES.values())
                    raise InputError(f"{error}; measures of pairs are {known}") from error
                measures[str(measure)] = measure
                continue
            if pair.of_logits and not logits:
                raise InputError(f"{pair.name} takes logits, whose border is 0; take AUC, which needs no border")
            measures[pair.name] = pair
        pairs = tuple(m for m in measures.values() if isinstance(m, PairMeasure))
        ranking: list[Any] = [m for m in measures.values() if not isinstance(m, PairMeasure)]
        return cls(tuple(ranking), pairs, tuple(measures))

    @property
    def first(self) -> str:
        """The name of the one that decides."""
        return self.names[0]

    def reads(self, query: TrainingQuery) -> bool:
        """Whether a query says something: it has a relevant document, or a label where pairs are measured."""
        if self.pairs:
            return any(c.label is not None for c in query.candidates)
        return any(grade(c.label) for c in query.candidates)

    def check(self, lists: RankingLists, loss: str) -> None:
        """Refuse what a measure of pairs says nothing of.

        Args:
            lists: that are measured.
            loss: by which the model learns.

        Raises:
            InputError: all pairs have one label, or the loss teaches no border between relevant and not.

        """
        labels = {label for item in lists.lists for _, _, label in item.labels}
        for measure in self.pairs:
            if len({label >= RELEVANT_FROM if measure.binary else label for label in labels}) < 2:
                raise InputError(
                    f"{measure.name} compares labels, and all pairs of {lists.name} are alike; give pairs that are not "
                    "relevant too, or take nDCG@10"
                )
            if measure.of_logits and loss not in _WITH_BORDER:
                raise InputError(
                    f"{measure.name} takes a logit above 0 for relevant, which {loss} does not teach; take AUC, or the "
                    f"loss {' or '.join(_WITH_BORDER)}"
                )

    def scored_pairs(self, lists: RankingLists) -> list[tuple[str, str]]:
        """The pairs of lists whose scores the measures need, each once."""
        return list(dict.fromkeys([*lists.pairs, *(lists.judged_pairs if self.pairs else ())]))

    def list_scores(self, lists: RankingLists, scores: Floats) -> ListScores:
        """The scores of `scored_pairs` (n,), of all candidates and of judged pairs, list by list."""
        rows = {pair: row for row, pair in enumerate(self.scored_pairs(lists))}
        judged = lists.judged_pairs if self.pairs else []
        return ListScores(scores[[rows[pair] for pair in lists.pairs]], scores[[rows[pair] for pair in judged]])

    def means(self, lists: RankingLists, scores: ListScores | None = None) -> dict[str, float]:
        """Each measure of all lists."""
        means = {name: float(column.mean()) for name, column in self._of_rankings(lists, scores).items()}
        labels, values, _ = _judged(lists, scores) if self.pairs else (np.zeros(0),) * 3
        means |= {measure.name: measure.calculate(labels, values) for measure in self.pairs}
        return {name: means[name] for name in self.names}

    def values(self, lists: RankingLists, scores: ListScores | None = None) -> dict[str, Floats]:
        """Each measure by query; the mean is the measure.

        Rankings are measured of the queries with a relevant document, pairs of all queries. Without scores, of the
        first stage's order: the score of a pair is how far from the end of the list it stands, and 0 where it is not
        in the list.
        """
        values = self._of_rankings(lists, scores)
        if self.pairs:
            judged = _judged(lists, scores)
            values |= {measure.name: _shares(measure, len(lists.lists), *judged) for measure in self.pairs}
        return {name: values[name] for name in self.names}

    def _of_rankings(self, lists: RankingLists, scores: ListScores | None) -> dict[str, Floats]:
        places = [i for i, item in enumerate(lists.lists) if any(item.grades.values())]
        if not self.ranking or not places:
            return {str(measure): np.zeros(len(lists.lists)) for measure in self.ranking}
        parts = None if scores is None else lists.split(scores.candidates)
        order = None if parts is None else np.concatenate([parts[i] for i in places])
        return measured(lists.part(places, lists.name), self.ranking, order)


def _judged(lists: RankingLists, scores: ListScores | None) -> tuple[Floats, Floats, Floats]:
    """(n,) each: labels of judged pairs, their scores, and the number of their list."""
    rows = [
        (label, max(0, len(item.documents) - place), number)
        for number, item in enumerate(lists.lists)
        for place, _, label in item.labels
    ]
    labels, heights, owners = np.array(rows, np.float64).reshape(-1, 3).T
    return labels, heights if scores is None else scores.judged, owners


def _shares(measure: PairMeasure, count: int, labels: Floats, scores: Floats, owners: Floats) -> Floats:
    """(count,) the part of each query in a measure of all pairs: its mean is the measure, its spread how sure that is.

    Jackknife pseudo-values (Tukey, 1958), moved so that their mean is the value of all pairs.
    """
    whole = measure.calculate(labels, scores) if len(labels) else 0.0
    if len(np.unique(owners)) < 2:
        return np.full(count, whole)
    without = np.array([measure.calculate(labels[owners != i], scores[owners != i]) for i in range(count)])
    shares: Floats = whole - (count - 1) * (without - without.mean())
    return shares
