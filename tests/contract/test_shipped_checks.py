"""The checks of resift.testing over every implementation, and over ones that break a promise each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

import resift
from resift import Index, PairCache, Reranker
from resift.pipeline import Pipeline
from resift.protocols import Ask, Flow, Retriever, Scorer, Stage
from resift.rerank.blend import Blend
from resift.rerank.cascade import Cascade
from resift.rerank.guard import LanguageGuard
from resift.rerank.judged import judged
from resift.rerank.pointwise import Pointwise
from resift.retrieve.bm25 import BM25Retriever
from resift.retrieve.fuse import Hybrid, WeightedSum
from resift.testing import check_retriever, check_scorer, check_stage
from resift.types import (
    Candidate,
    Document,
    Flag,
    Judgement,
    ModelInfo,
    Pair,
    Query,
    Ranking,
    ScoreKind,
    Scores,
    Signal,
)
from tests.checkpoints import cross_encoder
from tests.serve.stages import FakeListwise


class Fake:
    info = ModelInfo("fake", ScoreKind.LOGIT)

    def score(self, pairs: Sequence[Pair]) -> Scores:
        return Scores.of([len(c.document.text) or None for _, c in pairs], self.info)


class Progressive:
    """A stage of two scorers: the first sees every candidate, the second the better half."""

    name = "progressive"

    def __init__(self, cheap: Scorer, dear: Scorer) -> None:
        self.segments = (cheap, dear)

    def order(self, ranking: Ranking) -> Flow:
        head = ranking.candidates
        for scorer in self.segments:
            scores = yield Ask(scorer, tuple((ranking.query, c) for c in head))
            ranking = judged(ranking, head, scores)
            head = tuple(c for c in ranking if c.score)[: (len(head) + 1) // 2]
        return ranking


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Reranker:
    return resift.load(cross_encoder(tmp_path_factory.mktemp("tiny"), "bert", limit=512, noise=0), precision="f32")


SCORERS: dict[str, Callable[[Reranker, Reranker], Scorer]] = {
    "late interaction": lambda mini, tiny: mini.scorer,
    "cross-encoder": lambda mini, tiny: tiny.scorer,
    "cached": lambda mini, tiny: Reranker(mini.scorer, PairCache()).judge,
    "fake": lambda mini, tiny: Fake(),
}


@pytest.mark.parametrize("name", SCORERS)
def test_scorers(name: str, mini: Reranker, tiny: Reranker) -> None:
    check_scorer(SCORERS[name](mini, tiny))


STAGES: dict[str, Callable[[Reranker], Stage]] = {
    "pointwise": lambda mini: Pointwise(Fake()),
    "pointwise to a depth": lambda mini: Pointwise(Fake(), 3),
    "blend": lambda mini: Cascade([Pointwise(Fake()), Blend("fake", 1.0)]),
    "cascade": lambda mini: Cascade([Pointwise(Fake(), 4), Pointwise(mini.scorer, 2)]),
    "guard": lambda mini: LanguageGuard(mini.scorer, Pointwise(mini.scorer)),
    "pipeline": lambda mini: Pipeline.parse("a@4 >> blend >> b@2").stage({"a": Fake(), "b": mini.scorer}.__getitem__),
    "reranker": lambda mini: mini.stage(),
    "listwise": lambda mini: FakeListwise(Fake()),
    "progressive": lambda mini: Progressive(Fake(), mini.scorer),
}


@pytest.mark.parametrize("name", STAGES)
def test_stages(name: str, mini: Reranker) -> None:
    check_stage(STAGES[name](mini))


DOCUMENTS = [
    Document(f"d{i}", f"lamp {i} " + "of the keeper on the island " * (i % 3) + "bread" * (i % 2)) for i in range(9)
]


def index_on_disk(folder: Path) -> Retriever:
    (folder / "texts.jsonl").write_text("\n".join(f'{{"id": "{d.id}", "text": "{d.text}"}}' for d in DOCUMENTS))
    Index.build(folder / "index", folder / "texts.jsonl")
    return Index.open(folder / "index").retriever


RETRIEVERS: dict[str, Callable[[Path], Retriever]] = {
    "bm25": lambda folder: BM25Retriever(DOCUMENTS),
    "index": lambda folder: Index.of(DOCUMENTS).retriever,
    "dense": lambda folder: Index.of(DOCUMENTS).retriever.retrievers[1],  # type: ignore[attr-defined]
    "two fused": lambda folder: Hybrid([BM25Retriever(DOCUMENTS), BM25Retriever(DOCUMENTS)], WeightedSum([0.5, 0.5])),
    "index on disk": index_on_disk,
}


@pytest.mark.parametrize("name", RETRIEVERS)
def test_retrievers(name: str, tmp_path: Path) -> None:
    check_retriever(RETRIEVERS[name](tmp_path), ["lamp of the keeper", "bread"], 4)


class Neighbours(Fake):
    def score(self, pairs: Sequence[Pair]) -> Scores:
        return Scores.of([len(c.document.text) + len(pairs) for _, c in pairs], self.info)


class Positions(Fake):
    def score(self, pairs: Sequence[Pair]) -> Scores:
        return Scores.of([float(i) if len(pairs) == 12 else 0.0 for i, _ in enumerate(pairs)], self.info)


class Short(Fake):
    def score(self, pairs: Sequence[Pair]) -> Scores:
        return Scores.of([1.0], self.info)


class OtherKind(Fake):
    def score(self, pairs: Sequence[Pair]) -> Scores:
        return replace(super().score(pairs), kind=ScoreKind.COSINE)


class Silent(Fake):
    def score(self, pairs: Sequence[Pair]) -> Scores:
        return Scores(tuple(Judgement(None) for _ in pairs), self.info.kind, self.info.name)


@pytest.mark.parametrize(
    ("scorer", "message"),
    [
        (Neighbours(), "pairs beside it"),
        (Positions(), "pairs beside it"),
        (Short(), "12 pairs gave 1 judgements"),
        (OtherKind(), "scores are cosine, and `info` says logit"),
        (Silent(), "has no flag"),
    ],
)
def test_broken_scorers_are_caught(scorer: Scorer, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_scorer(scorer)


class Broken(Pointwise):
    """A stage that spoils what comes out."""

    def __init__(self, spoil: Callable[[Ranking], Ranking]) -> None:
        super().__init__(Fake())
        self.spoil = spoil

    def order(self, ranking: Ranking) -> Flow:
        return self.spoil((yield from super().order(ranking)))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda r: replace(r, candidates=r.candidates[:1]), "lost, invented or doubled"),
        (lambda r: replace(r, candidates=(*r.candidates, *r.candidates[:1])), "lost, invented or doubled"),
        (lambda r: replace(r, query=Query("other")), "another query"),
        (lambda r: replace(r, candidates=tuple(replace(c, signals=()) for c in r)), "first rank changed"),
        (lambda r: replace(r, candidates=r.candidates[::-1]), "stands before one with a score"),
        (
            lambda r: replace(r, candidates=tuple(replace(c, document=replace(c.document, text="")) for c in r)),
            "a document was altered",
        ),
    ],
)
def test_broken_stages_are_caught(spoil: Callable[[Ranking], Ranking], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_stage(Broken(spoil))


class Spoilt:
    """A retriever that spoils what BM25 finds."""

    def __init__(self, spoil: Callable[[Ranking], Ranking]) -> None:
        self.bm25, self.spoil = BM25Retriever(DOCUMENTS), spoil

    def retrieve(self, queries: Sequence[Query], k: int) -> list[Ranking]:
        return [self.spoil(ranking) for ranking in self.bm25.retrieve(queries, k)]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda r: replace(r, candidates=r.candidates[::-1]), "scores rise"),
        (lambda r: replace(r, candidates=r.candidates[:1] * 2), "came twice"),
        (lambda r: replace(r, candidates=r.candidates * 2), "candidates came for k"),
        (lambda r: replace(r, query=Query("other")), "not those of the queries"),
        (lambda r: replace(r, candidates=tuple(replace(c, signals=()) for c in r)), "no signal"),
    ],
)
def test_broken_retrievers_are_caught(spoil: Callable[[Ranking], Ranking], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_retriever(Spoilt(spoil), ["lamp of the keeper", "bread"], 4)


def test_a_stage_that_scores_without_time_is_caught() -> None:
    class Hasty(Pointwise):
        def order(self, ranking: Ranking) -> Flow:
            scores = self.scorer.score([(ranking.query, c) for c in ranking])
            yield from ()
            return judged(ranking, ranking.candidates, scores)

    with pytest.raises(AssertionError, match="no time was left"):
        check_stage(Hasty(Fake()))


def test_unreached_candidates_keep_their_flag() -> None:
    scores = Scores((Judgement(1.0), Judgement(None, flags=frozenset({Flag.DEADLINE}))), ScoreKind.LOGIT, "fake")
    candidates = [Candidate(Document(str(i), "x"), signals=(Signal("input", i),)) for i in (1, 2)]
    ranking = judged(Ranking(Query("q"), tuple(candidates)), candidates, scores)
    assert [(c.document.id, c.flags) for c in ranking] == [("1", frozenset()), ("2", {Flag.DEADLINE})]
    assert ranking.trace.reason == "deadline: fake scored 1/2"
