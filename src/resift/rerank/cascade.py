"""Stages one after the other, each with its own depth."""

from __future__ import annotations

from collections.abc import Sequence

from resift.protocols import Flow, Stage
from resift.types import Ranking


class Cascade:
    """Hands a ranking from stage to stage."""

    def __init__(self, stages: Sequence[Stage]) -> None:
        self.stages = tuple(stages)

    @property
    def name(self) -> str:
        """The stages' names, joined by ">>"."""
        return " >> ".join(stage.name for stage in self.stages)

    def order(self, ranking: Ranking) -> Flow:
        """Run the stages in order."""
        for stage in self.stages:
            ranking = yield from stage.order(ranking)
        return ranking


NOTHING = Cascade(())  # keeps the order
