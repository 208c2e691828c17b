"""The evaluator inside of training: ranking measures on real lists, and what tells a sick model from a healthy one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sentence_transformers import CrossEncoder
from sentence_transformers.base.evaluation import BaseEvaluator

from resift.evaluate.statistics import Floats
from resift.train.neural.grouped import score_pairs
from resift.train.neural.ranking_lists import RankingLists, measured

if TYPE_CHECKING:
    from ir_measures import Measure

SATURATED_AT = 17.0  # from here on the sigmoid of a logit is 1 in f32


@dataclass(frozen=True, slots=True)
class Health:
    """What scores of lists say about a model.

    Attributes:
        value: the mean of the first measure.
        spread: the standard deviation of logits within a list, averaged.
        saturated: the share of logits whose sigmoid is 1 or 0 in f32.
        finite: whether all of them are numbers.

    """

    value: float
    spread: float
    saturated: float
    finite: bool


def health_of(lists: RankingLists, scores: Floats, value: float) -> Health:
    """What scores say about the model that gave them."""
    finite = bool(np.isfinite(scores).all())
    spreads = [float(part.std()) for part in lists.split(scores) if len(part) > 1] if finite else []
    saturated = float((np.abs(scores) > SATURATED_AT).mean()) if finite and len(scores) else 0.0
    return Health(value, float(np.mean(spreads)) if spreads else 0.0, saturated, finite)


class ListEvaluator(BaseEvaluator):
    """Measures of a set of lists, as the trainer of sentence-transformers asks for them; the first one decides."""

    def __init__(self, lists: RankingLists, measures: Sequence[Measure], bf16: bool = False) -> None:
        super().__init__()
        self.lists, self._measures, self._bf16 = lists, measures, bf16
        self.primary_metric = str(measures[0])
        self.history: list[tuple[int, Health]] = []

    def __call__(
        self, model: CrossEncoder, output_path: str | None = None, epoch: float = -1, steps: int = -1
    ) -> dict[str, float]:
        """Means over the lists; `history` gets the step and the model's health."""
        values, scores = self.values(model)
        means = {name: float(column.mean()) for name, column in values.items()}
        self.history.append((steps, health_of(self.lists, scores, means[self.primary_metric])))
        return means

    def values(self, model: Any) -> tuple[dict[str, Floats], Floats]:  # noqa: ANN401
        """Each measure of each list, and the logits of all pairs; a model that gives no numbers has 0 everywhere."""
        scores = score_pairs(model, self.lists.pairs, self._bf16)
        if not np.isfinite(scores).all():
            return {str(m): np.zeros(len(self.lists.lists)) for m in self._measures}, scores
        return measured(self.lists, self._measures, scores), scores
