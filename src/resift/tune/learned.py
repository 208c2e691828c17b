"""What a stage that learns from labelled queries has to give, so that it can be tried as the last level."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from resift.pipeline import Part
from resift.protocols import Stage
from resift.types import Ranking


@dataclass(frozen=True, slots=True)
class LearnedStage:
    """A stage that was fitted to labelled queries.

    Attributes:
        stage: orders a ranking as the pipeline gives it, with the signals of its retrievers, model and blend.
        save: writes the stage's files into a folder, and gives the part of a pipeline that reads them there.

    """

    stage: Stage
    save: Callable[[Path], Part]


# Fits a stage to rankings, as the pipeline orders them, and the grades of their queries' judged documents by id.
Learn = Callable[[Sequence[Ranking], Sequence[Mapping[str, int]]], LearnedStage]
