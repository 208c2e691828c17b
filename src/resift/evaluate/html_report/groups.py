"""Pipelines as a report numbers and groups them: those of one group differ in depth alone."""

from __future__ import annotations

from dataclasses import dataclass, replace

from resift.evaluate.evaluation import Evaluation, PipelineRun
from resift.evaluate.figures import best_reranking, label
from resift.evaluate.summary import Summary, summaries
from resift.pipeline import STAGES, Pipeline


@dataclass(frozen=True, slots=True)
class Member:
    """One pipeline in a report.

    Attributes:
        number: from 1, as in the tables.
        group: from 0; the pipelines of one group differ in the depth of their first model alone.
        run, summary: what it did, and its figures.

    """

    number: int
    group: int
    run: PipelineRun
    summary: Summary

    @property
    def name(self) -> str:
        """Number and pipeline."""
        return f"{self.number}. {label(self.run.pipeline)}"


@dataclass(frozen=True, slots=True)
class ReportData:
    """What all parts of a report are made from.

    Attributes:
        evaluation: what was measured.
        members: all pipelines, in their order.
        groups: the names of the groups.
        chosen: the pipeline whose queries are shown: one that was asked for, else the best with a model.

    """

    evaluation: Evaluation
    members: tuple[Member, ...]
    groups: tuple[str, ...]
    chosen: Member

    @property
    def measure(self) -> str:
        """The measure that is compared."""
        return self.evaluation.measures[0]

    @property
    def reranking(self) -> list[Member]:
        """The pipelines with a model."""
        return [member for member in self.members if member.run.reranks]

    def first_stage(self, member: Member) -> Member:
        """The same first stage without a model."""
        return next(m for m in self.members if m.run.pipeline == member.run.baseline)


def report_data(evaluation: Evaluation, pipeline: str | None = None) -> ReportData:
    """Number and group the pipelines of an evaluation.

    Args:
        evaluation: with at least one pipeline.
        pipeline: whose queries are shown; None: the best with a model, or where there is none the first one.

    Raises:
        KeyError: the evaluation has no such pipeline.

    """
    figures = {summary.pipeline: summary for summary in summaries(evaluation)}
    names = [_without_depth(run.pipeline) for run in evaluation.pipelines]
    groups = tuple(dict.fromkeys(names))
    members = tuple(
        Member(number, groups.index(name), run, figures[run.pipeline])
        for number, (name, run) in enumerate(zip(names, evaluation.pipelines, strict=True), 1)
    )
    best = best_reranking(evaluation) or evaluation.pipelines[0]
    run = best if pipeline is None else evaluation.run(pipeline)
    return ReportData(evaluation, members, groups, next(m for m in members if m.run is run))


def _without_depth(text: str) -> str:
    """A pipeline without the depth of its first model."""
    pipeline = Pipeline.parse(text) if text else Pipeline()
    place = next((i for i, part in enumerate(pipeline.stages) if part.name not in STAGES), None)
    if place is None:
        return label(text)
    before, model, behind = pipeline.stages[:place], pipeline.stages[place], pipeline.stages[place + 1 :]
    return str(replace(pipeline, stages=(*before, replace(model, depth=None), *behind)))
