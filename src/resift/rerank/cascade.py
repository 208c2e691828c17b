"""Stages one after the other, each with its own depth."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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


class Watched:
    """Shows somebody each ranking that a stage has ordered."""

    def __init__(self, stage: Stage, watch: Callable[[Ranking], None]) -> None:
        self.stage, self._watch = stage, watch

    @property
    def name(self) -> str:
        """The name of the stage."""
        return self.stage.name

    def order(self, ranking: Ranking) -> Flow:
        """Run the stage, and show what it returns."""
        ordered = yield from self.stage.order(ranking)
        self._watch(ordered)
        return ordered


NOTHING = Cascade(())  # keeps the order
