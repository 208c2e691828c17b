"""The report of a training as one HTML page that needs nothing from elsewhere: tables, and curves of dependence."""

from __future__ import annotations

from importlib.resources import files

from resift.evaluate.html_report.markup import Html, lone, table, tag
from resift.evaluate.html_report.svg import Plot, key, line_sample, number, scale_of
from resift.train.ltr.dependence import Dependence
from resift.train.ltr.outputs import tables
from resift.train.ltr.train import TrainedLtr

_WIDEST = 1000  # characters of a name: the page breaks lines by itself
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def as_html(trained: TrainedLtr, name: str) -> str:
    """The page; the same training gives the same text."""
    verdict = tag("p", {"class": "verdict"}, trained.report.verdict)
    body = tag(
        "body", {},
        tag("header", {}, tag("h1", {}, f"Learned order {name}"), verdict),
        tag("main", {}, *_sections(trained)),
    )  # fmt: skip
    return f"<!DOCTYPE html>\n{tag('html', {'lang': 'en'}, _head(name), body)}\n"


def _head(name: str) -> Html:
    style = Html((files("resift.evaluate.html_report") / "report.css").read_text(encoding="utf-8"))
    return tag(
        "head", {},
        lone("meta", {"charset": "utf-8"}),
        lone("meta", {"http-equiv": "Content-Security-Policy", "content": _POLICY}),
        lone("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        lone("meta", {"name": "color-scheme", "content": "light dark"}),
        lone("link", {"rel": "icon", "href": "data:,"}),
        tag("title", {}, f"Learned order {name}"),
        tag("style", {}, style),
    )  # fmt: skip


def _sections(trained: TrainedLtr) -> list[Html]:
    sections = []
    for t in tables(trained, len(trained.report.groups), _WIDEST):
        heading, _, caption = t.title.partition(": ")
        sections.append(tag("section", {}, tag("h2", {}, heading), table(caption, t.headings, t.rows, classes="")))
    curves = [_curve(i, dependence) for i, dependence in enumerate(trained.dependences) if len(dependence.points) > 1]
    if curves:
        words = (
            "The mean score of 500 training rows, at each value of one feature, the others as they are (partial "
            "dependence). Features that move together can mislead here."
        )
        sections.append(
            tag(
                "section",
                {},
                tag("h2", {}, "How the score follows a feature"),
                tag("p", {"class": "reading"}, words),
                *curves,
            )
        )
    if trained.issues:
        items = (tag("li", {}, issue) for issue in trained.issues)
        sections.append(tag("section", {}, tag("h2", {}, "What was left out or odd"), tag("ul", {}, *items)))
    return sections


def _curve(i: int, dependence: Dependence) -> Html:
    points = list(dependence.points)
    scores = [y for _, y in points] + ([] if dependence.missing is None else [dependence.missing])
    plot = Plot(scale_of((x for x, _ in points), 0.02), scale_of(scores), 200)
    parts = plot.axes(dependence.feature, "score")
    parts += plot.lines(points, "curve c0")
    samples = []
    if dependence.missing is not None:
        parts.append(plot.line((plot.x.low, dependence.missing), (plot.x.high, dependence.missing), "zero"))
        samples.append((line_sample("zero"), "where it is missing"))
    low, high = points[0], points[-1]
    words = f"from {number(low[1])} at {number(low[0])} to {number(high[1])} at {number(high[0])}"
    drawn = plot.figure(f"dependence{i}", dependence.feature, words, parts)
    return tag("div", {}, tag("h3", {}, dependence.feature), drawn, *([key(samples)] if samples else []))
