"""One suite over every Stage: a permutation comes back, nothing given is altered, ties and ids are stable."""

import copy
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resift import Index, Reranker
from resift.calibrate.calibration import Binding, Calibration, ScoreSample
from resift.calibrate.curves import PlattCurve
from resift.errors import InputError
from resift.protocols import UNLIMITED, Budget, Stage
from resift.rerank.blend import Blend
from resift.rerank.boost import Boost, BoostRule
from resift.rerank.cascade import Cascade
from resift.rerank.drive import drive
from resift.rerank.pointwise import Pointwise
from resift.rerank.relevance import Relevance
from resift.rerank.when import Expectation, When, WhenRule
from resift.types import (
    Candidate,
    Document,
    Level,
    ModelInfo,
    Pair,
    Query,
    Ranking,
    Score,
    ScoreKind,
    Scores,
    Signal,
    Trace,
)


class Lengths:
    """A fake scorer: the score is the length of the text."""

    info = ModelInfo("lengths", ScoreKind.LOGIT)

    def score(self, pairs: Sequence[Pair]) -> Scores:
        texts = [c.document.text for _, c in pairs]
        return Scores.of([len(text) if text.strip() else None for text in texts], self.info)


CALIBRATION = Calibration(
    Binding("lengths", ScoreKind.LOGIT),
    PlattCurve(0.5, -3.0),
    {Level.SOME: 0.2},
    (),
    ScoreSample((0.0, 3e4), (0.0, 3e4)),
)


def blended(scorer: Lengths, weight: float) -> Stage:
    return Cascade([Pointwise(scorer), Blend("lengths", weight)])


# A rule that asks the model for every query.
ASKS = WhenRule("", {}, (), "nDCG@10", 0.01, Expectation(1.0, {"words": 0.0}))


def stages(mini: Reranker, depth: int | None = None) -> dict[str, Stage]:
    return {
        "pointwise": Pointwise(Lengths(), depth),
        "blend": Cascade([Pointwise(Lengths(), depth), Blend("lengths", 1.0)]),
        "boost": Cascade([Pointwise(Lengths(), depth), Boost(BoostRule("year", half_life="1y"))]),
        "relevant": Cascade([Pointwise(Lengths(), depth), Relevance(CALIBRATION)]),
        "when": When(ASKS, Pointwise(Lengths(), depth)),
        "cascade": Cascade([Pointwise(Lengths(), min(3, depth or 3)), Pointwise(Lengths(), min(2, depth or 2))]),
        "resift-mini-en": mini.stage(blend=False, depth=depth),
        "resift-mini-en blended": mini.stage(depth=depth),
    }


LINUX = pytest.mark.skipif(sys.platform != "linux", reason="other systems don't tell what a process holds")
NAMES = ["pointwise", "blend", "boost", "relevant", "when", "cascade", "resift-mini-en", "resift-mini-en blended"]


@pytest.fixture(scope="module", params=NAMES)
def stage(request: pytest.FixtureRequest, mini: Reranker) -> Stage:
    return stages(mini)[request.param]


TEXTS = st.lists(
    st.sampled_from(["", "a lamp", "a lamp", "the tower on the island", "bread and water", " "]), max_size=9
)


def rankings(*texts: list[str]) -> list[Ranking]:
    return [
        Ranking.unscored(
            Query(f"lamp {i}", str(i)), [Document(f"d{j}", t, metadata={"year": 2000}) for j, t in enumerate(own)]
        )
        for i, own in enumerate(texts)
    ]


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25, deadline=None)
@given(a=TEXTS, b=TEXTS, depth=st.one_of(st.none(), st.integers(1, 10)))
def test_a_permutation_of_every_ranking(
    name: str, mini: Reranker, a: list[str], b: list[str], depth: int | None
) -> None:
    given_ = rankings(a, b)
    before = copy.deepcopy(given_)
    result = drive(stages(mini, depth)[name], given_)
    assert given_ == before
    assert [r.query for r in result] == [r.query for r in given_]
    for old, new in zip(given_, result, strict=True):
        assert sorted(c.document.id for c in new) == sorted(c.document.id for c in old)
        assert [c.rank for c in new] == list(range(1, len(old) + 1))
        first = {c.document.id: c.first_rank for c in old}
        assert all(c.first_rank == first[c.document.id] for c in new)
        assert all(c.signals[: len(o.signals)] == o.signals for c in new for o in old if o.document.id == c.document.id)


