"""Which documents of a query a report shows beside each other, and the beginnings of their texts."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from resift.evaluate.evaluation import NO_DOCUMENT, Evaluation, PipelineRun
from resift.evaluate.summary import most_hurt
from resift.types import Document

SHOWN_QUERIES, SHOWN_DOCUMENTS = 5, 5  # of those that were hurt most, which tables show
SHOWN_RELEVANT = 5  # relevant documents of a query that a report shows, wherever they stand
_TEXT = 300  # characters of a document
_ALL_TEXTS = 1_500_000  # characters of all documents; those of queries that were hurt most are always there


def shown_documents(evaluation: Evaluation, run: PipelineRun, query: int) -> list[int]:
    """Positions in `Evaluation.documents`, or behind them: the first ones after and before, and the best relevant ones.

    They are ordered as the pipeline has them, then as its first stage has them, then by grade; those of the same grade
    by position.
    """
    after, before = (_places(r, query) for r in (run, evaluation.run(run.baseline)))
    grades = evaluation.grades[query]
    relevant = sorted((d for d, grade in grades.items() if grade > 0), key=lambda d: (-grades[d], d))
    first = [d for places in (after, before) for d in list(places)[:SHOWN_DOCUMENTS]]
    last = len(after) + len(before)
    shown = dict.fromkeys([*first, *relevant[:SHOWN_RELEVANT]])
    return sorted(shown, key=lambda d: (after.get(d, last), before.get(d, last), -grades.get(d, 0), d))


def _places(run: PipelineRun, query: int) -> dict[int, int]:
    return {int(d): place for place, d in enumerate(run.rankings[query]) if d != NO_DOCUMENT}


def by_change(evaluation: Evaluation, run: PipelineRun) -> list[int]:
    """All queries, those first whose first measure a pipeline changed most; ties in the queries' order."""
    gain = np.abs(evaluation.gain(run, evaluation.measures[0]))
    return [int(i) for i in np.argsort(-gain, kind="stable")]


def beginnings(evaluation: Evaluation, document_of: Callable[[str], Document]) -> dict[str, str]:
    """The beginnings of documents that a report shows, by id, as far as they take no more than about 1.5 MB.

    Args:
        evaluation: whose documents are shown.
        document_of: the document with an id.

    """
    texts: dict[str, str] = {}
    size = 0
    for position, is_wanted in _wanted(evaluation):
        if not is_wanted and size > _ALL_TEXTS:
            break
        if position < len(evaluation.documents) and (id_ := evaluation.documents[position]) not in texts:
            document = document_of(id_)
            texts[id_] = " ".join(f"{document.title} {document.text}".split())[:_TEXT]
            size += len(texts[id_])
    return texts


def _wanted(evaluation: Evaluation) -> Iterator[tuple[int, bool]]:
    """Positions of documents, the most wanted first, and whether a table can't do without."""
    for run in evaluation.pipelines:
        for query in most_hurt(evaluation, run, SHOWN_QUERIES):
            yield from ((position, True) for position in shown_documents(evaluation, run, query))
    reranking = [run for run in evaluation.pipelines if run.reranks] or list(evaluation.pipelines)
    for run in sorted(reranking, key=lambda run: -float(run.values[evaluation.measures[0]].mean())):
        for query in by_change(evaluation, run):
            yield from ((position, False) for position in shown_documents(evaluation, run, query))
