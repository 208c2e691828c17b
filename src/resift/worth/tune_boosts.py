"""Tunes the boosts of a pipeline on judged queries or on clicks, and says what that is worth on others."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from resift.errors import InputError
from resift.evaluate.dataset import Dataset
from resift.evaluate.first_stages import FirstStages, Progress
from resift.evaluate.outcomes import Models
from resift.evaluate.plan import plan
from resift.evaluate.result_cache import Cost, ResultCache
from resift.evaluate.run import judgement_folder
from resift.loading import load
from resift.pipeline import DEFAULT_DEPTH, STAGES, Part, Pipeline
from resift.pipeline.parts import boost_rule
from resift.rerank.boost import BoostRule, scored_head, shares
from resift.rerank.drive import drive
from resift.reranker import Reranker
from resift.types import Ranking
from resift.worth.boost_fit import BoostGrid, BoostReport, JudgedRanking, cross_fitted, dcg
from resift.worth.report import interval
from resift.worth.splits import folds
from resift.worth.verdict import LEAST_QUERIES

SCHEMA, KIND, MEASURE = 1, "tune_boosts", "nDCG@10"
_SHOWN = 8  # fields that a message names


@dataclass(frozen=True, slots=True)
class BoostOptions:
    """How boosts are tuned.

    Attributes:
        judged_only: only the documents that were judged for a query are its candidates.
        cache, seed: as in `EvaluationOptions`.
        models: loaded models by name.

    """

    judged_only: bool = False
    cache: Path | bool | None = None
    seed: int = 0
    models: Mapping[str, Reranker] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TunedBoosts:
    """What was tuned.

    Attributes:
        report: figures, and the boosts that all queries choose.
        pipeline: what to use: with these boosts where they are better than none, else without any.
        queries: how many there were.
        notes: what was missing in the candidates, counted and named.
        data: the issues of the data.

    """

    report: BoostReport
    pipeline: Pipeline
    queries: int
    notes: tuple[str, ...]
    data: tuple[str, ...]


_EXAMPLE = 'bm25 + dense >> resift-mini-en@100 >> blend >> boost("date")'


def check_pipeline(text: str) -> Pipeline:
    """The pipeline whose boosts are to be tuned.

    Raises:
        InputError: no pipeline, one without a boost or with one in front of a model, or with `when` or `relevant`.

    """
    if not text.strip():
        raise InputError(f"name a pipeline with its boosts, such as --pipeline '{_EXAMPLE}'")
    pipeline = Pipeline.parse(text)
    names = [part.name for part in pipeline.stages]
    if "boost" not in names:
        raise InputError(f'{pipeline} has no boost; end it with one, such as {pipeline} >> boost("date")')
    if "when" in names or "relevant" in names:
        raise InputError("boosts are tuned behind models and blends; leave when and relevant out of the pipeline")
    if set(names[names.index("boost") :]) != {"boost"}:
        raise InputError("a boost that is to be tuned stands behind all models; move it to the end of the pipeline")
    return pipeline


def tune_boosts(
    data: Dataset,
    pipeline: Pipeline,
    options: BoostOptions = BoostOptions(),
    gains: Mapping[str, Mapping[str, float]] | None = None,
    on_progress: Progress = lambda step, count, share: None,
) -> TunedBoosts:
    """Fit weight and half-life, or logarithm, of every boost; see `boost_fit.cross_fitted`.

    Args:
        data: queries with judged documents.
        pipeline: as `check_pipeline` gives it. A boost without a half-life is of dates where its field has no number,
            but dates.
        options: candidates, cache, models.
        gains: what each document is worth, by query id and document id; None: its grade.
        on_progress: as in `evaluate`.

    Raises:
        InputError: fewer than 50 queries, or a field that no candidate has; else as `evaluate`.

    """
    if len(data.queries) < LEAST_QUERIES:
        missing = LEAST_QUERIES - len(data.queries)
        raise InputError(f"boosts can't be tuned on {len(data.queries)} judged queries; label at least {missing} more")
    parts = folds(data.queries, options.seed)
    if not parts:
        raise InputError("all queries have the same text, so that none is left to report; give others too")
    rankings = _rankings(data, pipeline, options, on_progress)
    heads = [scored_head(ranking) for ranking in rankings]
    now = time.time()
    rules = [_of_kind(boost_rule(part), [head for head, _ in heads], now) for part in _boosts(pipeline)]
    judged = []
    for query, ranking, (head, scores) in zip(data.queries, rankings, heads, strict=True):
        worth = data.qrels[query.id] if gains is None else gains[query.id]
        ideal = dcg(sorted((max(0.0, gain) for gain in worth.values()), reverse=True))
        row = [max(0.0, worth.get(c.document.id, 0.0)) for c in ranking]
        judged.append(JudgedRanking(head, scores, row, ideal))
    grid = BoostGrid(
        judged, rules, now, lambda done, total: on_progress("settings of boosts tried", done, done / total)
    )
    report = cross_fitted(grid, parts, options.seed)
    best = _with_boosts(pipeline, report.rules if report.better else ())
    notes = tuple(_note(rule, [head for head, _ in heads], now) for rule in rules)
    return TunedBoosts(report, best, len(judged), notes, tuple(map(str, data.issues)))


def part_of(rule: BoostRule) -> Part:
    """A boost as a part of a pipeline, without what is as by default."""
    defaults = asdict(BoostRule(rule.field))
    values = asdict(rule)
    names = [name for name in STAGES["boost"] if name in ("field", "weight") or values[name] != defaults[name]]
    if rule.half_life is not None:
        names = [name for name in names if name != "log"]
    return Part("boost", None, tuple((name, values[name]) for name in names))


def sentence(result: TunedBoosts) -> str:
    """What came out, for people."""
    report = result.report
    facts = (
        f"{interval(report.gain)} {MEASURE} on {result.queries} queries that did not choose "
        f"({report.plain:.3f} without, {report.boosted:.3f} with; {report.helped} helped, {report.hurt} hurt)"
    )
    if report.better:
        return f"boosts help: {facts}"
    if report.gain.high < 0:
        return f"no boost is better: {facts}"
    return f"no boost is as good: {facts}"


def as_json(result: TunedBoosts) -> dict[str, Any]:
    """The result as a JSON object; docs/boosts.md has its fields."""
    report = asdict(result.report)
    report["rules"] = [str(part_of(rule)) for rule in result.report.rules]
    for fold, row in zip(result.report.folds, report["folds"], strict=True):
        row["rules"] = [str(part_of(rule)) for rule in fold.rules]
    return {
        "schema": SCHEMA, "kind": KIND, "sentence": sentence(result), "better": result.report.better,
        "pipeline": str(result.pipeline), "measure": MEASURE, "queries": result.queries, **report,
        "notes": list(result.notes), "issues": list(result.data),
    }  # fmt: skip


def _boosts(pipeline: Pipeline) -> list[Part]:
    return [part for part in pipeline.stages if part.name == "boost"]


def _with_boosts(pipeline: Pipeline, rules: Sequence[BoostRule]) -> Pipeline:
    others = [part for part in pipeline.stages if part.name != "boost"]
    return replace(pipeline, stages=(*others, *map(part_of, rules)))


def _rankings(data: Dataset, pipeline: Pipeline, options: BoostOptions, on_progress: Progress) -> list[Ranking]:
    """What the pipeline gives before its boosts, for each query."""
    plain = replace(_with_boosts(pipeline, ()), top_k=None)
    step = plan([plain], places=DEFAULT_DEPTH, has_run=bool(data.run))[-1]
    models = {name: options.models.get(name) or load(name) for name in plain.models}
    cache = ResultCache(judgement_folder(data, options.cache))
    try:
        first_stages = FirstStages(data, cache, options.judged_only, on_progress)
        first_stages.check(step.executed.retrievers)
        stage = step.executed.stage(Models(models).recorded(models, cache, Cost()).__getitem__)
        rankings = []
        for i, query in enumerate(data.queries, 1):
            first = first_stages.ranking(step.executed.retrievers, query, step.candidates).ranking
            rankings += drive(stage, [first])
            on_progress("queries reranked", i, i / len(data.queries))
    finally:
        cache.close()
    return rankings


def _of_kind(rule: BoostRule, heads: Sequence[Sequence[Any]], now: float) -> BoostRule:
    """The rule as one of dates, where it is said to be one of numbers, and its field has dates alone.

    Raises:
        InputError: no candidate has the field, or none has one that can be read.

    """
    for variant in (rule, replace(rule, half_life="1y") if rule.half_life is None else rule):
        if any(_readable(variant, head, now) for head in heads):
            return variant
    fields = Counter(name for head in heads for c in head for name in c.document.metadata)
    there = ", ".join(repr(name) for name, _ in fields.most_common(_SHOWN)) or "no metadata at all"
    what = "that can be read" if rule.field in fields else "at all"
    raise InputError(f"no candidate has a {rule.field!r} {what}; there is {there}")


def _readable(rule: BoostRule, head: Sequence[Any], now: float) -> int:
    result = shares(rule, head, now)
    return len(head) - result.missing - len(result.unreadable)


def _note(rule: BoostRule, heads: Sequence[Sequence[Any]], now: float) -> str:
    """What of a field was read, over all queries."""
    results = [shares(rule, head, now) for head in heads]
    total, missing = sum(map(len, heads)), sum(result.missing for result in results)
    unreadable = [entry for result in results for entry in result.unreadable]
    what = "numbers" if rule.half_life is None else "dates"
    parts = [f"{missing} are missing"] if missing else []
    parts += [f"{len(unreadable)} can't be read, such as {repr(unreadable[0])[:40]}"] if unreadable else []
    parts += [f"{future} lie in the future"] if (future := sum(result.future for result in results)) else []
    return f"{rule.field!r}: {what} of {total} candidates" + (f"; {', '.join(parts)}" if parts else "")
