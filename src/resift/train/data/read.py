"""Data of any shape as an `ExampleSet`, with a sentence that says what was taken for what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

from resift import files
from resift.errors import InputError
from resift.evaluate.document_store import DocumentStore
from resift.train.data.collect import Collector
from resift.train.data.columns import SCORE_NAMES, Columns, detect
from resift.train.data.judged import is_beir, read_judged
from resift.train.data.labels import LabelReader, kind_of
from resift.train.data.rows import RowReader
from resift.train.data.sources import PlacedRow, open_rows
from resift.train.examples import (
    DataIssue,
    Detection,
    ExampleSet,
    LabelKind,
    Labelled,
    Shape,
    TrainingQuery,
)

_SHAPES: Mapping[Shape, str] = {
    Shape.PAIRS: "pairs",
    Shape.LISTS: "queries with lists of documents",
    Shape.TUPLES: "positives with negatives",
    Shape.FLAG_EMBEDDING: "FlagEmbedding's format",
    Shape.CLICKS: "a click log",
}


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What a caller says of data; what is left out is detected.

    Attributes:
        columns: the column of each role that the names don't tell ("query", "document", "label", "positive", …).
        labels: the number of each label that is a word.
        split: of a data set or BEIR folder; "train" where none is named.
        subset: of a data set of the hub.
        sql: a query or a table, where the data are the URL of a database.
        queries, documents, qrels, run: files of queries, documents, judgements and a TREC run; what is None is taken
            from the BEIR folder. Beside a table the documents are searched too, and negatives are mined among them.
        propensity_power: a position p is looked at with the probability p^-power (Joachims, Swaminathan & Schnabel,
            Unbiased Learning-to-Rank with Biased Feedback, 2017); a clicked candidate weighs its inverse.

    """

    columns: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, float] = field(default_factory=dict)
    split: str | None = None
    subset: str | None = None
    sql: str | None = None
    queries: Path | None = None
    documents: Path | None = None
    qrels: Path | None = None
    run: Path | None = None
    propensity_power: float = 1.0


def read_examples(data: str | Path | None, options: ReadOptions | None = None) -> ExampleSet:
    """Read data for training.

    Args:
        data: a file (CSV, TSV, JSON, JSONL, Parquet, Arrow), a folder (BEIR, a data set saved to disk, tables), the URL
            of a database, or a data set of the hub; None where `options` names queries, documents and judgements.
        options: what is not detected.

    Raises:
        InputError: unreadable or malformed data, or columns whose names don't say what they are.
        MissingExtra: the library for this format is not installed.

    """
    options = options or ReadOptions()
    path = None if data is None else Path(data)
    if options.qrels is not None or (path is not None and is_beir(path)):
        _refuse_columns(options)
        return read_judged(path, options.split, options.queries, options.documents, options.qrels, options.run)
    if data is None:
        raise InputError("there is nothing to read: name the data, or judgements with --qrels")
    if options.queries or options.run:
        raise InputError("queries and a run belong to judgements; name these with --qrels, or leave the others out")
    source = open_rows(str(data), options.split, options.subset, options.sql)
    examples = _of_rows(source.rows, source.name, options)
    if options.documents is None:
        return examples
    return replace(examples, corpus=DocumentStore(files.read_file(options.documents)))


def _refuse_columns(options: ReadOptions) -> None:
    """Judgements have no columns to name, and lie in files."""
    values = {"columns": options.columns, "labels": options.labels, "sql": options.sql, "subset": options.subset}
    names = [f"--{name}" for name, value in values.items() if value]
    if names:
        raise InputError(f"{' and '.join(names)} belong to tables, and these data are judgements; leave them out")


def examples_of(
    rows: Iterable[Mapping[str, Any]], name: str = "data", options: ReadOptions | None = None
) -> ExampleSet:
    """Examples of rows in memory, such as a list of mappings or a data set of the library `datasets`.

    Raises:
        InputError: as `read_examples` says.

    """
    placed = ((f"{name}, row {number}", row) for number, row in enumerate(rows, 1))
    return _of_rows(placed, name, options or ReadOptions())


