"""An evaluation as Markdown, and its rankings as TREC runs."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path

from resift import atomic, files
from resift.errors import InputError
from resift.evaluate.evaluation import Evaluation, PipelineRun
from resift.evaluate.figures import FigureTable, heading, hurt_queries, label, remarks, tables
from resift.types import Candidate, Document, Ranking


def markdown(evaluation: Evaluation, worst: int = 5) -> str:
    """Tables, remarks, and the queries that were hurt most."""
    title = "# Evaluation (synthetic queries)" if evaluation.data.synthetic else "# Evaluation"
    lines = [title, "", heading(evaluation), ""]
    for table in tables(evaluation):
        lines += [f"## {table.title}", "", *_rows(table), ""]
    lines += ["## Remarks", "", *(f"* {_inline(remark)}" for remark in remarks(evaluation)), ""]
    for run in evaluation.pipelines:
        hurt = list(hurt_queries(evaluation, run, worst)) if run.reranks else []
        lines += [f"## Hurt most by {label(run.pipeline)}", ""] if hurt else []
        for query in hurt:
            change = f"{evaluation.measures[0]} {query.before:.4f} → {query.after:.4f}"
            lines += [f"{_inline(query.query)} ({change})", "", *_rows(query.table), ""]
    return "\n".join(lines).rstrip() + "\n"


def _rows(table: FigureTable) -> Iterator[str]:
    yield f"| {' | '.join(map(_cell, table.headings))} |"
    yield f"|{'---|' * len(table.headings)}"
    for row in table.rows:
        yield f"| {' | '.join(map(_cell, row))} |"


def _cell(text: str) -> str:
    return _inline(text).replace("|", "\\|")


def _inline(text: str) -> str:
    """A text on one line, in which nothing is taken for Markdown or HTML."""
    return re.sub(r"([\\`*_<\[\]])", r"\\\1", " ".join(text.split()))


def write_runs(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Write each pipeline's rankings as a TREC run, whose scores fall with the rank; the paths, in order.

    Raises:
        InputError: an id has white space, which a TREC run can't hold, or the folder can't be written.

    """
    odd = [id_ for id_ in (*(q.id for q in evaluation.queries), *evaluation.documents) if len(id_.split()) != 1]
    if odd:
        raise InputError(f"the id {odd[0]!r} has white space, which a TREC run can't hold; leave --runs out")
    with atomic.blaming(folder):
        folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, run in enumerate(evaluation.pipelines, 1):
        name = re.sub(r"[^\w.@-]+", "-", label(run.pipeline)).strip("-")[:80]
        path = folder / f"{number:02}-{name}.trec"
        text = io.StringIO()
        name = f"synthetic-queries-{name}" if evaluation.data.synthetic else name  # the tag of every line
        files.write_run(_rankings(evaluation, run), name, text)
        atomic.write(path, [text.getvalue().encode()])
        paths.append(path)
    return paths


def _rankings(evaluation: Evaluation, run: PipelineRun) -> Iterator[Ranking]:
    for i, query in enumerate(evaluation.queries):
        yield Ranking(query, tuple(Candidate(Document(id_, "")) for id_ in evaluation.ranking(run, i)))
