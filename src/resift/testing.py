"""Checks for people who write a scorer, a stage or a retriever of their own: does it keep what Resift relies on?

    from resift.testing import check_scorer

    def test_my_scorer():
        check_scorer(MyScorer())

Each check raises AssertionError with what is wrong, in one sentence. Resift's own implementations pass the same checks.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

from resift.protocols import UNLIMITED, Budget, Retriever, Scorer, Stage
from resift.rerank.drive import drive
from resift.types import Candidate, Document, ModelInfo, Pair, Query, Ranking, Scores

_QUERIES = ("who lit the lamp", "capital of norway")
_TEXTS = (
    "The keeper lit the lamp every evening.",
    "Oslo is the capital of Norway and lies at the head of a fjord.",
    "bread",
    "The keeper climbed 142 steps every evening to light a paraffin lamp. " * 4,
    "Oslo is the capital of Norway and lies at the head of a fjord.",
    "",
)


def check_scorer(scorer: Scorer, pairs: Sequence[Pair] | None = None, tolerance: float = 1e-4) -> None:
    """A score belongs to its pair alone: neither its neighbours nor their order change it.

    Args:
        scorer: what is checked.
        pairs: what it is asked; texts in English by default, two of them equal and one empty.
        tolerance: by how much a score may differ from call to call, as a share of the range of the scores.

    Raises:
        AssertionError: one of these is not so: `info` names the source and kind of the scores; there is one judgement
            per pair; a judgement without a value has a flag; equal pairs have equal scores; pairs scored alone, and in
            another order, have the same scores; no argument is altered; no pairs give no judgements.

    """
    asked = list(_pairs() if pairs is None else pairs)
    before = copy.deepcopy(asked)
    scores = _scores(scorer, asked)
    _check(asked == before, "the scorer altered its arguments")
    _check(len(_scores(scorer, [])) == 0, "no pairs gave judgements")
    for judgement in scores.judgements:
        _check(judgement.value is not None or bool(judgement.flags), "a judgement without a value has no flag")
    numbers = [value for value in scores.values if value is not None]
    spread = max(numbers, default=0.0) - min(numbers, default=0.0)
    allowed = tolerance * max(spread, 1e-9)
    alone = [_scores(scorer, [pair]).values[0] for pair in asked]
    _check_same(scores.values, alone, allowed, "a score depends on the pairs beside it")
    reverse = _scores(scorer, asked[::-1]).values[::-1]
    _check_same(scores.values, reverse, allowed, "a score depends on the order of the pairs")
    twice = _scores(scorer, [*asked, *asked]).values
    _check_same(twice[: len(asked)], twice[len(asked) :], 0.0, "equal pairs of one call have different scores")


def check_stage(stage: Stage, rankings: Sequence[Ranking] | None = None) -> None:
    """A stage gives every candidate back exactly once, and the best order so far when time is up.

    Args:
        stage: what is checked.
        rankings: what it orders; two small ones and an empty one by default.

    Raises:
        AssertionError: one of these is not so: each ranking comes back with its own query and candidates, each once, be
            it among those that were left out;
            ranks count from 1; first ranks and earlier signals stay; candidates without a score stand last; no argument
            is altered; the same comes out again; with no time left nothing is scored, and the order stays.

    """
    given = list(_rankings() if rankings is None else rankings)
    before = copy.deepcopy(given)
    ordered = drive(stage, given, UNLIMITED)
    _check(given == before, "the stage altered its arguments")
    _check(len(ordered) == len(given), "not every ranking came back")
    for old, new in zip(given, ordered, strict=True):
        _check_permutation(old, new)
    again = [[c.document.id for c in ranking] for ranking in drive(stage, given, UNLIMITED)]
    _check(again == [[c.document.id for c in r] for r in ordered], "the same rankings came out in another order")
    for old, new in zip(given, drive(stage, given, Budget(deadline=0.0)), strict=True):
        _check_permutation(old, new)
        _check(not any(c.score for c in new), "something was scored though no time was left")
        same = [c.document.id for c in old] == [c.document.id for c in new]
        _check(same, "the order changed though nothing was scored")


def check_retriever(retriever: Retriever, queries: Sequence[str], k: int = 5) -> None:
    """A retriever gives at most k candidates for each query, the best first, whatever is asked beside it.

    Args:
        retriever: what is checked, over documents of your own.
        queries: texts that find something.
        k: how many are asked for.

    Raises:
        AssertionError: one of these is not so: there is one ranking per query, in order; it has at most k candidates,
            each document once, ranked from 1, scores of one kind not rising; each has this retriever's signal; a query
            alone gives the same.

    """
    asked = [Query(text, str(i)) for i, text in enumerate(queries)]
    rankings = retriever.retrieve(asked, k)
    _check([r.query for r in rankings] == asked, "rankings are not those of the queries, in their order")
    for query, ranking in zip(asked, rankings, strict=True):
        ids = [c.document.id for c in ranking]
        _check(len(ids) <= k, f"{len(ids)} candidates came for k = {k}")
        _check(len(set(ids)) == len(ids), "a document came twice")
        _check(all(c.signals for c in ranking), "a candidate has no signal")
        _check(len({c.score.kind for c in ranking if c.score}) <= 1, "scores of one ranking have several kinds")
        values = [c.score.value for c in ranking if c.score]
        _check(values == sorted(values, reverse=True), "scores rise within a ranking")
        (alone,) = retriever.retrieve([query], k)
        _check([c.document.id for c in alone] == ids, "a query alone finds something else")
    _check(retriever.retrieve([], k) == [], "no queries gave rankings")


def _pairs() -> list[Pair]:
    return [(Query(q), Candidate(Document(str(i), text))) for q in _QUERIES for i, text in enumerate(_TEXTS)]


def _rankings() -> list[Ranking]:
    documents = [Document(f"d{i}", text) for i, text in enumerate(_TEXTS)]
    full = [Ranking.unscored(Query(q, str(i)), documents) for i, q in enumerate(_QUERIES)]
    return [*full, Ranking(Query(_QUERIES[0], "empty"))]


def _scores(scorer: Scorer, pairs: Sequence[Pair]) -> Scores:
    _check(isinstance(scorer.info, ModelInfo), "`info` is no ModelInfo")
    scores = scorer.score(pairs)
    _check(len(scores) == len(pairs), f"{len(pairs)} pairs gave {len(scores)} judgements")
    _check(scores.kind is scorer.info.kind, f"scores are {scores.kind}, and `info` says {scorer.info.kind}")
    _check(scores.source == scorer.info.name, f"scores are of {scores.source!r}, and `info` says {scorer.info.name!r}")
    return scores


def _check_permutation(old: Ranking, new: Ranking) -> None:
    _check(new.query == old.query, "a ranking came back with another query")
    before = {c.document.id: c for c in old}
    after = sorted(c.document.id for c in (*new, *new.left_out))
    _check(sorted(before) == after, "candidates were lost, invented or doubled")
    _check([c.rank for c in new] == list(range(1, len(new) + 1)), "ranks do not count from 1")
    for candidate in new:
        earlier = before[candidate.document.id]
        _check(candidate.document == earlier.document, "a document was altered")
        _check(candidate.first_rank == earlier.first_rank, "a first rank changed")
        _check(candidate.signals[: len(earlier.signals)] == earlier.signals, "earlier signals were altered")
    scored = [c.score is not None for c in new]
    _check(scored == sorted(scored, reverse=True), "a candidate without a score stands before one with a score")


def _check_same(a: Sequence[float | None], b: Sequence[float | None], allowed: float, message: str) -> None:
    for x, y in zip(a, b, strict=True):
        same = x is y if x is None or y is None else math.isclose(x, y, rel_tol=0, abs_tol=allowed)
        _check(same, f"{message}: {x} against {y}")


def _check(condition: bool, message: str) -> None:
    if not condition:
        raise AssertionError(message)
