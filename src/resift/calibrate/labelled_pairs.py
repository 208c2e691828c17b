"""Reads pairs of query and document with a grade: JSONL, CSV, TSV, or a folder in the format of BEIR."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resift import files
from resift.errors import InputError
from resift.types import Candidate, Document, Query

GRADE_FIELDS = ("grade", "label", "relevance", "relevant")
_EXPECTED = 'expected {"query": "…", "document": "…", "grade": 1}, and "query_id" if you have one'
_SHOWN = 3  # lines that a message names


@dataclass(frozen=True, slots=True)
class LabelledPair:
    """A query, a document, and how relevant somebody said that it is."""

    query: Query
    document: Document
    grade: float


def read_pairs(path: Path, split: str = "", unjudged: int = 0) -> list[LabelledPair]:
    """The labelled pairs of a file or folder, in their order.

    Args:
        path: JSONL with query, document (a text, or an object with text, title and id) and grade; CSV or TSV with these
            columns; or a folder with corpus.jsonl, queries.jsonl (gzip too) and qrels/*.tsv.
        split: which file of qrels/; where there is one only, that.
        unjudged: so many documents per query that BM25 finds and nobody judged, as pairs of grade 0. Folders only.

    Raises:
        InputError: a file that is missing or malformed, or grades that are no numbers, counted and named.

    """
    if path.is_dir():
        return _of_folder(path, split, unjudged)
    if split or unjudged:
        raise InputError(f"{path} is a file: it has no splits, and no documents that nobody judged; give a folder")
    table = ".csv" in path.suffixes or ".tsv" in path.suffixes
    rows = _table_rows(path) if table else _json_rows(path)
    pairs, wrong = [], []
    for where, fields in rows:
        name = next((f for f in GRADE_FIELDS if f in fields), "")
        grade = _number(fields.get(name))
        if grade is None:
            wrong.append(f"{where} has {fields[name]!r}" if name else f"{where} has none")
        else:
            pairs.append(LabelledPair(*_texts(fields, where), grade))
    if wrong:
        lines = f"{len(wrong)} line{'s have' if len(wrong) > 1 else ' has'} no number as its grade"
        raise InputError(f"{path}: {lines}: {', '.join(wrong[:_SHOWN])}; {_EXPECTED}")
    if not pairs:
        raise InputError(f"{path} holds no pair; {_EXPECTED}")
    return pairs


def _json_rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number, line in enumerate(files.read_lines(str(path)), 1):
        if not line.strip():
            continue
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}:{number} is not JSON ({error}); {_EXPECTED}") from error
        if not isinstance(fields, dict):
            raise InputError(f"{path}:{number} is no object; {_EXPECTED}")
        yield f"line {number}", fields


def _table_rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Rows as their reader gives them: the columns that are no id, title or text are metadata."""
    for row in files.read_file(path):
        fields = dict(row.metadata)
        yield (
            f"line {fields.get('line', '?')}",
            fields | ({"title": row.title} if row.title else {}) | {"text": row.text},
        )


def _number(value: object) -> float | None:
    """A grade as a number; true is 1 and false 0; None where it is no finite number."""
    if not isinstance(value, (bool, int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _texts(fields: Mapping[str, Any], where: str) -> tuple[Query, Document]:
    question = fields.get("query")
    if not isinstance(question, str) or not question.strip():
        raise InputError(f"{where} has no query; {_EXPECTED}")
    value = fields.get("document", fields.get("text"))
    if value is None:
        raise InputError(f"{where} has no document; {_EXPECTED}")
    document_id = fields.get("document_id")
    document = files.document(value, where if document_id is None else str(document_id))
    query_id = fields.get("query_id")
    return Query(question, question if query_id is None else str(query_id)), document


def _of_folder(folder: Path, split: str, unjudged: int) -> list[LabelledPair]:
    qrels = files.read_qrels(_qrels_file(folder, split))
    documents = {d.id: d for d in files.read_file(_one_of(folder, "corpus.jsonl"))}
    queries = {d.id: Query(d.text, d.id) for d in files.read_file(_one_of(folder, "queries.jsonl")) if d.id in qrels}
    missing = [q for q in qrels if q not in queries] + [d for g in qrels.values() for d in g if d not in documents]
    if missing:
        raise InputError(f"{folder}: {len(missing)} ids of the judgements have no text, such as {missing[0]!r}")
    pairs = [
        LabelledPair(queries[q], documents[d], float(grade))
        for q, grades in qrels.items()
        for d, grade in grades.items()
    ]
    return pairs + (_unjudged(queries, documents, qrels, unjudged) if unjudged else [])


def _unjudged(
    queries: Mapping[str, Query], documents: Mapping[str, Document], qrels: Mapping[str, Mapping[str, int]], count: int
) -> list[LabelledPair]:
    """The documents that BM25 puts first and nobody judged, `count` for each query, with grade 0."""
    from resift.retrieve.bm25 import BM25Retriever

    retriever = BM25Retriever(list(documents.values()))
    most = count + max(map(len, qrels.values()))
    pairs = []
    for ranking in retriever.retrieve(list(queries.values()), most):
        judged = qrels[ranking.query.id]
        others: list[Candidate] = [c for c in ranking if c.document.id not in judged]
        pairs += [LabelledPair(ranking.query, c.document, 0.0) for c in others[:count]]
    return pairs


def _one_of(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.exists():
            return path
    raise InputError(f"{folder} has no {name}; a folder of labels has corpus.jsonl, queries.jsonl and qrels/*.tsv")


def _qrels_file(folder: Path, split: str) -> Path:
    present = sorted((folder / "qrels").glob("*.tsv"))
    names = [path.stem for path in present]
    if not present:
        raise InputError(f"{folder} has no qrels/*.tsv; a folder of labels has corpus.jsonl, queries.jsonl and these")
    if split not in names and (split or len(names) > 1):
        wanted = f"has no qrels {split!r}" if split else "has several qrels"
        raise InputError(f"{folder} {wanted}; choose one: --split {' or '.join(names)}")
    return present[names.index(split)] if split else present[0]
