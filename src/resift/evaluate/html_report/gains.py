"""Figures of gains: intervals as a forest plot, and the queries that became better and worse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from resift.evaluate.html_report.groups import ReportData
from resift.evaluate.html_report.markup import Html, tag
from resift.evaluate.html_report.svg import Plot, Scale, number, scale_of, sign_path

_ROW = 26  # pixels


@dataclass(frozen=True, slots=True)
class _Row:
    """A pipeline's name, its part of a figure, and the numbers of that part."""

    name: str
    strip: Html
    figures: tuple[str, ...]


def forest(data: ReportData) -> Html:
    """The gain of each pipeline with a model, and its interval, on one axis with 0."""
    gains = {m.number: m.summary.gains[data.measure] for m in data.reranking}
    scale = scale_of([0.0, *(end for gain in gains.values() for end in (gain.low, gain.value, gain.high))])
    rows = []
    for member in data.reranking:
        gain, plot = gains[member.number], Plot(scale, Scale(0, 1), _ROW)
        is_sure = gain.low > 0 or gain.high < 0
        sign = tag("svg", {"x": plot.across(gain.value), "y": str(_ROW // 2)}, sign_path(0 if is_sure else 1, is_sure))
        parts = [*_zero(plot), plot.line((gain.low, 0.5), (gain.high, 0.5), "interval"), sign]
        figures = (f"{gain.value:+.4f}", f"{gain.low:+.4f} … {gain.high:+.4f}")
        rows.append(_Row(member.name, _strip(parts), figures))
    return _table(f"Gain in {data.measure}", ("gain", "95 %"), rows, _axis(scale))


def helped_and_hurt(data: ReportData) -> Html:
    """How many queries became better (to the right) and worse (to the left) with each pipeline."""
    most = max(1, *(max(m.summary.helped, m.summary.hurt) for m in data.reranking))
    scale = Scale(-most * 1.05, most * 1.05)
    rows = []
    for member in data.reranking:
        s, plot = member.summary, Plot(scale, Scale(0, 1), _ROW)
        bars = [plot.bar(0, s.helped, 0.2, 0.8, "helped"), plot.bar(-s.hurt, 0, 0.2, 0.8, "hurt")]
        figures = (str(s.hurt), str(s.helped), str(s.unchanged))
        rows.append(_Row(member.name, _strip([*_zero(plot), *bars]), figures))
    ends = [(-most, f"{most} worse"), (0.0, "0"), (most, f"{most} better")]
    return _table("Queries that became worse and better", ("worse", "better", "same"), rows, _labels(scale, ends))


def _zero(plot: Plot) -> list[Html]:
    return [plot.line((0, 0), (0, 1), "zero")]


def _strip(parts: Sequence[Html]) -> Html:
    """One row's figure; it is hidden from screen readers, which read the same numbers beside it."""
    return tag("svg", {"width": "100%", "height": str(_ROW), "aria-hidden": "true"}, *parts)


def _axis(scale: Scale) -> Html:
    return _labels(scale, [(value, number(value)) for value in scale.ticks(4)])


def _labels(scale: Scale, labels: Sequence[tuple[float, str]]) -> Html:
    plot = Plot(scale, Scale(0, 1), 18)
    return tag(
        "svg", {"width": "100%", "height": "18", "aria-hidden": "true"},
        *(plot.text(value, 0, words, (0, 0), "middle") for value, words in labels),
    )  # fmt: skip


def _table(caption: str, columns: Sequence[str], rows: Sequence[_Row], axis: Html) -> Html:
    """Rows of a name, a figure, and the numbers of that figure; roles, since a phone shows them in another layout."""
    head = (
        tag("th", {"scope": "col", "role": "columnheader"}, "pipeline"),
        tag("td", {"role": "cell", "class": "strip"}, axis),
        *(tag("th", {"scope": "col", "role": "columnheader", "class": "n"}, name) for name in columns),
    )
    body = (tag("tr", {"role": "row"}, *_cells(row, columns)) for row in rows)
    return tag(
        "table", {"class": "strips", "role": "table"},
        tag("caption", {}, caption),
        tag("thead", {"role": "rowgroup"}, tag("tr", {"role": "row"}, *head)),
        tag("tbody", {"role": "rowgroup"}, *body),
    )  # fmt: skip


def _cells(row: _Row, columns: Sequence[str]) -> list[Html]:
    names = [tag("th", {"scope": "row", "role": "rowheader"}, row.name)]
    strip = tag("td", {"role": "cell", "class": "strip"}, row.strip)
    figures = zip(columns, row.figures, strict=True)
    return [*names, strip, *(tag("td", {"role": "cell", "class": "n", "data-name": c}, f) for c, f in figures)]
