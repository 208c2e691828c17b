"""Stages one after the other, each with its own depth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from resift.protocols import UNLIMITED, Budget, Stage
from resift.types import Ranking


class Cascade:
    """Runs stages in order; a stage's depth is its own, never more than the budget's."""

    def __init__(self, stages: Sequence[tuple[Stage, int | None]]) -> None:
        self.stages = tuple(stages)

    def run(self, rankings: Sequence[Ranking], budget: Budget = UNLIMITED) -> list[Ranking]:
        """Hand the rankings from stage to stage."""
        current = list(rankings)
        for stage, depth in self.stages:
            depths = [d for d in (depth, budget.depth) if d is not None]
            current = stage.run(current, replace(budget, depth=min(depths, default=None)))
        return current
