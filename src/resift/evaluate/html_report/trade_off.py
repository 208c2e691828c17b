"""Figures of quality: against time with the Pareto front, and against depth with its bounds."""

from __future__ import annotations

from collections.abc import Sequence

from resift.evaluate.html_report.groups import Member, ReportData
from resift.evaluate.html_report.markup import Html, joined, tag
from resift.evaluate.html_report.svg import Plot, key, line_sample, logarithmic, scale_of, sign_sample

_LEAST_MS = 0.1  # a logarithmic axis has no 0
_WIDTH = 300  # pixels of a plot on a phone, for which labels are placed
_PLACES = ((9, 4), (-9, 4), (0, -10), (0, 19), (9, -7), (-9, -7), (9, 15), (-9, 15))


def pareto_front(members: Sequence[Member], measure: str) -> list[Member]:
    """The pipelines that no other one beats: each is better than all that are as fast, by rising time."""
    front: list[Member] = []
    for member in sorted(members, key=lambda m: (m.summary.ms_p50, -m.summary.measures[measure].value, m.number)):
        if not front or member.summary.measures[measure].value > front[-1].summary.measures[measure].value:
            front.append(member)
    return front


def quality_and_time(data: ReportData) -> Html:
    """Each pipeline as a point, and the front of those that no other one beats."""
    measure = data.measure
    points = {m.number: (m.summary.ms_p50, m.summary.measures[measure].value) for m in data.members}
    front = pareto_front(data.members, measure)
    on_front = {m.number for m in front}
    plot = Plot(logarithmic((ms for ms, _ in points.values()), _LEAST_MS), scale_of(v for _, v in points.values()))
    parts = plot.axes("milliseconds per query, median (logarithmic)", measure)
    for one, other in zip(front, front[1:], strict=False):
        (x1, y1), (x2, y2) = points[one.number], points[other.number]
        parts += plot.lines([(x1, y1), (x2, y1), (x2, y2)], "front")
    placed: list[tuple[float, float]] = [_pixels(plot, *point) for point in points.values()]
    for member in data.members:
        x, y = points[member.number]
        note = f"{_told(member, measure)}, {x:.1f} ms"
        parts.append(plot.sign(x, y, member.group, member.number in on_front, note))
    for member in data.members:
        parts.append(_numbered(plot, member, points[member.number], placed))
    names = "; ".join(member.name for member in front)
    description = f"{len(points)} pipelines; on the front, from the fastest to the best: {names}."
    entries = [(sign_sample(i), name) for i, name in enumerate(data.groups)]
    entries += [(line_sample("front"), "the front; full signs are on it, hollow ones are not")]
    items = (tag("li", {}, f"{_told(m, measure)}, {m.summary.ms_p50:.1f} ms") for m in front)
    listed = (tag("p", {}, "On the front, from the fastest to the best:"), tag("ul", {}, *items))
    return joined([plot.figure("trade-off", f"{measure} against time", description, parts), key(entries), *listed])


def _told(member: Member, measure: str) -> str:
    return f"{member.name}: {measure} {member.summary.measures[measure].value:.4f}"


def _pixels(plot: Plot, x: float, y: float) -> tuple[float, float]:
    return plot.x.at(x) * _WIDTH, plot.height * (1 - plot.y.at(y))


def _numbered(plot: Plot, member: Member, point: tuple[float, float], placed: list[tuple[float, float]]) -> Html:
    """A pipeline's number beside its point, where it hides the least of what is there already."""
    x, y = _pixels(plot, *point)

    def crowd(place: tuple[int, int]) -> int:
        at_x, at_y = x + place[0] * 1.4, y + place[1] - 4
        return sum(abs(at_x - px) < 13 and abs(at_y - py) < 11 for px, py in placed)

    right, down = min(_PLACES, key=crowd)
    placed.append((x + right * 1.4, y + down - 4))
    anchor = "start" if right > 0 else "end" if right < 0 else "middle"
    return plot.text(*point, str(member.number), (right, down), anchor)


def depth_curves(data: ReportData) -> list[Html]:
    """One figure per first stage that is reranked to several depths: quality, the best possible, the recall bound."""
    figures: list[Html] = []
    for first_stage in (m for m in data.members if not m.run.reranks):
        members = [m for m in data.reranking if m.run.baseline == first_stage.run.pipeline]
        if len({m.run.depth for m in members}) > 1:
            figures.append(_depth_curve(data, first_stage, members, len(figures)))
    return figures


def _depth_curve(data: ReportData, first_stage: Member, members: list[Member], place: int) -> Html:
    measure = data.measure
    start = first_stage.summary.measures[measure].value
    bounds = {m.run.depth: (m.summary.oracle, m.summary.recall_bound) for m in members}
    values = [v for bound in bounds.values() for v in bound] + [m.summary.measures[measure].value for m in members]
    plot = Plot(logarithmic(bounds, 1), scale_of([*values, start]))
    parts = plot.axes("candidates that the model looks at (logarithmic)", measure)
    parts.append(plot.line((plot.x.low, start), (plot.x.high, start), "first-stage"))
    for which, classes in enumerate(("oracle", "bound")):
        parts += plot.lines([(depth, bounds[depth][which]) for depth in sorted(bounds)], classes)
    entries = []
    for group in dict.fromkeys(m.group for m in members):
        curve = sorted((m for m in members if m.group == group), key=lambda m: m.run.depth)
        points = [(float(m.run.depth), m.summary.measures[measure].value) for m in curve]
        parts += plot.lines(points, f"curve l{group % 8}")
        for member, (x, y) in zip(curve, points, strict=True):
            parts.append(plot.sign(x, y, group, note=_told(member, measure)))
        entries.append((sign_sample(group, line=f"curve l{group % 8}"), data.groups[group]))
    entries += [
        (line_sample("oracle"), f"best possible {measure}: the candidates in the best order"),
        (line_sample("bound"), "recall bound: share of the relevant documents that are among the candidates"),
        (line_sample("first-stage"), f"{first_stage.name}, not reranked"),
    ]
    title = f"{measure} by depth, behind {first_stage.name}"
    told = "; ".join(f"{_told(m, measure)}, best possible {m.summary.oracle:.4f}" for m in members)
    heading = tag("h3", {}, f"behind {first_stage.name}")
    return joined([heading, plot.figure(f"depth{place}", title, f"{told}.", parts), key(entries)])