def test_unscored_candidates_come_last(stage: Stage) -> None:
    (result,) = drive(stage, rankings(["", "a lamp", " ", "bread"]))
    assert [c.score is None for c in result] == [False, False, True, True]
    assert [c.document.id for c in result][2:] == ["d0", "d2"]
    assert all("empty" in c.flags for c in result.candidates[2:])


@pytest.mark.parametrize(("texts", "reason"), [(["", "ab", "cd"], "constant scores"), (["", " "], "nothing to score")])
def test_flags_outlive_an_order_that_is_kept(texts: list[str], reason: str) -> None:
    (result,) = drive(Pointwise(Lengths()), rankings(texts))
    assert not result.trace.reranked and result.trace.reason == reason
    assert [c.document.text for c in result] == texts and all(c.score is None for c in result)
    assert [c.flags for c in result] == [frozenset() if t.strip() else {"empty"} for t in texts]


def test_the_trace_says_what_happened(stage: Stage) -> None:
    (result,) = drive(stage, rankings(["a lamp", "the tower on the island", "bread", "water"]))
    assert result.trace.reranked and not result.trace.reason
    assert result.trace.steps and all(s.ms >= 0 for s in result.trace.steps)
    kinds = {c.score.kind for c in result if c.score}
    assert len(kinds) == 1


@pytest.mark.parametrize("name", NAMES)
def test_below_the_depth_the_order_stays(name: str, mini: Reranker) -> None:
    (result,) = drive(stages(mini, 2)[name], rankings(["bread", "a lamp", "a lamp b", "a lamp c"]))
    assert [c.document.id for c in result][2:] == ["d2", "d3"]


@pytest.mark.parametrize("name", NAMES)
def test_nothing_in_nothing_out(name: str, mini: Reranker) -> None:
    stage = stages(mini)[name]
    assert drive(stage, []) == []
    assert drive(stage, [Ranking(Query("lamp"))], UNLIMITED)[0].candidates == ()


def test_duplicates_tie_in_their_first_order() -> None:
    (result,) = drive(Pointwise(Lengths()), rankings(["same", "longer text", "same", "same"]))
    assert [c.document.id for c in result] == ["d1", "d0", "d2", "d3"]


def test_blend_is_the_formula() -> None:
    import math

    (result,) = drive(blended(Lengths(), 2.0), rankings(["aaaa", "a", "aaa"]))

    def z(values: list[float]) -> list[float]:
        mean = sum(values) / len(values)
        deviation = math.sqrt(sum((v - mean) ** 2 for v in values) / len(values))
        return [(v - mean) / deviation for v in values]

    ranks, lengths = z([-math.log(10 + r) for r in (1, 2, 3)]), z([4.0, 1.0, 3.0])
    expected = {f"d{i}": r + 2 * v for i, (r, v) in enumerate(zip(ranks, lengths, strict=True))}
    assert {c.document.id: float(c.score) for c in result if c.score} == pytest.approx(expected)
    assert {c.score.kind for c in result if c.score} == {ScoreKind.FUSED}


def fused(fusion: str, **found: dict[str, float]) -> Ranking:
    """What a hybrid gives: each retriever's scores by document, and a fused rank."""
    names = sorted({d for scores in found.values() for d in scores})
    candidates = []
    for i, name in enumerate(names):
        signals = [Signal(fusion, i + 1, Score(1 / (61 + i), ScoreKind.FUSED, fusion))]
        for source, scores in found.items():
            if name in scores:
                rank = 1 + sum(v > scores[name] for v in scores.values())
                signals.append(Signal(source, rank, Score(scores[name], ScoreKind.BM25, source)))
        candidates.append(Candidate(Document(name, name), signals[0].score, signals=tuple(signals)))
    return Ranking.from_scores(Query("q"), candidates)


def z(values: Sequence[float]) -> Any:
    return (np.array(values) - np.mean(values)) / np.std(values)


def test_scores_that_reciprocal_ranks_threw_away_are_blended() -> None:
    ranking = fused("rrf", bm25={"a": 9.0, "bb": 3.0, "cccc": 5.0}, dense={"bb": 0.5, "dd": 0.7})
    (result,) = drive(blended(Lengths(), 2.0), [ranking])
    first = (z([9, 3, 5, 3]) + z([0.5, 0.5, 0.5, 0.7])) / 2
    expected = dict(zip(["a", "bb", "cccc", "dd"], first + 2 * z([1, 2, 4, 2]), strict=True))
    assert {c.document.id: float(c.score) for c in result if c.score} == pytest.approx(expected)


