"""A pipeline as a value: which retrievers, which stages, how deep; as text, as TOML, and as a Stage that runs."""

from resift.pipeline.parts import DEFAULT_DEPTH, RETRIEVERS, STAGES, Part
from resift.pipeline.read import PIPELINE_FILE, PipelineLike, read_pipeline, retrieval_of
from resift.pipeline.retrieval import Retrieval
from resift.pipeline.stages import resolved, without_models
from resift.pipeline.value import Pipeline, boosts

__all__ = [
    "DEFAULT_DEPTH",
    "PIPELINE_FILE",
    "RETRIEVERS",
    "STAGES",
    "Part",
    "Pipeline",
    "PipelineLike",
    "Retrieval",
    "boosts",
    "read_pipeline",
    "resolved",
    "retrieval_of",
    "without_models",
]
