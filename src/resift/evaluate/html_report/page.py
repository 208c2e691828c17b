"""Puts the page together: head, verdict, sections, style and script."""

from __future__ import annotations

from importlib.resources import files

from resift.errors import InputError
from resift.evaluate.evaluation import Evaluation
from resift.evaluate.figures import heading, label
from resift.evaluate.html_report.groups import ReportData, report_data
from resift.evaluate.html_report.markup import Html, lone, tag
from resift.evaluate.html_report.sections import sections

# A page that loads nothing and sends nothing, whatever is in the texts.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"

_ROOM = 4_900_000  # bytes of all sections


def as_html(evaluation: Evaluation, pipeline: str | None = None) -> str:
    """An evaluation as one HTML page that needs nothing from elsewhere; the same evaluation gives the same text.

    The page stays below 5 MB: where there is no room for all queries or their documents, those whose measure changed
    most are shown, and the page says so.

    Args:
        evaluation: with at least one pipeline and one query.
        pipeline: whose queries are set side by side with those of its first stage, as the tables have its name; None:
            the best with a model.

    Raises:
        InputError: no pipeline, no query, or none of that name.

    """
    if not evaluation.pipelines or not evaluation.queries:
        raise InputError("the evaluation has no pipeline or no query, so there is nothing to report; evaluate again")
    names = [label(run.pipeline) for run in evaluation.pipelines]
    if pipeline is not None and pipeline not in names:
        raise InputError(f"the evaluation has no pipeline {pipeline!r}; it has: {'; '.join(names)}")
    chosen = None if pipeline is None else evaluation.pipelines[names.index(pipeline)].pipeline
    data = report_data(evaluation, chosen)
    body = (_header(data), tag("main", {}, *sections(data, _ROOM)), tag("script", {}, _source("report.js")))
    html = tag("html", {"lang": "en"}, _head(evaluation.data.name), tag("body", {}, *body))
    return f"<!DOCTYPE html>\n{html}\n"


def _source(name: str) -> Html:
    return Html((files("resift.evaluate.html_report") / name).read_text(encoding="utf-8"))


def _head(name: str) -> Html:
    return tag(
        "head", {},
        lone("meta", {"charset": "utf-8"}),
        lone("meta", {"http-equiv": "Content-Security-Policy", "content": _POLICY}),
        lone("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        lone("meta", {"name": "color-scheme", "content": "light dark"}),
        lone("link", {"rel": "icon", "href": "data:,"}),
        tag("title", {}, f"Evaluation of {name}"),
        tag("style", {}, _source("report.css")),
    )  # fmt: skip


def _header(data: ReportData) -> Html:
    return tag(
        "header", {},
        tag("h1", {}, f"Evaluation of {data.evaluation.data.name}"),
        tag("p", {}, heading(data.evaluation)),
        tag("p", {"class": "verdict"}, _verdict(data)),
    )  # fmt: skip


def _verdict(data: ReportData) -> str:
    """What the best pipeline is worth, in one or two sentences."""
    chosen, measure = data.chosen, data.measure
    value = chosen.summary.measures[measure]
    if not chosen.run.reranks:
        return f"No pipeline here has a model; {chosen.name} reaches {measure} {value.value:.4f}."
    s, gain, first = chosen.summary, chosen.summary.gains[measure], data.first_stage(chosen)
    is_sure = gain.low > 0 or gain.high < 0
    sure = "the interval is clear of 0" if is_sure else "this may be chance, since the interval holds 0"
    return (
        f"{chosen.name} reaches {measure} {value.value:.4f}, which is {gain.value:+.4f} against {first.name} (95 % "
        f"{gain.low:+.4f} … {gain.high:+.4f}: {sure}). {s.helped} queries became better, {s.hurt} worse, {s.unchanged} "
        f"stayed the same. A query takes {s.ms_p50:.1f} ms instead of {first.summary.ms_p50:.1f} ms (median)."
    )
