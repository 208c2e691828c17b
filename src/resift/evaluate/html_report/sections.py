"""The sections of a page, each with a sentence on how to read it."""

from __future__ import annotations

from collections.abc import Sequence

from resift.evaluate.figures import label, remarks, tables
from resift.evaluate.html_report.gains import forest, helped_and_hurt
from resift.evaluate.html_report.groups import ReportData
from resift.evaluate.html_report.markup import Html, lone, table, tag
from resift.evaluate.html_report.query_table import how_to_read, query_table
from resift.evaluate.html_report.score_figures import score_figures
from resift.evaluate.html_report.trade_off import depth_curves, quality_and_time

_TITLES = {
    "time": "Quality and time", "gains": "Gains", "depth": "Depth", "scores": "Scores", "measures": "All figures",
    "per-query": "Queries", "data": "Data", "machine": "Machine and models",
}  # fmt: skip


def sections(data: ReportData, room: int) -> list[Html]:
    """The contents and all that they lead to; the queries take what the others leave of `room` bytes."""
    parts = {
        "time": _time(data),
        "gains": _gains(data),
        "depth": _depth(data),
        "scores": _scores(data),
        "measures": _tables(data),
        "data": _data(data),
        "machine": _machine(data),
    }
    size = sum(len(part.encode("utf-8", "replace")) for section in parts.values() for part in section)
    parts["per-query"] = _queries(data, room - size)
    links = (tag("li", {}, tag("a", {"href": f"#{name}"}, title)) for name, title in _TITLES.items())
    contents = tag("nav", {"aria-label": "Contents"}, tag("ul", {}, *links))
    named = (tag("section", {"id": name}, tag("h2", {}, title), *parts[name]) for name, title in _TITLES.items())
    return [contents, *named]


def _reading(words: str) -> Html:
    """How to read what follows."""
    return tag("p", {"class": "reading"}, words)


def _plain(words: str) -> Html:
    return tag("p", {}, words)


def _time(data: ReportData) -> list[Html]:
    words = (
        "Further up is better and further left is faster: take a pipeline on the front, since each of the others "
        "is beaten by one that is at least as fast and at least as good."
    )
    return [_reading(words), quality_and_time(data)]


def _gains(data: ReportData) -> list[Html]:
    if not data.reranking:
        return [_plain("No pipeline here has a model, so there is nothing to gain.")]
    gains = (
        "Each line is the 95 % interval of what a pipeline adds to its first stage, and one that crosses 0 (hollow "
        "sign) may be chance."
    )
    harm = (
        "A mean hides harm: bars to the left are queries that became worse, bars to the right those that became better."
    )
    return [_reading(gains), forest(data), _reading(harm), helped_and_hurt(data)]


def _depth(data: ReportData) -> list[Html]:
    if not (figures := depth_curves(data)):
        return [_plain("Each model looks at one depth only; `resift evaluate --depths 10,30,100` compares several.")]
    words = (
        "Where a curve is flat, more candidates cost time and bring nothing; no curve can rise above the best possible."
    )
    return [_reading(words), *figures]


def _scores(data: ReportData) -> list[Html]:
    if not data.reranking:
        return [_plain("No pipeline here has a model, so there are no scores.")]
    if not (figures := score_figures(data)):
        return [_plain("There are no scores of models in this evaluation; evaluate again to see them.")]
    words = (
        "The less the two sides overlap, the better a score tells relevant documents from others, and the curve "
        "says how many of the documents with such a score are relevant; what nobody judged counts as not relevant, "
        "so that the truth lies higher."
    )
    return [_reading(words), *figures]


def _tables(data: ReportData) -> list[Html]:
    numbers = {label(m.run.pipeline): str(m.number) for m in data.members}
    words = (
        "The first measure is the one that is compared, 95 % is the interval of the figure before it, and the best "
        "possible is what no reranker of these candidates exceeds."
    )
    every = tables(data.evaluation)
    shown = (table(t.title, ("#", *t.headings), _numbered(t.rows, numbers), texts=1 + t.names) for t in every)
    return [_reading(words), *shown]


def _numbered(rows: Sequence[Sequence[str]], numbers: dict[str, str]) -> list[tuple[str, ...]]:
    """Rows with their pipeline's number in front; a row of one stage has none."""
    return [(numbers.get(row[0], ""), *row) for row in rows]


def _queries(data: ReportData, room: int) -> list[Html]:
    shown = query_table(data, room)
    printed = tag("p", {"class": "printed"}, "Printed are the first 50 rows, as the page has sorted and filtered them.")
    notes = (tag("p", {"class": "note"}, note) for note in shown.notes)
    return [_reading(how_to_read(data)), *notes, _filter(data), printed, shown.markup]


def _filter(data: ReportData) -> Html:
    """What narrows the table down; it is hidden without a script, which it needs."""
    words = tag("label", {}, "Find ", lone("input", {"type": "search", "name": "words", "autocomplete": "off"}))
    options = (tag("option", {}, name) for name in ("all", "worse", "better", "same"))
    change = [tag("label", {}, "Show ", tag("select", {"name": "change"}, *options))] if data.chosen.run.reranks else []
    return tag("form", {"id": "filter", "hidden": ""}, words, *change, tag("output", {"aria-live": "polite"}))


def _data(data: ReportData) -> list[Html]:
    facts = data.evaluation.data
    words = "What was left out, or should make you wary, is counted here; the page on evaluations says what each means."
    rows = [(str(i.code), str(i.count), i.message, ", ".join(i.examples)) for i in facts.issues]
    headings = ("issue", "count", "what", "for example")
    issues = table("Issues of the data", headings, rows, 1, "words") if rows else _plain("Nothing was left out.")
    others = tag("ul", {}, *(tag("li", {}, remark) for remark in remarks(data.evaluation)[len(rows) :]))
    return [_reading(words), issues, tag("h3", {}, "Remarks"), others, _plain(f"Fingerprint: {facts.fingerprint}")]


def _machine(data: ReportData) -> list[Html]:
    evaluation = data.evaluation
    words = (
        "Times are those of this machine and these versions; on another one they differ, and scores of a low "
        "precision may differ in their last digits."
    )
    parts = [_reading(words)]
    machine = {name: value for name, value in evaluation.machine.items() if name != "versions"}
    rows = [(name, _fact(value)) for name, value in [*machine.items(), *evaluation.machine.get("versions", {}).items()]]
    if rows:
        parts.append(table("Machine and versions", ("what", "value"), rows, 1, "words"))
    if evaluation.models:
        names = [n for n in dict.fromkeys(n for facts in evaluation.models.values() for n in facts) if n != "name"]
        models = [(model, *(_fact(facts.get(n, "")) for n in names)) for model, facts in evaluation.models.items()]
        parts.append(table("Models", ("model", *names), models, 1, "words"))
    return parts


def _fact(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
