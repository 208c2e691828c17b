"""Which pipelines an evaluation runs: those that were named, the matrix of retrievers and models, a sweep of depths."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from resift.errors import InputError
from resift.pipeline import DEFAULT_DEPTH, RETRIEVERS, STAGES, Part, Pipeline

_FIRST_STAGE = (Part("bm25"), Part("dense"))


@dataclass(frozen=True, slots=True)
class PlannedPipeline:
    """One pipeline to run.

    Attributes:
        pipeline: as it is shown and compared.
        baseline: the same first stage without a model.
        executed: what runs: as `Index.run` runs it, with as many results as are looked at.

    """

    pipeline: Pipeline
    baseline: Pipeline
    executed: Pipeline

    @property
    def candidates(self) -> int:
        """How many candidates are retrieved."""
        return self.executed.depth

    @property
    def depth(self) -> int:
        """How many candidates the first model looks at; without a model how many are retrieved."""
        first = next((part for part in self.pipeline.stages if part.name not in STAGES), None)
        return self.candidates if first is None or first.depth is None else min(first.depth, self.candidates)


def matrix(retrievers: Sequence[str], rerankers: Sequence[str]) -> list[Pipeline]:
    """Every first stage with every reranker.

    Args:
        retrievers: "bm25", "dense", an embedder's name, or several with "+" between them.
        rerankers: what stands behind the first stage of a pipeline: a model's name, with @DEPTH and ">> blend" at will.

    Raises:
        InputError: a text that is no pipeline.

    """
    fronts = [retrievers_of(text) for text in retrievers] or [()]
    backs = [Pipeline.parse(text) for text in rerankers] or [Pipeline()]
    if wrong := next((back for back in backs if back.retrievers), None):
        raise InputError(f"{wrong} has a retriever; name it apart, or give the whole as a pipeline")
    return [replace(back, retrievers=front) for front in fronts for back in backs]


def retrievers_of(text: str) -> tuple[Part, ...]:
    """The retrievers of a text such as "bm25 + BAAI/bge-small-en-v1.5"; an embedder's name stands for its vectors.

    Raises:
        InputError: a text that is no retriever.

    """
    pieces = [piece.strip() for piece in re.split(r"\+(?=(?:[^\"]*\"[^\"]*\")*[^\"]*$)", text)]
    known = [piece if re.split(r"[@(]", piece)[0] in RETRIEVERS else f'dense(model="{piece}")' for piece in pieces]
    return Pipeline.parse(" + ".join(known)).retrievers


def plan(
    pipelines: Iterable[Pipeline], depths: Sequence[int] = (), places: int = DEFAULT_DEPTH, has_run: bool = False
) -> list[PlannedPipeline]:
    """The steps of an evaluation, each once, every first stage without a model before those that rerank it.

    Args:
        pipelines: to compare; one without retrievers reranks the run of the data, or where there is none what a search
            finds by default. One without a model is a first stage, whatever its "top" is.
        depths: of the first model of every pipeline; none: as the pipelines have it.
        places: how many results are looked at where a pipeline has no "top".
        has_run: whether the data bring candidates.

    Raises:
        InputError: a depth below 1.

    """
    steps: dict[Pipeline, PlannedPipeline] = {}
    fronts = () if has_run else _FIRST_STAGE
    for pipeline in pipelines:
        whole = pipeline if pipeline.retrievers or has_run else replace(pipeline, retrievers=fronts)
        for variant in _at_depths(whole, depths):
            executed = variant if variant.top_k else replace(variant, top_k=places)
            baseline = Pipeline(variant.retrievers)
            steps.setdefault(baseline, PlannedPipeline(baseline, baseline, replace(baseline, top_k=places)))
            if variant.stages:
                steps.setdefault(variant, PlannedPipeline(variant, baseline, executed))
    order = {baseline: i for i, baseline in enumerate(dict.fromkeys(step.baseline for step in steps.values()))}
    return sorted(steps.values(), key=lambda step: (order[step.baseline], step.pipeline != step.baseline))


def _at_depths(pipeline: Pipeline, depths: Sequence[int]) -> list[Pipeline]:
    place = next((i for i, part in enumerate(pipeline.stages) if part.name not in STAGES), None)
    if place is None or not depths:
        return [pipeline]
    before, model, behind = pipeline.stages[:place], pipeline.stages[place], pipeline.stages[place + 1 :]
    return [replace(pipeline, stages=(*before, replace(model, depth=depth), *behind)) for depth in depths]
