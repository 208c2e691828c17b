"""What a pipeline changes of the searches of a server's index: how candidates are found, and how scores are blended."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from resift.api import Index
from resift.errors import InputError
from resift.pipeline import STAGES, Part, Pipeline, read_pipeline
from resift.protocols import Retriever


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """How the index is searched.

    Attributes:
        retriever: finds the candidates.
        model: whose scores `blend` is for; empty: no model's.
        blend: takes the place of the model's usual blend where a request names no weight; None: the usual one.

    """

    retriever: Retriever
    model: str = ""
    blend: Part | None = None

    def blend_of(self, model: str, requested: bool | float) -> Part | None:
        """The blend of a request: the pipeline's where it is for this model and the request leaves it open."""
        return self.blend if requested is True and model == self.model else None


def search_plan(written: str, index: Index, models: Collection[str]) -> SearchPlan:
    """The plan of a pipeline.

    Args:
        written: text, file or folder of the pipeline; empty: the index is searched as it is.
        index: that is searched.
        models: the names that are served.

    Raises:
        InputError: no pipeline, one that the index can't follow, or one of more than retrievers, a served model and a
            blend.

    """
    if not written:
        return SearchPlan(index.retriever)
    pipeline = read_pipeline(written)
    _check(pipeline, models)
    blend = next((part for part in pipeline.stages if part.name == "blend"), None)
    model = pipeline.models[0] if pipeline.models else ""
    return SearchPlan(pipeline.retrieval.limit(index.retriever), model, blend)


def _check(pipeline: Pipeline, models: Collection[str]) -> None:
    stages = [part for part in pipeline.stages if part.name != "blend"]
    if len(stages) > 1 or any(part.name in STAGES or part.others for part in stages):
        raise InputError(
            f"a server takes retrievers, one model and a blend of a pipeline, not {pipeline}; its other settings have "
            "the rest"
        )
    if unserved := [name for name in pipeline.models if name not in models]:
        raise InputError(
            f"the pipeline's model {unserved[0]} is not served; there is {', '.join(models)}: resift serve "
            f"{unserved[0]}"
        )
