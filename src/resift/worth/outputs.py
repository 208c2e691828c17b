"""A comparison as JSON, as Markdown and as tables."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any

from resift.evaluate.figures import FEW_QUERIES, FigureTable
from resift.evaluate.statistics import METHOD
from resift.score.defaults import sentence
from resift.worth.report import KIND, SCHEMA, WorthIt, interval, rule


def as_json(result: WorthIt) -> dict[str, Any]:
    """A comparison as a JSON object; docs/worth-it.md has its fields."""
    fields = asdict(result)
    statistics = {"intervals": METHOD, "level": 0.95, "stretch": fields.pop("factor"), "seed": fields.pop("seed")}
    fields["tuned_pipeline"] = result.tuned_pipeline
    verdict = fields.pop("verdict") | {"sentence": fields.pop("sentence")}
    return {"schema": SCHEMA, "kind": KIND, "verdict": verdict, "statistics": statistics, **fields}


def tables(result: WorthIt) -> list[FigureTable]:
    """The bounds of the candidates, and what each model adds at each depth."""
    reported = result.verdict.queries
    bounds = FigureTable(
        f"{result.measure} on {reported} queries",
        ("order", result.measure, ""),
        (
            ("first stage by default", f"{result.default:.4f}", ""),
            ("first stage, tuned", f"{result.tuned:.4f}", f"tuning adds {interval(result.tuned_gain)}"),
            ("reranked", f"{result.reranked:.4f}", f"{result.helped} helped, {result.hurt} hurt"),
            ("best order of these candidates", f"{result.ceiling:.4f}", ""),
            ("best order of all documents", f"{result.ideal:.4f}", ""),
        ),
    )
    rows = tuple(
        (f"{row.model}@{row.depth}", f"{row.value:.4f}", interval(row.gain), f"{row.ms_p50:.1f}",
         f"{row.ms_p95:.1f}", str(row.helped), str(row.hurt))
        for row in result.rows
    )  # fmt: skip
    heads = ("model", result.measure, "gain, 95 %", "ms p50", "ms p95", "helped", "hurt")
    return [bounds, FigureTable("What models add to the tuned first stage, the blend's weight tuned", heads, rows)]


def remarks(result: WorthIt) -> list[str]:
    """What a reader has to know before he believes the figures."""
    split = (
        "one half of the queries tuned, the other is reported"
        if result.method == "halves"
        else f"each query is reported by parameters that others tuned ({len(result.choices)} folds)"
    )
    notes = [str(issue) for issue in result.data.issues]
    if result.verdict.queries < FEW_QUERIES:
        notes.append(f"only {result.verdict.queries} queries: intervals are too narrow below {FEW_QUERIES}")
    notes += [
        f"{model} was not asked about {count} queries, whose language it does not read"
        for model, count in result.misfits.items()
        if count
    ]
    if result.data.defaults:
        notes.append(sentence(result.data.defaults))
    if result.factor > 1:
        notes.append(f"folds choose for each other, so intervals of gains are {result.factor:.2f} times as wide")
    notes += [
        f"tuned, to be run with --pipeline: {result.tuned_pipeline}",
        f"{split}; seed {result.seed}; the choice was made on the queries that tuned, so only the verdict is a test",
        rule(result.least, result.measure),
    ]
    return notes


def markdown(result: WorthIt) -> str:
    """The verdict, the tables and the remarks."""
    lines = ["# Is reranking worth it?", "", f"**{_inline(result.sentence)}**", ""]
    for table in tables(result):
        lines += [f"## {table.title}", "", f"| {' | '.join(map(_inline, table.headings))} |"]
        lines += [f"|{'---|' * len(table.headings)}"]
        lines += [f"| {' | '.join(map(_inline, row))} |" for row in table.rows]
        lines += [""]
    lines += ["## Remarks", "", *(f"* {_inline(remark)}" for remark in remarks(result))]
    return "\n".join(lines) + "\n"


def _inline(text: str) -> str:
    """A text on one line, in which nothing is taken for Markdown or HTML."""
    return re.sub(r"([\\`*_<\[\]|])", r"\\\1", " ".join(text.split()))
