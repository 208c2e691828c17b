"""Pairs become queries with candidates: by query id or text, whatever their order; what is wrong is counted."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256

from resift.errors import InputError
from resift.train.data.rows import Pair
from resift.train.examples import DataIssue, Labelled, TrainingQuery
from resift.types import Document, Query

_QUOTED = 60  # characters of a text in a message


@dataclass(slots=True)
class _Candidate:
    """What the rows say of one document of one query."""

    document: Document
    labels: set[float] = field(default_factory=set)
    teachers: set[float] = field(default_factory=set)
    weights: list[float] = field(default_factory=list)
    assumed: bool = True
    rows: int = 0


class Collector:
    """Groups pairs by query.

    Args:
        clicks: the pairs are impressions of a click log, in which a pair comes often, with a click or without.

    """

    def __init__(self, clicks: bool = False) -> None:
        self._clicks = clicks
        self._queries: dict[tuple[str, str], Query] = {}
        self._candidates: dict[tuple[str, str], dict[tuple[str, str], _Candidate]] = {}
        self._texts: dict[str, tuple[str, str]] = {}  # of documents by id
        self._left_out: dict[str, list[str]] = {"empty_queries": [], "empty_documents": []}

    def add(self, pairs: Iterable[Pair]) -> None:
        """Take pairs in.

        Raises:
            InputError: two texts of one query id, or of one document id.

        """
        for pair in pairs:
            text = pair.query.strip()
            if not text:
                self._left_out["empty_queries"].append(pair.where)
            elif not (pair.document.text.strip() or pair.document.title.strip()):
                self._left_out["empty_documents"].append(pair.where)
            else:
                self._add(pair, text)

    def _add(self, pair: Pair, text: str) -> None:
        key = (pair.query_id or text_id("q", text), pair.prompt)
        query = self._queries.setdefault(key, Query(text, key[0]))
        if query.text != text:
            raise InputError(
                f"{pair.where}: the query id {key[0]!r} has two texts, here {_quoted(text)}; use one id each"
            )
        document = _with_id(pair.document)
        content = (document.title, document.text)
        if self._texts.setdefault(document.id, content) != content:
            raise InputError(
                f"{pair.where}: the document id {document.id!r} has two texts, here {_quoted(document.text)}; "
                "use one id each"
            )
        candidates = self._candidates.setdefault(key, {})
        candidate = candidates.setdefault(content, _Candidate(document))
        if document.id < candidate.document.id:  # one text under two ids: not the one that comes first in a file
            candidate.document = document
        candidate.rows += 1
        if pair.label is not None:
            candidate.labels.add(pair.label)
            candidate.assumed = candidate.assumed and pair.assumed
        if pair.teacher is not None:
            candidate.teachers.add(pair.teacher)
        if not self._clicks or pair.label:
            candidate.weights.append(pair.weight)

    def finished(self) -> tuple[tuple[TrainingQuery, ...], tuple[DataIssue, ...]]:
        """The queries, ordered by a hash of their texts, and what is wrong with the data."""
        faults: dict[str, list[str]] = {code: places for code, places in self._left_out.items() if places}
        unit = self._mean_click_weight()
        queries = []
        for key, query in self._queries.items():
            candidates = []
            for candidate in self._candidates[key].values():
                labelled = self._labelled(candidate, unit, query, faults)
                if labelled is not None:
                    candidates.append(labelled)
            if candidates:
                candidates.sort(key=lambda c: content_hash(c.document.title, c.document.text))
                queries.append(TrainingQuery(query, tuple(candidates), key[1]))
            else:
                faults.setdefault("queries_without_candidates", []).append(_quoted(query.text))
        queries.sort(key=lambda q: (content_hash(q.query.text, q.prompt), q.query.id))
        return tuple(queries), tuple(_issue(code, places) for code, places in sorted(faults.items()))

    def _mean_click_weight(self) -> float:
        weights = [w for of_query in self._candidates.values() for c in of_query.values() for w in c.weights]
        return math.fsum(weights) / len(weights) if self._clicks and weights else 1.0

    def _labelled(
        self, candidate: _Candidate, unit: float, query: Query, faults: dict[str, list[str]]
    ) -> Labelled | None:
        """A candidate with its one label; None, and a fault, where the data don't give it one."""
        place = f"{_quoted(query.text)} and {_quoted(candidate.document.text or candidate.document.title)}"
        teacher = None
        if candidate.teachers:
            teacher = math.fsum(candidate.teachers) / len(candidate.teachers)
            if len(candidate.teachers) > 1:
                faults.setdefault("several_teacher_scores", []).append(place)
        if self._clicks:
            weight = math.fsum(candidate.weights) / unit if candidate.weights else 1.0
            return Labelled(candidate.document, max(candidate.labels), teacher, weight)
        if candidate.rows > 1 and not candidate.assumed:
            faults.setdefault("repeated_pairs", []).append(place)
        if len(candidate.labels) > 1:
            code = "positive_and_negative" if candidate.assumed else "contradictory_labels"
            faults.setdefault(code, []).append(place)
            if not candidate.assumed:
                return None
        if not candidate.labels and teacher is None:
            faults.setdefault("no_label", []).append(place)
            return None
        return Labelled(candidate.document, max(candidate.labels, default=None), teacher, max(candidate.weights))


_MESSAGES = {
    "contradictory_labels": "pairs have two labels, and are left out",
    "empty_documents": "rows have a document without a text, which is left out",
    "empty_queries": "pairs are without a query, and are left out",
    "no_label": "pairs have no label, and are left out",
    "positive_and_negative": "documents are a positive and a negative of the same query, and are taken as positives",
    "queries_without_candidates": "queries have no candidate left, and are left out",
    "repeated_pairs": "pairs come more than once, and count once",
    "several_teacher_scores": "pairs have several teacher scores, and have their mean",
}


def _issue(code: str, places: list[str]) -> DataIssue:
    example = min(places) if code not in ("empty_queries", "empty_documents") else places[0]
    return DataIssue(code, len(places), f"{len(places)} {_MESSAGES[code]}, such as {example}")


def content_hash(*texts: str) -> bytes:
    """A hash of texts, by which things are ordered so that the order of a file is no matter."""
    return sha256(repr(texts).encode("utf-8", "surrogatepass")).digest()


def text_id(prefix: str, *texts: str) -> str:
    """The id of what has none: equal texts have one id."""
    return f"{prefix}-{content_hash(*texts).hex()[:16]}"


def _with_id(document: Document) -> Document:
    title, text = document.title.strip(), document.text.strip()
    return Document(document.id or text_id("d", title, text), text, title, document.metadata)


def _quoted(text: str) -> str:
    short = " ".join(text.split())
    return repr(short if len(short) <= _QUOTED else short[: _QUOTED - 1] + "…")
