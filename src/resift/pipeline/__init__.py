"""A pipeline as a value: which retrievers, which stages, how deep; as text, as TOML, and as a Stage that runs."""

from resift.pipeline.parts import DEFAULT_DEPTH, RETRIEVERS, STAGES, Part
from resift.pipeline.stages import resolved, without_models
from resift.pipeline.value import Pipeline, boosts

__all__ = ["DEFAULT_DEPTH", "RETRIEVERS", "STAGES", "Part", "Pipeline", "boosts", "resolved", "without_models"]
