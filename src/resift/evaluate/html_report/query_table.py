"""The table of queries: before and after, and the documents of each one, as far as the page has room."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from resift.evaluate.evaluation import NO_DOCUMENT, PipelineRun
from resift.evaluate.html_report.groups import ReportData
from resift.evaluate.html_report.markup import Html, joined, tag
from resift.evaluate.shown_documents import SHOWN_DOCUMENTS, SHOWN_RELEVANT, by_change, shown_documents

_QUERY, _DOCUMENT = 300, 200  # characters


@dataclass(frozen=True, slots=True)
class QueryTable:
    """The table and what it leaves out."""

    markup: Html
    notes: tuple[str, ...]


def query_table(data: ReportData, room: int) -> QueryTable:
    """Queries as rows, the worst changes first; those that changed most get their documents while there is room.

    Args:
        data: of the report.
        room: bytes that all rows may take; half of it at most is for what is seen of closed rows.

    """
    evaluation, run = data.evaluation, data.chosen.run
    order = by_change(evaluation, run)
    rows: dict[int, Html] = {}
    size = 0
    for query in order:
        row = _row(data, query, joined([]))
        if size + _bytes(row) > room // 2:
            break
        rows[query], size = row, size + _bytes(row)
    opened = 0
    for query in rows:
        row = _row(data, query, _documents(data, query))
        if size + _bytes(row) - _bytes(rows[query]) > room:
            break
        size, rows[query], opened = size + _bytes(row) - _bytes(rows[query]), row, opened + 1
    gain = evaluation.gain(run, data.measure)
    worst_first = sorted(rows, key=lambda i: (float(gain[i]), i))
    return QueryTable(_table(data, [rows[i] for i in worst_first]), tuple(_notes(data, len(rows), opened)))


def _bytes(row: Html) -> int:
    return len(row.encode("utf-8", "replace"))


def _notes(data: ReportData, rows: int, opened: int) -> list[str]:
    queries = data.evaluation.queries
    notes = []
    if rows < len(queries):
        notes.append(f"Shown are the {rows} of {len(queries)} queries that changed most; the JSON has all.")
    if opened < rows:
        notes.append(f"The {opened} of {rows} queries that changed most have their documents here; the JSON has all.")
    if long := sum(len(query.text) > _QUERY for query in queries):
        notes.append(f"{long} queries are longer than {_QUERY} characters and are cut here.")
    return notes


def _table(data: ReportData, rows: list[Html]) -> Html:
    measure = data.measure
    titles = ("query", "before", "after", "change") if data.chosen.run.reranks else ("query", measure)
    sorting = {"aria-sort": "ascending"} if data.chosen.run.reranks else {}
    head = [
        tag("th", {"scope": "col"} | ({} if i == 0 else {"class": "n"}) | (sorting if title == "change" else {}), title)
        for i, title in enumerate(titles)
    ]
    caption = f"{measure} of each query before and after {data.chosen.name}"
    parts = (tag("caption", {}, caption), tag("thead", {}, tag("tr", {}, *head)), tag("tbody", {}, *rows))
    return tag("div", {"class": "queries"}, tag("table", {"class": "sortable", "id": "queries"}, *parts))


def _row(data: ReportData, query: int, documents: Html) -> Html:
    """One query; where it has documents, its name opens them."""
    evaluation, run, measure = data.evaluation, data.chosen.run, data.measure
    asked = evaluation.queries[query]
    words = tag("bdi", {}, _cut(" ".join(asked.text.split()), _QUERY))
    label = (words, " ", tag("small", {}, asked.id))
    title = tag("details", {}, tag("summary", {}, *label), documents) if documents else joined(label)
    after = float(run.values[measure][query])
    if not run.reranks:
        return tag("tr", {}, tag("th", {"scope": "row"}, title), _number(f"{after:.4f}"))
    before = float(evaluation.run(run.baseline).values[measure][query])
    sign = "up" if after - before > 1e-9 else "down" if after - before < -1e-9 else ""
    change = tag("td", {"class": f"n {sign}".strip()}, f"{after - before:+.4f}" if sign else "0.0000")
    return tag("tr", {}, tag("th", {"scope": "row"}, title), _number(f"{before:.4f}"), _number(f"{after:.4f}"), change)


def _number(text: str) -> Html:
    return tag("td", {"class": "n"}, text)


def _documents(data: ReportData, query: int) -> Html:
    """The first documents after and before and the relevant ones, with grades and ranks, and the other pipelines."""
    evaluation, run = data.evaluation, data.chosen.run
    after, before = _ranks(run, query), _ranks(evaluation.run(run.baseline), query)
    grades = evaluation.grades[query]
    titles = ("before", "after", "grade", "document") if run.reranks else ("rank", "grade", "document")
    rows = []
    for position in shown_documents(evaluation, run, query):
        ranks = (before, after) if run.reranks else (after,)
        grade = str(grades[position]) if position in grades else "?"
        cells = (*(tag("td", {}, _rank(of.get(position))) for of in ranks), tag("td", {}, grade))
        is_relevant = grades.get(position, 0) > 0
        rows.append(tag("tr", {"class": "rel"} if is_relevant else {}, *cells, tag("td", {}, *_text(data, position))))
    table = tag("table", {}, tag("tr", {}, *(tag("th", {"scope": "col"}, title) for title in titles)), *rows)
    return tag("div", {"class": "docs"}, table, tag("p", {}, _figures(data, query)))


def _ranks(run: PipelineRun, query: int) -> Mapping[int, int]:
    return {int(d): rank for rank, d in enumerate(run.rankings[query], 1) if d != NO_DOCUMENT}


def _rank(rank: int | None) -> str:
    return "–" if rank is None else str(rank)


def _text(data: ReportData, position: int) -> tuple[str, ...]:
    evaluation = data.evaluation
    if position >= len(evaluation.documents):
        return ("a judged document that the data do not have",)
    id_ = evaluation.documents[position]
    beginning = _cut(evaluation.texts.get(id_, ""), _DOCUMENT)
    return (tag("small", {}, id_), " ", tag("bdi", {}, beginning)) if beginning else (tag("small", {}, id_),)


def _cut(text: str, length: int) -> str:
    """A text of at most so many characters; a longer one ends with an ellipsis, between words where it has any."""
    if len(text) <= length:
        return text
    return f"{text[:length].rsplit(' ', 1)[0]} …"


def _figures(data: ReportData, query: int) -> str:
    """The measure with every pipeline by number, and the best possible."""
    values = ", ".join(f"{m.number}: {float(m.run.values[data.measure][query]):.3f}" for m in data.members)
    best = float(data.chosen.run.oracle[query])
    return f"{data.measure} by pipeline {values}; best possible within the depth {best:.3f}"


def how_to_read(data: ReportData) -> str:
    """One sentence on the table."""
    deepest = int(np.max([run.rankings.shape[1] for run in data.evaluation.pipelines]))
    return (
        f"Open a query to see its first {SHOWN_DOCUMENTS} documents before and after, and up to {SHOWN_RELEVANT} "
        "relevant ones wherever they stand: a bar at the left marks relevant documents, ? is a document that nobody "
        f"judged, – one that is not among the first {deepest}."
    )
