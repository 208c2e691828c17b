"""The evaluator inside of training: ranking measures on real lists, and what tells a sick model from a healthy one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sentence_transformers.base.evaluation import BaseEvaluator

from resift.evaluate.statistics import Floats
from resift.train.neural.measures import ListScores, Measures
from resift.train.neural.ranking_lists import RankingLists
from resift.train.neural.trainable import ScoresLists

SATURATED_AT = 17.0  # from here on the sigmoid of a logit is 1 in f32


@dataclass(frozen=True, slots=True)
class Health:
    """What scores of lists say about a model.

    Attributes:
        value: the mean of the first measure.
        spread: the standard deviation of scores within a list, averaged; of all where no list has two documents.
        saturated: the share of logits whose sigmoid is 1 or 0 in f32; other scores are never saturated.
        finite: whether all of them are numbers.

    """

    value: float
    spread: float
    saturated: float
    finite: bool


def health_of(lists: RankingLists, scores: Floats, value: float, logits: bool = True) -> Health:
    """What scores, which are logits or others, say about the model that gave them."""
    finite = bool(np.isfinite(scores).all())
    parts = [part for part in lists.split(scores) if len(part) > 1] or [scores]
    spreads = [float(part.std()) for part in parts] if finite and len(scores) else []
    saturated = float((np.abs(scores) > SATURATED_AT).mean()) if logits and finite and len(scores) else 0.0
    return Health(value, float(np.mean(spreads)) if spreads else 0.0, saturated, finite)


class ListEvaluator(BaseEvaluator):
    """Measures of a set of lists, as the trainer of sentence-transformers asks for them; the first one decides."""

    def __init__(self, lists: RankingLists, measures: Measures, kind: ScoresLists, bf16: bool = False) -> None:
        super().__init__()
        self.lists, self._measures, self._kind, self._bf16 = lists, measures, kind, bf16
        self.primary_metric = measures.first
        self.history: list[tuple[int, Health]] = []

    def __call__(
        self,
        model: Any,  # noqa: ANN401
        output_path: str | None = None,
        epoch: float = -1,
        steps: int = -1,
    ) -> dict[str, float]:
        """Means over the lists; `history` gets the step and the model's health."""
        means, health = self.examine(model)
        self.history.append((steps, health))
        return means

    def examine(self, model: Any) -> tuple[dict[str, float], Health]:  # noqa: ANN401
        """Means over the lists, and the model's health."""
        scores = self._scores(model)
        means = self._measures.means(self.lists, scores) if scores.finite else dict.fromkeys(self._measures.names, 0.0)
        return means, health_of(self.lists, scores.candidates, means[self.primary_metric], self._kind.logits)

    def values(self, model: Any) -> dict[str, Floats]:  # noqa: ANN401
        """Each measure by query; a model that gives no numbers has 0 everywhere."""
        scores = self._scores(model)
        if scores.finite:
            return self._measures.values(self.lists, scores)
        return {name: np.zeros_like(column) for name, column in self._measures.values(self.lists).items()}

    def _scores(self, model: Any) -> ListScores:  # noqa: ANN401
        scores = self._kind.score(model, self._measures.scored_pairs(self.lists), self._bf16)
        return self._measures.list_scores(self.lists, scores)
