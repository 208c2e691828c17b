"""Checks data before anything is scored: what can't be used is refused, what is left out is counted and named."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from resift.errors import InputError
from resift.evaluate.document_store import DocumentStore
from resift.evaluate.issues import Issue, IssueCode, refuse_unless
from resift.files import RunLine
from resift.types import Query

Qrels = Mapping[str, Mapping[str, int]]

_MOST_JUDGED = 0.5  # share of queries with a document of grade 0 from which the data seem to bring their candidates


@dataclass(frozen=True, slots=True)
class CheckedData:
    """What is left to evaluate, and the issues that say what was left out; see `Dataset` for the fields."""

    queries: tuple[Query, ...]
    qrels: Qrels
    run: Mapping[str, tuple[str, ...]] | None
    issues: tuple[Issue, ...]


def checked_data(
    queries: Sequence[Query],
    documents: DocumentStore,
    qrels: Qrels,
    run: Mapping[str, Iterable[RunLine]] | None,
    name: str,
    split: str,
    pooled: bool = False,
) -> CheckedData:
    """What can be evaluated of these parts, see `Dataset.of`."""
    refuse_unless(len(documents), f"{name} has no documents; give a corpus with an id and a text on each line")
    refuse_unless(any(qrels.values()), f"{name} has no judgements{_of(split)}; give grades of query and document")
    by_id, issues = unique_queries(queries)
    refuse_strangers(qrels, by_id, documents)
    issues += _document_issues(documents)
    evaluated, query_issues = _evaluated(by_id, qrels)
    issues += query_issues
    refuse_unless(
        evaluated,
        f"none of {len(qrels)} judged queries{_of(split)} has a text and a relevant document (a grade of 1 or more), "
        "so that no order would be better than another",
    )
    judged = {query.id: dict(qrels[query.id]) for query in evaluated}
    issues += _grade_issues(judged, documents)
    issues += [] if pooled else _candidate_issues(judged)
    candidates = None
    if run is not None:
        candidates, run_issues = _candidates({id_: list(lines) for id_, lines in run.items()}, judged, documents)
        issues += run_issues
    return CheckedData(tuple(evaluated), judged, candidates, tuple(issues))


def _of(split: str) -> str:
    return f" of the split {split!r}" if split else ""


def unique_queries(queries: Iterable[Query]) -> tuple[dict[str, Query], list[Issue]]:
    """Queries by id, and which of them have no text.

    Raises:
        InputError: a query without an id, or two texts under one.

    """
    by_id: dict[str, Query] = {}
    for query in queries:
        if not query.id:
            raise InputError(f"the query {query.text[:60]!r} has no id; judgements name queries by their ids")
        if by_id.setdefault(query.id, query).text != query.text:
            raise InputError(f"two queries have the id {query.id!r}; judgements can mean only one of them")
    message = "queries without a text were left out"
    return by_id, Issue.of(IssueCode.NO_TEXT, (q.id for q in by_id.values() if not q.text.strip()), message)


def refuse_strangers(qrels: Qrels, queries: Mapping[str, Query], documents: DocumentStore) -> None:
    """Refuse judgements of which no query, or no document, is known: the ids are written in another way.

    Raises:
        InputError: they are.

    """
    refuse_unless(queries, "there are no queries; give an id and a text on each line")
    remedy = "ids are compared as text, so write them alike"
    if not any(id_ in queries for id_ in qrels):
        first = next(iter(queries), "")
        raise InputError(
            f"none of {len(qrels)} judged queries (first: {next(iter(qrels))!r}) is among the {len(queries)} queries "
            f"(first: {first!r}); {remedy}"
        )
    judged = [id_ for grades in qrels.values() for id_ in grades]
    if not any(documents.has(id_) for id_ in judged):
        raise InputError(
            f"none of {len(judged)} judged documents (first: {judged[0]!r}) is among the {len(documents)} documents "
            f"(first: {documents.ids[0]!r}); {remedy}"
        )


def _document_issues(documents: DocumentStore) -> list[Issue]:
    empty = (documents.ids[i] for i, d in enumerate(documents) if not f"{d.title}{d.text}".strip())
    same = documents.same_texts
    message = "documents have the text of another one: where they tie, they stand in the order of the file"
    return [
        *Issue.of(IssueCode.REPEATED_DOCUMENTS, documents.repeated, "documents came more than once, and count once"),
        *Issue.of(IssueCode.EMPTY_DOCUMENTS, empty, "documents without a text, which no model can score"),
        *([Issue(IssueCode.SAME_TEXTS, same, message)] if same else []),
    ]


def _evaluated(queries: Mapping[str, Query], qrels: Qrels) -> tuple[list[Query], list[Issue]]:
    """The queries that have a text and a relevant document, and what became of the others."""
    answerable = {id_ for id_, grades in qrels.items() if max(grades.values(), default=0) >= 1}
    evaluated = in_text_order(q for q in queries.values() if q.id in answerable and q.text.strip())
    nothing = [id_ for id_ in qrels if id_ in queries and id_ not in answerable]
    return evaluated, [
        *Issue.of(
            IssueCode.NOT_JUDGED, (id_ for id_ in queries if id_ not in qrels), "queries have no judgements here"
        ),
        *Issue.of(
            IssueCode.NOTHING_RELEVANT, nothing,
            "judged queries without a relevant document were left out: no order of theirs is better than another",
        ),
        *Issue.of(
            IssueCode.UNKNOWN_QUERIES, (id_ for id_ in qrels if id_ not in queries),
            "judged queries have no text and were left out",
        ),
    ]  # fmt: skip


def _grade_issues(qrels: Qrels, documents: DocumentStore) -> list[Issue]:
    unknown = dict.fromkeys(id_ for grades in qrels.values() for id_ in grades if not documents.has(id_))
    levels = sorted({grade for grades in qrels.values() for grade in grades.values()})
    missing = [str(level) for level in range(1, levels[-1]) if level not in levels]
    negative = [id_ for id_, grades in qrels.items() if min(grades.values()) < 0]
    message = "grades between 1 and the highest occur nowhere; nDCG takes grades as gains, as they are"
    return [
        *Issue.of(
            IssueCode.UNKNOWN_DOCUMENTS, unknown,
            "judged documents are not among the documents; nothing can find them, and recall counts them as missed",
        ),
        *Issue.of(IssueCode.GRADE_GAPS, missing, message),
        *Issue.of(IssueCode.NEGATIVE_GRADES, negative, "queries have grades below 0, which count as 0"),
    ]  # fmt: skip


def _candidate_issues(qrels: Qrels) -> list[Issue]:
    """That the data seem to bring the candidates of each query, as sets for rerankers do."""
    candidates = [id_ for id_, grades in qrels.items() if min(grades.values()) <= 0]
    message = (
        "queries have documents that were judged not relevant: the data may bring their own candidates, which "
        "--judged-only orders alone"
    )
    enough = len(candidates) > _MOST_JUDGED * len(qrels)
    return Issue.of(IssueCode.JUDGED_CANDIDATES, candidates, message) if enough else []


def _candidates(
    run: Mapping[str, list[RunLine]], qrels: Qrels, documents: DocumentStore
) -> tuple[dict[str, tuple[str, ...]], list[Issue]]:
    """The run's candidates of the evaluated queries, best first, and what is wrong with its lines.

    Ranks decide. Lines of one rank are ordered by score, the highest first, and those without a finite score last;
    lines that are equal in both keep their order.
    """
    refuse_unless(run, "the run is empty; a TREC run line is 'query Q0 document rank score tag'")
    evaluated = {id_: run[id_] for id_ in qrels if id_ in run}
    refuse_unless(
        evaluated,
        f"none of the {len(qrels)} evaluated queries (first: {next(iter(qrels))!r}) is in the run (first: "
        f"{next(iter(run), '')!r}); ids are compared as text, so write them alike",
    )
    unknown = dict.fromkeys(x.document for lines in evaluated.values() for x in lines if not documents.has(x.document))
    refuse_unless(
        not unknown,
        f"{len(unknown)} documents of the run, such as {next(iter(unknown), '')!r}, are not among the "
        f"{len(documents)} documents; give the corpus that the run was made from",
    )
    candidates = {id_: tuple(dict.fromkeys(x.document for x in _ordered(lines))) for id_, lines in evaluated.items()}
    return candidates, list(_run_issues(run, evaluated, qrels))


def _ordered(lines: Iterable[RunLine]) -> list[RunLine]:
    return sorted(lines, key=lambda x: (x.rank, -x.score if math.isfinite(x.score) else math.inf))


def _run_issues(
    run: Mapping[str, list[RunLine]], evaluated: Mapping[str, list[RunLine]], qrels: Qrels
) -> Iterator[Issue]:
    finite = {id_: [x for x in _ordered(lines) if math.isfinite(x.score)] for id_, lines in evaluated.items()}
    ties = [id_ for id_, lines in finite.items() if len({x.score for x in lines}) < len(lines)]
    unsorted = [
        id_ for id_, lines in finite.items() if any(b.score > a.score for a, b in zip(lines, lines[1:], strict=False))
    ]
    odd = [f"{id_} {x.document}" for id_, lines in evaluated.items() for x in lines if not math.isfinite(x.score)]
    again = [
        f"{id_} {document}"
        for id_, lines in evaluated.items()
        for document, count in Counter(x.document for x in lines).items()
        for _ in range(count - 1)
    ]
    missing = (id_ for id_ in qrels if id_ not in run)
    yield from Issue.of(IssueCode.RUN_MISSING, missing, "evaluated queries are not in the run, and count 0")
    yield from Issue.of(
        IssueCode.RUN_UNJUDGED, (id_ for id_ in run if id_ not in qrels), "queries of the run were left out"
    )
    yield from Issue.of(IssueCode.RUN_TIES, ties, "queries have equal scores in the run; its ranks decide")
    yield from Issue.of(IssueCode.RUN_NOT_FINITE, odd, "lines of the run have no finite score; their ranks count")
    yield from Issue.of(IssueCode.RUN_REPEATED, again, "lines of the run name a document again; its first line counts")
    yield from Issue.of(
        IssueCode.RUN_UNSORTED, unsorted, "queries have scores that rise where ranks fall; ranks count, not scores"
    )


def in_text_order(queries: Iterable[Query]) -> list[Query]:
    """Queries ordered by a hash of their texts, equal texts by id."""

    def key(query: Query) -> tuple[bytes, str]:
        return sha256(query.text.encode("utf-8", "surrogatepass")).digest(), query.id

    return sorted(queries, key=key)
