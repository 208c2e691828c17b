"""What a pipeline changes of the searches of a server's index: how candidates are found, blended, corrected."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from resift.api import Index
from resift.errors import InputError
from resift.pipeline import STAGES, Part, Pipeline, read_pipeline
from resift.pipeline.parts import LEARNED
from resift.protocols import Retriever
from resift.rerank.learned import open_learned


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """How the index is searched.

    Attributes:
        retriever: finds the candidates.
        model: whose scores `behind` is for; empty: no model's.
        behind: the model's blend and learned stages, which take the place of its usual blend where a request names no
            weight; none: the usual one.

    """

    retriever: Retriever
    model: str = ""
    behind: tuple[Part, ...] = ()

    def behind_of(self, model: str, requested: bool | float) -> tuple[Part, ...]:
        """What stands behind a request's model: the pipeline's where it is for it and the request leaves it open."""
        return self.behind if requested is True and model == self.model else ()


def search_plan(written: str, index: Index, models: Collection[str]) -> SearchPlan:
    """The plan of a pipeline.

    Args:
        written: text, file or folder of the pipeline; empty: the index is searched as it is.
        index: that is searched.
        models: the names that are served.

    Raises:
        InputError: no pipeline, one that the index can't follow, or one of more than retrievers, a served model, a
            blend and learned stages behind it; or a learned stage can't be read.
        ModelError: as well.

    """
    if not written:
        return SearchPlan(index.retriever)
    pipeline = read_pipeline(written)
    _check(pipeline, models)
    for part in pipeline.stages[1:]:
        if part.name == LEARNED:
            open_learned(Path(str(part.value("model"))))  # what can't be read is refused before anything is served
    model = pipeline.models[0] if pipeline.models else ""
    return SearchPlan(pipeline.retrieval.limit(index.retriever), model, pipeline.stages[1:])


def _check(pipeline: Pipeline, models: Collection[str]) -> None:
    first, behind = pipeline.stages[:1], {part.name for part in pipeline.stages[1:]}
    if any(part.name in STAGES or part.others for part in first) or not behind <= {"blend", LEARNED}:
        raise InputError(
            "a server takes retrievers, one model and a blend of a pipeline, and learned stages behind these, not "
            f"{pipeline}; its other settings have the rest"
        )
    if unserved := [name for name in pipeline.models if name not in models]:
        raise InputError(
            f"the pipeline's model {unserved[0]} is not served; there is {', '.join(models)}: resift serve "
            f"{unserved[0]}"
        )
