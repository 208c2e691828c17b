"""Measures by the names that the field uses, computed by ir-measures (extra `evaluate`) from ranks alone.

Rankings are handed over with scores of n - position, so that every measure breaks ties of scores alike: by the
ranking's order. Linear gain: nDCG@10 is that of trec_eval.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from resift.arguments import nearest
from resift.errors import InputError, MissingExtra
from resift.evaluate.evaluation import NO_DOCUMENT, Rows
from resift.evaluate.statistics import Floats

if TYPE_CHECKING:
    from ir_measures import Measure

DEFAULT = ("nDCG@10", "RR@10", "R@100", "Success@10", "P@10", "AP")
JUDGED_AT = 10  # places that are looked at for unjudged documents
# Other spellings, in small letters without separators.
_NAMES = {
    "ndcg": "nDCG", "rr": "RR", "mrr": "RR", "r": "R", "recall": "R", "p": "P", "precision": "P", "ap": "AP",
    "map": "AP", "success": "Success", "hit": "Success", "hits": "Success", "hitrate": "Success", "acc": "Success",
}  # fmt: skip
_INPUTS = {"query_id", "doc_id", "relevance", "score"}
_QUERIES = 2000  # that are handed over at once


def parse(names: Sequence[str]) -> list[Measure]:
    """Measures by their names, each once: nDCG@10, RR@10 or MRR@10, R@100, Success@10 or Hit-Rate@10, P(rel=2)@5, …

    Raises:
        MissingExtra: ir-measures is not installed.
        InputError: no measure, one that nobody knows, or one that nobody here can compute.

    """
    try:
        import ir_measures
    except ImportError as error:
        raise MissingExtra("evaluating", "evaluate") from error
    if not names:
        raise InputError("no measure was named; the first one is compared, such as nDCG@10")
    measures: dict[str, Any] = {}
    for name in names:
        spelling = _spelling(name)
        try:
            measure = ir_measures.parse_measure(spelling)
        except (NameError, ValueError, TypeError, KeyError, AssertionError) as error:
            hint = nearest(name, DEFAULT)
            raise InputError(f"{name!r} is no measure{hint}; write nDCG@10, RR@10, R@100, P(rel=2)@5 or AP") from error
        _try(name, measure)
        measures[str(measure)] = measure
    return list(measures.values())


def _spelling(name: str) -> str:
    """A measure's name as ir-measures writes it."""
    match = re.fullmatch(r"\s*([A-Za-z][A-Za-z _-]*)(.*?)\s*", name)
    if match is None:
        return name
    return _NAMES.get(re.sub(r"[ _-]", "", match[1]).lower(), match[1]) + match[2]


def _try(name: str, measure: Measure) -> None:
    """Compute a measure of one small ranking, so that what can't be computed is refused before anything is scored."""
    import ir_measures

    reason = ""
    try:
        needs = {*ir_measures.run_inputs([measure]), *ir_measures.qrel_inputs([measure])} - _INPUTS
        reason = f"it needs {', '.join(sorted(needs))} of each document" if needs else ""
        if not needs:
            list(ir_measures.iter_calc([measure], {"q": {"a": 1, "b": 0}}, {"q": {"a": 2.0, "b": 1.0}}))
    except (ValueError, TypeError, RuntimeError, AssertionError, OSError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
    if reason:
        raise InputError(f"{name} can't be computed here: {reason}")


def calculate(measures: Sequence[Measure], grades: Sequence[Mapping[int, int]], rankings: Rows) -> dict[str, Floats]:
    """Each measure of each query, by the measure's name; a query without a ranking counts 0.

    Args:
        measures: from `parse`.
        grades: of each query, by document.
        rankings: (Q, K), documents of each query, best first.

    """
    import ir_measures

    values: dict[str, Floats] = {str(measure): np.zeros(len(grades)) for measure in measures}
    names: dict[int, str] = {}
    for start in range(0, len(grades), _QUERIES):
        part = range(start, min(start + _QUERIES, len(grades)))
        qrels = {str(q): {names.setdefault(i, str(i)): grade for i, grade in grades[q].items()} for q in part}
        run: dict[str, dict[str, float]] = {}
        for q in part:
            row = rankings[q]
            row = row[row != NO_DOCUMENT].tolist()
            run[str(q)] = {names.setdefault(i, str(i)): float(len(row) - at) for at, i in enumerate(row)}
        for metric in ir_measures.iter_calc(measures, qrels, {q: scores for q, scores in run.items() if scores}):
            values[str(metric.measure)][int(metric.query_id)] = metric.value
    return values


def grades_of(grades: Sequence[Mapping[int, int]], rankings: Rows) -> Rows:
    """(Q, K), the grade of each ranked document: 0 where nobody judged it, and behind the last one."""
    by_rank = np.zeros(rankings.shape, np.int32)
    for q, (judged, row) in enumerate(zip(grades, rankings.tolist(), strict=True)):
        by_rank[q] = [judged.get(i, 0) for i in row]
    return by_rank


def unjudged(grades: Sequence[Mapping[int, int]], rankings: Rows) -> Floats:
    """(Q,), the share of the first ten documents that nobody judged; 0 where there is no document."""
    shares = np.zeros(len(grades))
    for q, (judged, row) in enumerate(zip(grades, rankings[:, :JUDGED_AT].tolist(), strict=True)):
        documents = [i for i in row if i != NO_DOCUMENT]
        shares[q] = sum(i not in judged for i in documents) / max(1, len(documents))
    return shares


def recall_bound(grades: Sequence[Mapping[int, int]], rankings: Rows) -> Floats:
    """(Q,), the share of each query's relevant documents that are in its ranking; every query has one."""
    relevant = np.array([sum(grade >= 1 for grade in judged.values()) for judged in grades])
    shares: Floats = (grades_of(grades, rankings) >= 1).sum(axis=1) / relevant
    return shares


def best_order(grades: Sequence[Mapping[int, int]], rankings: Rows, depth: int) -> Rows:
    """Rankings whose first `depth` documents stand in the best order: what no reranker of them can exceed."""
    head = rankings[:, :depth]
    by_rank = np.where(head == NO_DOCUMENT, np.iinfo(np.int32).min, grades_of(grades, head))
    order = np.argsort(-by_rank.astype(np.int64), axis=1, kind="stable")
    best: Rows = np.concatenate([np.take_along_axis(head, order, axis=1), rankings[:, depth:]], axis=1)
    return best