def _of_rows(rows: Iterable[PlacedRow], name: str, options: ReadOptions) -> ExampleSet:
    placed = list(rows)  # a later row may have a column that the first ones lack, and their order must not matter
    if not placed:
        raise InputError(f"{name} has no rows; give at least one query with a document")
    columns = detect(list(dict.fromkeys(chain.from_iterable(row for _, row in placed))), options.columns, name)
    labels = LabelReader(options.labels)
    reader = RowReader(columns, labels, options.propensity_power)
    collector = Collector(clicks=columns.shape is Shape.CLICKS)
    for where, row in placed:
        collector.add(reader.pairs(row, where))
    queries, issues = collector.finished()
    if not queries:
        reasons = "; ".join(issue.message for issue in issues)
        raise InputError(f"{name} has no query with a candidate: {reasons}")
    settled, columns = _settled(queries, columns, options.columns)
    issues = (*issues, *_reader_issues(reader))
    queries, sign_issues = _without_signs(settled)
    kind = kind_of(c.label for q in queries for c in q.candidates if c.label is not None)
    detection = _detection(name, columns, kind, len(placed), queries)
    return ExampleSet(name, queries, detection, (*issues, *sign_issues))


def _settled(
    queries: Sequence[TrainingQuery], columns: Columns, overrides: Mapping[str, str]
) -> tuple[Sequence[TrainingQuery], Columns]:
    """A column "score" holds labels where all are whole numbers from 0, else the scores of a teacher."""
    name = columns.of.get("label", "")
    if columns.shape not in (Shape.PAIRS, Shape.LISTS) or "label" in overrides or name.lower() not in SCORE_NAMES:
        return queries, columns
    values = {c.label for q in queries for c in q.candidates if c.label is not None}
    if all(value.is_integer() and value >= 0 for value in values):
        return queries, columns
    moved = [
        replace(q, candidates=tuple(Labelled(c.document, None, c.label, c.weight) for c in q.candidates))
        for q in queries
    ]
    roles = {("teacher" if role == "label" else role): column for role, column in columns.of.items()}
    return moved, replace(columns, of=roles)


def _without_signs(queries: Sequence[TrainingQuery]) -> tuple[tuple[TrainingQuery, ...], tuple[DataIssue, ...]]:
    """Labels of -1 and 1 as 0 and 1, as many classifiers have them."""
    values = {c.label for q in queries for c in q.candidates}
    if -1.0 not in values or not values <= {-1.0, 1.0, None}:
        return tuple(queries), ()
    changed = tuple(
        replace(q, candidates=tuple(replace(c, label=0.0 if c.label == -1 else c.label) for c in q.candidates))
        for q in queries
    )
    count = sum(c.label == -1 for q in queries for c in q.candidates)
    return changed, (DataIssue("signed_labels", count, f"{count} labels are -1, and are read as 0"),)


def _reader_issues(reader: RowReader) -> list[DataIssue]:
    issues = []
    if reader.labels.texts:
        count = sum(reader.labels.texts.values())
        issues.append(DataIssue("text_labels", count, f"{count} labels are words: {reader.labels.described()}"))
    if reader.margins:
        issues.append(
            DataIssue("margins", reader.margins, f"{reader.margins} rows have margins of a teacher instead of scores: "
                      "the positive has 0, a negative minus its margin, so only a loss of margins fits")
        )  # fmt: skip
    if reader.clipped:
        issues.append(DataIssue("clipped_clicks", reader.clipped, f"{reader.clipped} clicks far down weigh 100 each"))
    return issues


def _detection(name: str, columns: Columns, kind: LabelKind, rows: int, queries: Sequence[TrainingQuery]) -> Detection:
    named = columns.named()
    candidates = sum(len(q.candidates) for q in queries)
    roles = ", ".join(f"{role} = {column!r}" for role, column in named.items())
    unused = f", not used: {', '.join(map(repr, columns.unused))}" if columns.unused else ""
    what = "without labels" if kind is LabelKind.NONE else f"with {kind} labels"
    sentence = (
        f"{name} was read as {_SHAPES[columns.shape]} {what} ({roles}{unused}): {rows:,} rows, "
        f"{len(queries):,} queries, {candidates:,} candidates; if that is wrong, say --columns ROLE=COLUMN,…"
    )
    return Detection(columns.shape, named, kind, rows, sentence)
