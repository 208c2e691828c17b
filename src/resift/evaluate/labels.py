"""Labelled pairs for a calibration, from all that an evaluation reads."""

from __future__ import annotations

from dataclasses import dataclass

from resift.calibrate.labelled_pairs import LabelledPair
from resift.evaluate.checks import Qrels, refuse_strangers, unique_queries
from resift.evaluate.document_store import DocumentStore
from resift.evaluate.issues import Issue, IssueCode, refuse_unless
from resift.evaluate.read_data import DataFiles, read_parts
from resift.retrieve.bm25 import BM25Retriever
from resift.types import Query


@dataclass(frozen=True, slots=True)
class Labels:
    """Pairs with a grade, in the order of the judgements.

    Attributes:
        name: of the data.
        pairs: of which query and document are known.
        notes: what was left out, counted and named.

    """

    name: str
    pairs: tuple[LabelledPair, ...]
    notes: tuple[str, ...]


def read_labels(source: DataFiles, unjudged: int = 0) -> Labels:
    """Read judged data as pairs; queries without a relevant document are among them, unlike in a `Dataset`.

    Args:
        source: as `read_dataset` takes it; a run does not matter.
        unjudged: so many documents per query that BM25 finds and nobody judged, as pairs of grade 0.

    Raises:
        InputError: a file is missing, unreadable or malformed, nothing is judged, or no judged id is known.

    """
    parts = read_parts(source)
    documents = parts.documents
    refuse_unless(len(documents), f"{parts.name} has no documents; give a corpus with an id and a text on each line")
    refuse_unless(any(parts.qrels.values()), f"{parts.name} has no judgements; give grades of query and document")
    by_id, issues = unique_queries(parts.queries)
    refuse_strangers(parts.qrels, by_id, documents)
    queries = {id_: query for id_, query in by_id.items() if id_ in parts.qrels and query.text.strip()}
    pairs = [
        LabelledPair(query, documents[documents.row(document)], float(grade))
        for id_, grades in parts.qrels.items()
        if (query := queries.get(id_)) is not None
        for document, grade in grades.items()
        if documents.has(document)
    ]
    issues += _left_out(parts.qrels, by_id, documents)
    notes = [f"split {parts.split}", *map(str, issues)] if parts.split else map(str, issues)
    return Labels(parts.name, (*pairs, *_unjudged(list(queries.values()), documents, parts.qrels, unjudged)), (*notes,))


def _left_out(qrels: Qrels, queries: dict[str, Query], documents: DocumentStore) -> list[Issue]:
    unknown = dict.fromkeys(id_ for grades in qrels.values() for id_ in grades if not documents.has(id_))
    strangers = (id_ for id_ in qrels if id_ not in queries)
    others = (id_ for id_ in queries if id_ not in qrels)
    return [
        *Issue.of(IssueCode.UNKNOWN_QUERIES, strangers, "judged queries have no text and were left out"),
        *Issue.of(IssueCode.UNKNOWN_DOCUMENTS, unknown, "judged documents are not among the documents, and left out"),
        *Issue.of(IssueCode.NOT_JUDGED, others, "queries have no judgements here"),
        *Issue.of(
            IssueCode.REPEATED_DOCUMENTS, dict.fromkeys(documents.repeated), "documents came more than once, count once"
        ),
    ]


def _unjudged(queries: list[Query], documents: DocumentStore, qrels: Qrels, count: int) -> list[LabelledPair]:
    """The documents that BM25 puts first and nobody judged, `count` for each query, with grade 0."""
    if not count:
        return []
    most = count + max(map(len, qrels.values()))
    pairs = []
    for ranking in BM25Retriever(documents).retrieve(queries, most):
        others = [c.document for c in ranking if c.document.id not in qrels[ranking.query.id]]
        pairs += [LabelledPair(ranking.query, document, 0.0) for document in others[:count]]
    return pairs
