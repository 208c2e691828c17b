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
from resift.train.neural.ranking_lists import RELEVANT_FROM, RankingLists, measured

if TYPE_CHECKING:
    from ir_measures import Measure


@dataclass(frozen=True, slots=True)
class PairMeasure:
    """A measure of all labelled pairs together, whichever query they are of.

    Attributes:
        name: as it is asked for.
        calculate: its value, of labels (n,) and scores (n,).
        of_logits: whether it takes a score above 0 for relevant, which holds for logits alone.

    """

    name: str
    calculate: Callable[[Floats, Floats], float]
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
    relevant, taken = labels >= RELEVANT_FROM, scores > 0
    hits = float((relevant & taken).sum())
    return 2 * hits / float(relevant.sum() + taken.sum()) if hits else 0.0


PAIR_MEASURES = {
    measure.name.lower(): measure
    for measure in (
        PairMeasure("Pearson", pearson),
        PairMeasure("Spearman", spearman),
        PairMeasure("AUC", auc),
        PairMeasure("Accuracy", accuracy, of_logits=True),
        PairMeasure("F1", f1, of_logits=True),
    )
}


@dataclass(frozen=True, slots=True)
class ListScores:
    """Scores of the candidates of lists, and of their labelled pairs; none of these where nothing asks for them."""

    candidates: Floats
    labelled: Floats

    @property
    def finite(self) -> bool:
        """Whether all of them are numbers."""
        return bool(np.isfinite(self.candidates).all() and np.isfinite(self.labelled).all())


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
        ranking, pairs, parsed = [], [], []
        for name in names:
            pair = PAIR_MEASURES.get(re.sub(r"[ _-]", "", name).lower())
            if pair is None:
                [measure] = named_measures.parse([name])
                ranking += [measure] if str(measure) not in parsed else []
                parsed.append(str(measure))
                continue
            if pair.of_logits and not logits:
                raise InputError(f"{pair.name} takes logits, whose border is 0; take AUC, which needs no border")
            pairs += [pair] if pair.name not in parsed else []
            parsed.append(pair.name)
        return cls(tuple(ranking), tuple(pairs), tuple(dict.fromkeys(parsed)))

    @property
    def first(self) -> str:
        """The name of the one that decides."""
        return self.names[0]

    def check(self, lists: RankingLists) -> None:
        """Refuse lists of which a measure says nothing.

        Raises:
            InputError: all pairs have one label.

        """
        labels = {label for item in lists.lists for _, label in item.labelled}
        if self.pairs and len(labels) < 2:
            raise InputError(
                f"{self.pairs[0].name} compares labels, and all pairs of {lists.name} have the same one; "
                "give pairs that are not relevant too, or take nDCG@10"
            )

    def scores(self, lists: RankingLists, score: Callable[[list[tuple[str, str]]], Floats]) -> ListScores:
        """What a function of pairs says of lists, as far as the measures need it."""
        labelled = score(lists.labelled_pairs) if self.pairs else np.zeros(0)
        return ListScores(score(lists.pairs), labelled)

    def values(self, lists: RankingLists, scores: ListScores | None = None) -> dict[str, Floats]:
        """Each measure of each list; their means are the measures.

        Without scores, of the first stage's order: it hands over all candidates alike, so each pair has the score 1.
        """
        values: dict[str, Floats] = {}
        if self.ranking:
            values |= measured(lists, self.ranking, None if scores is None else scores.candidates)
        if self.pairs:
            labels = np.array([label for item in lists.lists for _, label in item.labelled])
            owners = np.repeat(np.arange(len(lists.lists)), [len(item.labelled) for item in lists.lists])
            given = np.ones(len(labels)) if scores is None else scores.labelled
            values |= {measure.name: _shares(measure, owners, labels, given) for measure in self.pairs}
        return {name: values[name] for name in self.names}


def _shares(measure: PairMeasure, owners: Any, labels: Floats, scores: Floats) -> Floats:  # noqa: ANN401
    """The part of each query in a measure of all pairs: its mean is the measure, and its spread tells how sure that is.

    Jackknife pseudo-values (Tukey, 1958), moved so that their mean is the value of all pairs.
    """
    count = int(owners.max()) + 1
    whole = measure.calculate(labels, scores)
    if len(np.unique(owners)) < 2:
        return np.full(count, whole)
    without = np.array([measure.calculate(labels[owners != i], scores[owners != i]) for i in range(count)])
    shares: Floats = whole - (count - 1) * (without - without.mean())
    return shares
