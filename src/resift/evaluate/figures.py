"""The figures of an evaluation as tables of text, for terminals and Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from resift.evaluate.evaluation import Evaluation, PipelineRun
from resift.evaluate.shown_documents import SHOWN_DOCUMENTS
from resift.evaluate.statistics import METHOD, Estimate
from resift.evaluate.summary import StageSummary, Summary, most_hurt, summaries
from resift.score.defaults import sentence

FEW_QUERIES = 30  # below that an interval of 95 % covers less
SYNTHETIC = (
    "synthetic queries: titles of the documents stand for what people ask, so that the order of pipelines may be "
    "another one for real queries"
)
_CELL = 80  # characters of a document's cell


@dataclass(frozen=True, slots=True)
class FigureTable:
    """A table: its title, its headings, and rows of cells; the first `names` cells name the row."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    names: int = 1


def tables(evaluation: Evaluation) -> list[FigureTable]:
    """How good each pipeline is, what its models add, what bounds and costs it, and what each of its stages does."""
    figures = summaries(evaluation)
    reranking = [summary for summary in figures if summary.pipeline != summary.baseline]
    first, *others = evaluation.measures
    quality = FigureTable(
        "Quality",
        ("pipeline", first, "95 %", *others),
        tuple(
            (label(s.pipeline), f"{s.measures[first].value:.4f}", _ends(s.measures[first]),
             *(f"{s.measures[m].value:.4f}" for m in others))
            for s in figures
        ),
    )  # fmt: skip
    gains = FigureTable(
        f"What reranking adds to {first}",
        ("pipeline", "gain", "95 %", "p (Holm)", "helped", "hurt", "unchanged"),
        tuple(_gain(s, first) for s in reranking),
    )
    costs = FigureTable(
        "Bounds and costs",
        ("pipeline", "depth", f"best possible {first}", "recall bound", "ms p50", "ms p95", "tokens", "tied",
         "unjudged@10"),
        tuple(_costs(s) for s in figures),
    )  # fmt: skip
    staged = [s for s in figures if s.stages]
    alone = len(staged) == 1  # whose name need not stand on each line
    cascades = FigureTable(
        f"Stage by stage: {label(staged[0].pipeline)}" if alone else "Stage by stage",
        (
            *(() if alone else ("pipeline",)),
            "after",
            *evaluation.measures,
            f"{first} gained",
            "95 %",
            "ms p50",
            "ms p95",
            "tokens",
        ),
        tuple(_stage(s, stage)[alone:] for s in staged for stage in s.stages),
        names=1 if alone else 2,
    )
    return [quality, *([gains] if reranking else []), costs, *([cascades] if staged else [])]


def label(pipeline: str) -> str:
    """A pipeline's text; the data's own candidates are called the run."""
    return pipeline or "run"


def _ends(estimate: Estimate, sign: str = "") -> str:
    return f"{estimate.low:{sign}.4f} … {estimate.high:{sign}.4f}"


def _gain(s: Summary, measure: str) -> tuple[str, ...]:
    gain = s.gains[measure]
    counts = (str(n) for n in (s.helped, s.hurt, s.unchanged))
    return (label(s.pipeline), f"{gain.value:+.4f}", _ends(gain, "+"), f"{s.p_holm:.4f}", *counts)


def _stage(s: Summary, stage: StageSummary) -> tuple[str, ...]:
    gain = ("", "") if stage.gain is None else (f"{stage.gain.value:+.4f}", _ends(stage.gain, "+"))
    means = (f"{value:.4f}" for value in stage.measures.values())
    costs = (f"{stage.ms_p50:.1f}", f"{stage.ms_p95:.1f}", f"{stage.tokens:.0f}")
    return (label(s.pipeline), stage.stage, *means, *gain, *costs)


def _costs(s: Summary) -> tuple[str, ...]:
    return (
        label(s.pipeline), str(s.depth), f"{s.oracle:.4f}", f"{s.recall_bound:.4f}", f"{s.ms_p50:.1f}",
        f"{s.ms_p95:.1f}", f"{s.tokens:.0f}", f"{s.tied:.0%}", f"{s.unjudged:.0%}",
    )  # fmt: skip


def heading(evaluation: Evaluation) -> str:
    """What was evaluated, in one line."""
    data = evaluation.data
    split = f", split {data.split}" if data.split else ""
    only = ", judged candidates only" if data.judged_only else ""
    kind = "synthetic queries" if data.synthetic else "queries"
    return (
        f"{data.name}{split}: {len(evaluation.queries)} {kind}, {data.documents} documents, "
        f"{data.judgements} judgements{only} (fingerprint {data.fingerprint[:12]})"
    )


def remarks(evaluation: Evaluation) -> list[str]:
    """What a reader has to know before he believes the figures: issues of the data, how intervals were made."""
    notes = [SYNTHETIC] if evaluation.data.synthetic else []
    notes += [str(issue) for issue in evaluation.data.issues]
    if len(evaluation.queries) < FEW_QUERIES:
        notes.append(f"only {len(evaluation.queries)} queries: intervals are too narrow below {FEW_QUERIES}")
    for run in evaluation.pipelines:
        notes += [f"{label(run.pipeline)}: {count} queries with the note {code!r}" for code, count in run.notes.items()]
    if evaluation.data.defaults:
        notes.append(sentence(evaluation.data.defaults))
    return [*notes, f"intervals: {METHOD}, seed {evaluation.seed}; p: paired randomisation test, Holm-corrected"]


@dataclass(frozen=True, slots=True)
class HurtQuery:
    """One query that a pipeline hurt: its text, the measure before and after, and the first documents side by side."""

    query: str
    before: float
    after: float
    table: FigureTable


def hurt_queries(evaluation: Evaluation, run: PipelineRun, count: int, width: int = _CELL) -> Iterator[HurtQuery]:
    """The queries that a pipeline hurt most, the worst first; a document's cell has at most `width` characters."""
    first, baseline = evaluation.measures[0], evaluation.run(run.baseline)
    for i in most_hurt(evaluation, run, count):
        grades = {evaluation.documents[d]: g for d, g in evaluation.grades[i].items() if d < len(evaluation.documents)}
        columns = [
            [_shown(evaluation, grades, id_)[:width].strip() for id_ in evaluation.ranking(r, i)[:SHOWN_DOCUMENTS]]
            for r in (baseline, run)
        ]
        rows = tuple((str(rank), *_pair(columns, rank - 1)) for rank in range(1, max(map(len, columns)) + 1))
        before, after = float(baseline.values[first][i]), float(run.values[first][i])
        query = evaluation.queries[i]
        yield HurtQuery(f"{query.id}: {query.text}", before, after, FigureTable("", ("#", "before", "after"), rows))


def best_reranking(evaluation: Evaluation) -> PipelineRun | None:
    """The pipeline with a model whose first measure is highest; None without one."""
    first = evaluation.measures[0]
    reranking = (run for run in evaluation.pipelines if run.reranks)
    return max(reranking, key=lambda run: float(run.values[first].mean()), default=None)


def _pair(columns: Sequence[Sequence[str]], place: int) -> tuple[str, ...]:
    return tuple(column[place] if place < len(column) else "" for column in columns)


def _shown(evaluation: Evaluation, grades: dict[str, int], id_: str) -> str:
    """A document's grade in brackets, its id, and the beginning of its text."""
    grade = str(grades[id_]) if id_ in grades else "?"
    return f"[{grade}] {id_} {evaluation.texts.get(id_, '')}"