@pytest.mark.parametrize("fusion", ["weighted", "weighted_rrf"])
def test_of_other_fusions_the_rank_is_blended(fusion: str) -> None:
    scores = {"a": 9.0, "bb": 3.0, "cccc": 5.0}
    blend = blended(Lengths(), 2.0)
    (weighted,), (plain,) = drive(blend, [fused(fusion, bm25=scores)]), drive(blend, rankings(["a", "bb", "cccc"]))
    assert [float(c.score) for c in weighted if c.score] == [float(c.score) for c in plain if c.score]


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_blend_refuses_senseless_weights(weight: float) -> None:
    with pytest.raises(ValueError, match="blend weight"):
        Blend("x", weight)


class Slow(Lengths):
    """Takes one unit of a clock's time per character; the clock moves only while it scores."""

    def __init__(self) -> None:
        self.now, self.batches = 0.0, list[float]()

    def clock(self) -> float:
        return self.now

    def score(self, pairs: Sequence[Pair]) -> Scores:
        self.batches.append(sum(len(q.text) + len(c.document.text) for q, c in pairs))
        self.now += self.batches[-1]
        return super().score(pairs)


SIZES = st.lists(st.integers(0, 3000), min_size=1, max_size=40)


@pytest.mark.parametrize("blend", [False, True])
@settings(max_examples=60, deadline=None)
@given(SIZES, SIZES, st.one_of(st.none(), st.integers(1, 40)), st.floats(-1, 90_000), st.integers(0, 5))
def test_a_deadline_cuts_scoring_short_and_nothing_else(
    blend: bool, a: list[int], b: list[int], depth: int | None, deadline: float, spread: int
) -> None:
    scorer = Slow()
    stage: Stage = Pointwise(scorer, depth)
    stage = Cascade([stage, Blend("lengths", 1.0)]) if blend else stage
    given_ = rankings(*(["x" * (n + i % (spread + 1)) for i, n in enumerate(sizes)] for sizes in (a, b)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("resift.rerank.drive.clock", scorer.clock)
        result = drive(stage, given_, Budget(deadline))
    longest = max(len(c.document.text) for r in given_ for c in r) + len("lamp 0")
    assert scorer.now <= max(deadline, 0) + max(6000, longest)
    for old, new in zip(given_, result, strict=True):
        assert sorted(c.document.id for c in new) == sorted(c.document.id for c in old)
        for c in new:
            said = [s.score for s in c.signals if s.source == "lengths"]
            assert [float(s) for s in said if s] == [float(len(c.document.text))] * len(said)
        asked = min(len(old), depth or len(old))
        reached = new.trace.steps[0].pairs if new.trace.steps else 0
        assert (f"lengths scored {reached}/{asked}" in new.trace.reason) == (reached < asked)
        scored = [c.score is not None for c in new]
        assert scored == sorted(scored, reverse=True)
        if new.trace.reranked:  # the first ones of the first stage were reached, those without a score apart
            assert {c.first_rank for c in new if c.score} <= set(range(1, reached + 1))
        else:
            assert [c.document.id for c in new] == [c.document.id for c in old]


def test_a_deadline_that_has_passed_scores_nothing(stage: Stage) -> None:
    (result,) = drive(stage, rankings(["bread", "a lamp", "water"]), Budget(deadline=0.0))
    assert [c.document.id for c in result] == ["d0", "d1", "d2"]
    assert not result.trace.reranked and "scored 0/" in result.trace.reason
    assert not any(c.score for c in result if c.score and c.score.source != "boost(year)")


def test_a_far_deadline_changes_nothing(stage: Stage) -> None:
    texts = ["bread", "a lamp", "", "the tower on the island"] * 5
    (free,), (limited,) = drive(stage, rankings(texts)), drive(stage, rankings(texts), Budget.within(60_000))
    assert [c.document.id for c in free] == [c.document.id for c in limited]
    assert [float(c.score) for c in limited if c.score] == pytest.approx([float(c.score) for c in free if c.score])
    assert limited.trace.reranked and not limited.trace.reason


def test_a_far_deadline_takes_few_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = Slow()
    monkeypatch.setattr("resift.rerank.drive.clock", scorer.clock)
    drive(Pointwise(scorer), rankings(["x" * 1000] * 500), Budget(deadline=10_000_000.0))
    assert len(scorer.batches) == 2


def test_a_later_stage_keeps_what_the_deadline_left() -> None:
    scorer = Slow()
    first = drive(Pointwise(Lengths()), rankings(["aa", "a", "aaaa", "aaa"]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("resift.rerank.drive.clock", scorer.clock)
        (result,) = drive(Pointwise(scorer), first, Budget(deadline=0.0))
    assert [c.document.id for c in result] == ["d2", "d3", "d0", "d1"]
    assert all(c.score and c.score.stage == 1 for c in result) and result.trace.reranked
    assert result.trace.reason == "deadline: lengths scored 0/4"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 9000), min_size=1, max_size=12), st.integers(0, 400), st.integers(0, 200), st.booleans())
def test_a_memory_limit_cuts_scoring_short_and_nothing_else(
    lengths: list[int], free: int, grown: int, blend: bool
) -> None:
    """With `free` MiB left at first, and `grown` of them gone for good after the first block."""
    held = [1 << 30]

    class Growing(Lengths):
        calls: ClassVar[list[int]] = []

        def score(self, pairs: Sequence[Pair]) -> Scores:
            self.calls.append(len(pairs))
            held[0] = (1 << 30) + (grown << 20)
            return super().score(pairs)

    Growing.calls = []
    pointwise = Pointwise(Growing())
    stage: Stage = Cascade([pointwise, Blend("lengths", 1.0)]) if blend else pointwise
    given_ = rankings(["x" * n for n in lengths])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("resift.rerank.drive.held", lambda: held[0])
        patch.setattr("resift.rerank.drive.trim", lambda: None)
        (result,) = drive(stage, given_, Budget(memory=(1 << 30) + (free << 20)))
    scored = sum(Growing.calls)
    # A batch takes 64 MiB, a document of 9,000 characters 1.5 more.
    expected = 0 if free < 64 else len(lengths) if free >= 66 and free - grown >= 66 else None
    assert expected is None or scored == expected
    assert sorted(c.document.id for c in result) == sorted(c.document.id for c in given_[0])
    assert not result.trace.reranked or all(c.score for c in result.candidates[:scored])
    assert [c.document.id for c in result.candidates[scored:]] == [f"d{i}" for i in range(scored, len(lengths))]
    cut = f"memory: lengths scored {scored}/{len(lengths)}"
    assert (cut in result.trace.reason) == (scored < len(lengths))


def test_a_long_document_waits_for_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resift.rerank.drive.held", lambda: 1 << 30)
    documents = ["bread", "x" * 500_000, "water"]
    (tight,) = drive(Pointwise(Lengths()), rankings(documents), Budget(memory=(1 << 30) + (80 << 20)))
    assert tight.trace.reason == "memory: lengths scored 1/3"
    (plenty,) = drive(Pointwise(Lengths()), rankings(documents), Budget(memory=(1 << 30) + (400 << 20)))
    assert plenty.trace.reranked and not plenty.trace.reason


@LINUX
def test_the_facade_takes_a_memory_limit(mini: Reranker) -> None:
    documents = [f"the keeper lit lamp {i}" for i in range(50)]
    free, unlimited = (mini.rerank("who lit the lamp", documents, max_memory=size) for size in ("20GiB", None))
    assert free.trace.reranked and not free.trace.reason
    assert [(c.document.id, c.score) for c in free] == [(c.document.id, c.score) for c in unlimited]
    tight = mini.rerank("who lit the lamp", documents, max_memory=1 << 20)
    assert [c.document.id for c in tight] == [str(i) for i in range(50)]
    assert not tight.trace.reranked and tight.trace.reason == "memory: resift-mini-en scored 0/50"
    found = Index.of(documents).search("the keeper's lamp", reranker=mini, max_memory=1 << 20)
    assert found.trace.reason == "memory: resift-mini-en scored 0/50" and len(found) == 10
    for wrong in (0, -1, "much", ""):
        with pytest.raises(InputError, match="max_memory|size"):
            mini.rerank("lamp", documents, max_memory=wrong)


def test_a_memory_limit_where_the_system_tells_nothing(mini: Reranker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resift.reranker.held", lambda: 0)
    with pytest.raises(InputError, match="max_memory"):
        mini.rerank("lamp", ["a"], max_memory="1GiB")


@LINUX
def test_a_process_stays_below_its_memory_limit() -> None:
    """Two hundred documents in one call, with plenty of room and with little."""
    code = (
        "import resift, sys, threading, time; model = resift.load(); model.score([('a', 'b')])\n"
        "documents = [f'{i} ' + 'the keeper lit the lamp ' * 30 for i in range(200)]\n"
        "from resift.machine import held; before, most = held(), [0]\n"
        "def watch():\n"
        "    while True: most[0] = max(most[0], held()); time.sleep(.001)\n"
        "threading.Thread(target=watch, daemon=True).start()\n"
        "ranking = model.rerank('who lit the lamp', documents, max_memory=before + (int(sys.argv[1]) << 20))\n"
        "print(most[0] - before, sum(c.score is not None for c in ranking))"
    )

    def growth(allowed: int) -> tuple[int, int]:
        told = subprocess.run([sys.executable, "-c", code, str(allowed)], capture_output=True, text=True, check=True)
        grown, scored = told.stdout.split()
        return int(grown) >> 20, int(scored)

    plenty, tight = growth(4000), growth(80)
    assert plenty[1] == tight[1] == 200
    assert tight[0] <= 80 and tight[0] < plenty[0]


def test_the_facade_takes_a_deadline(mini: Reranker) -> None:
    documents = [f"{i} the keeper lit the lamp on the island and wrote down the weather" * 9 for i in range(300)]
    mini.score([("lamp", "lamp")])  # reads the weights
    ranking = mini.rerank("who lit the lamp", documents, deadline_ms=150)
    scored = sum(c.score is not None for c in ranking)
    assert len(ranking) == 300 and 0 < scored < 300
    assert ranking.trace.reranked and ranking.trace.reason == f"deadline: resift-mini-en scored {scored}/300"
    assert [c.document.id for c in ranking][scored:] == [str(i) for i in range(scored, 300)]
    found = Index.of(documents).search("the keeper's lamp", reranker=mini, deadline_ms=1e-3)
    assert len(found) == 10 and not found.trace.reranked
    assert found.trace.reason == "deadline: resift-mini-en scored 0/100"
    for wrong in (0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match="more than 0"):
            mini.rerank("lamp", documents, deadline_ms=wrong)


@pytest.mark.parametrize(
    ("retrievers", "weight"), [(("bm25",), 3.0), (("bm25", "dense:other"), 3.0), (("bm25", "dense:m"), 1.25)]
)
def test_a_model_whose_vectors_searched_has_the_weight_of_an_index(retrievers: tuple[str, ...], weight: float) -> None:
    """By hand: two candidates, first opinion z = 1 and -1, scores z = -1 and 1."""
    candidates = []
    for rank, value in enumerate((2.0, 1.0)):
        score = Score(1 - value, ScoreKind.MAXSIM, "m", 1)
        names = ("rrf", *retrievers)
        signals = [Signal(name, rank, Score(value, ScoreKind.FUSED, name, 0)) for name in names]
        document = Document(str(rank), "text")
        candidates.append(Candidate(document, score, (*signals, Signal("m", 1 - rank, score)), rank=rank))
    ranking = Ranking(Query("q"), tuple(candidates), Trace(reranked=True))
    (blended,) = drive(Blend("m", 3.0, 1.25), [ranking])
    assert {c.document.id: c.score and c.score.value for c in blended} == {"0": 1 - weight, "1": weight - 1}


@pytest.mark.parametrize(("embedder", "weight"), [("resift-static-en", 3.0), ("resift-mini-en", 1.25)])
def test_the_weights_of_the_bundled_model(embedder: str, weight: float) -> None:
    texts = ["Bread is baked daily.", "The ferry leaves at nine.", "The ferry is blue.", "A ferry to the island."]
    index = Index.of(texts, embedder=embedder)
    first = "bm25 + dense >> resift-mini-en >> "
    usual, stated = (
        index.run(first + end, "when does the ferry leave?") for end in ("blend", f"blend(weight={weight})")
    )
    assert [(c.document.id, c.score) for c in usual] == [(c.document.id, c.score) for c in stated]
    other = index.run(f"{first}blend(weight={4.25 - weight})", "when does the ferry leave?")
    assert [c.score for c in usual] != [c.score for c in other]
