"""An evaluation as versioned JSON: per-query values and rankings, and the figures that follow from them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from resift.errors import InputError
from resift.evaluate.evaluation import (
    NO_DOCUMENT,
    SCHEMA,
    DataFacts,
    Evaluation,
    ModelScores,
    PipelineRun,
    StageRun,
    row_matrix,
)
from resift.evaluate.issues import Issue, IssueCode
from resift.evaluate.statistics import METHOD, TEST, Floats
from resift.evaluate.summary import Summary, summaries
from resift.files.formats import blamed_on
from resift.types import Query

KIND = "evaluation"


def as_json(evaluation: Evaluation) -> dict[str, Any]:
    """An evaluation as a JSON object; docs/evaluate.md has its fields."""
    by_pipeline = {summary.pipeline: summary for summary in summaries(evaluation)}
    return {
        "schema": SCHEMA,
        "kind": KIND,
        "data": asdict(evaluation.data),
        "measures": list(evaluation.measures),
        "statistics": {"intervals": METHOD, "level": 0.95, "test": TEST, "seed": evaluation.seed},
        "machine": dict(evaluation.machine),
        "models": {name: dict(facts) for name, facts in evaluation.models.items()},
        "queries": [asdict(query) for query in evaluation.queries],
        "documents": list(evaluation.documents),
        "grades": [[[i, grade] for i, grade in sorted(grades.items())] for grades in evaluation.grades],
        "texts": dict(evaluation.texts),
        "pipelines": [_pipeline(run, by_pipeline[run.pipeline]) for run in evaluation.pipelines],
    }


def _pipeline(run: PipelineRun, summary: Summary) -> dict[str, Any]:
    return {
        "pipeline": run.pipeline,
        "baseline": run.baseline,
        "depth": run.depth,
        "summary": asdict(summary),
        "flags": dict(run.flags),
        "notes": dict(run.notes),
        "values": {measure: values.tolist() for measure, values in run.values.items()},
        "oracle": run.oracle.tolist(),
        "recall_bound": run.recall_bound.tolist(),
        "unjudged": run.unjudged.tolist(),
        "tied": run.tied.astype(int).tolist(),
        "ms": run.ms.tolist(),
        "tokens": run.tokens.tolist(),
        "rankings": [[int(i) for i in row if i != NO_DOCUMENT] for row in run.rankings],
        **({} if run.scores is None else {"scores": _scores(run.scores)}),
        **({"stages": [_stage(stage) for stage in run.stages]} if run.stages else {}),
    }


def _stage(stage: StageRun) -> dict[str, Any]:
    values = {measure: values.tolist() for measure, values in stage.values.items()}
    return {"stage": stage.stage, "values": values, "ms": stage.ms.tolist(), "tokens": stage.tokens.tolist()}


def _scores(scores: ModelScores) -> dict[str, Any]:
    return {"model": scores.model, "kind": scores.kind, "values": [row.tolist() for row in scores.values]}


def of_json(value: Mapping[str, Any], where: str) -> Evaluation:
    """Read what `as_json` gives; the summaries are computed anew.

    Raises:
        InputError: no evaluation, or one of another schema.

    """
    if value.get("kind") != KIND:
        raise InputError(f"{where} is no evaluation; `resift evaluate DATA --output FILE` writes one")
    if value.get("schema") != SCHEMA:
        raise InputError(f"{where} has schema {value.get('schema')!r}, and this Resift reads {SCHEMA}; evaluate again")
    try:
        return _evaluation(value)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{where} is a damaged evaluation ({type(error).__name__}: {error}); evaluate again"
        ) from error


def _evaluation(value: Mapping[str, Any]) -> Evaluation:
    return Evaluation(
        data=_data(value["data"]),
        queries=tuple(Query(**query) for query in value["queries"]),
        documents=tuple(value["documents"]),
        grades=tuple({i: grade for i, grade in grades} for grades in value["grades"]),
        measures=tuple(value["measures"]),
        pipelines=_runs(value),
        texts=value["texts"],
        models=value["models"],
        machine=value["machine"],
        seed=value["statistics"]["seed"],
    )


def _data(value: Mapping[str, Any]) -> DataFacts:
    issues = tuple(Issue(IssueCode(i["code"]), i["count"], i["message"], tuple(i["examples"])) for i in value["issues"])
    names = ("name", "split", "fingerprint", "documents", "judgements", "judged_only")
    facts = {name: value[name] for name in names}
    return DataFacts(
        **facts, issues=issues, synthetic=value.get("synthetic", False), defaults=tuple(value.get("defaults", ()))
    )


def _runs(value: Mapping[str, Any]) -> tuple[PipelineRun, ...]:
    runs = tuple(map(_run, value["pipelines"]))
    names = {run.pipeline for run in runs}
    for run in runs:
        if run.baseline not in names:
            raise ValueError(f"{run.baseline!r}, the first stage of {run.pipeline!r}, is not there")
        columns = (run.rankings, run.oracle, run.recall_bound, run.unjudged, run.tied, run.ms, run.tokens)
        scores = () if run.scores is None else (run.scores.values,)
        stages = [column for stage in run.stages for column in (stage.ms, stage.tokens, *stage.values.values())]
        for column in (*columns, *run.values.values(), *scores, *stages):
            if len(column) != len(value["queries"]):
                raise ValueError(f"{run.pipeline!r} has {len(column)} values for {len(value['queries'])} queries")
    return runs


def _floats(values: Sequence[float]) -> Floats:
    return np.array(values, np.float64)


def _run(value: Mapping[str, Any]) -> PipelineRun:
    scores = value.get("scores")

    return PipelineRun(
        pipeline=value["pipeline"],
        baseline=value["baseline"],
        depth=value["depth"],
        rankings=row_matrix(value["rankings"]),
        values={measure: _floats(values) for measure, values in value["values"].items()},
        oracle=_floats(value["oracle"]),
        recall_bound=_floats(value["recall_bound"]),
        unjudged=_floats(value["unjudged"]),
        tied=np.array(value["tied"], bool),
        ms=_floats(value["ms"]),
        tokens=np.array(value["tokens"], np.int64),
        flags=value["flags"],
        notes=value["notes"],
        scores=scores and ModelScores(scores["model"], scores["kind"], tuple(map(_floats, scores["values"]))),
        stages=tuple(map(_stage_run, value.get("stages", []))),
    )


def _stage_run(value: Mapping[str, Any]) -> StageRun:
    values = {measure: _floats(values) for measure, values in value["values"].items()}
    return StageRun(value["stage"], values, _floats(value["ms"]), np.array(value["tokens"], np.int64))


def read_evaluation(path: Path) -> Evaluation:
    """Read an evaluation from the file that `resift evaluate --output` wrote.

    Raises:
        InputError: unreadable, no evaluation, or one of another schema.

    """
    with blamed_on(path):
        content = path.read_bytes()
    try:
        value = json.loads(content)
    except ValueError as error:
        raise InputError(f"{path} is no JSON ({error}); give what `resift evaluate --output` wrote") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} is no evaluation; `resift evaluate DATA --output FILE` writes one")
    return of_json(value, str(path))
