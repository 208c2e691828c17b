"""Fits the weights of a pipeline to labelled queries, as few of them as are surely better than the default."""

from resift.tune.learned import Learn, LearnedStage
from resift.tune.result import LevelResult, Tuned
from resift.tune.run import TuneOptions, tune
from resift.tune.store import write

__all__ = ["Learn", "LearnedStage", "LevelResult", "TuneOptions", "Tuned", "tune", "write"]
