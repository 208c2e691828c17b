"""What is written against the library's seams is served unchanged: scorers, caches, stages that ask more than once."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

import resift
from resift import Index, Reranker
from resift.protocols import Ask, Budget, Flow, Stage
from resift.rerank.drive import drive
from resift.score.cache import PairCache
from resift.serve.app import create_app
from resift.serve.runtime.served_models import ServedModel
from resift.serve.settings import DEFAULTS, Settings
from resift.types import Document, ModelInfo, Pair, Query, Ranking, ScoreKind, Scores
from tests.serve.stages import FakeListwise, FakeProgressive, FakeScorer

QUERY = "who lit the lamp in the tower"
# No two begin with words of one length, and the order changes with every word.
WORDS = [
    "aaa",
    "a bbbbb",
    "aaaaaa bbbbbbbbb c",
    "aa b c",
    "aaaaaaaa b",
    "aaaa bbbb",
    "aaaaaaa bbb cccccccccccc dddddddd",
    "aaaaa bb",
]


@contextmanager
def serving(*models: ServedModel, settings: Settings = DEFAULTS, index: Index | None = None) -> Iterator[TestClient]:
    """A server in this process, warm."""
    warm = threading.Event()
    with TestClient(create_app(models, settings, index, on_ready=warm.set)) as client:
        assert warm.wait(30)
        yield client


def ask(client: TestClient, texts: Sequence[str] = WORDS, **fields: Any) -> Any:
    answer = client.post("/api/rerank", json={"query": QUERY, "documents": list(texts), **fields})
    assert answer.status_code == 200, answer.text
    return answer.json()


def order(answer: Any) -> list[int]:
    return [result["index"] for result in answer["results"]]


def ranking(texts: Sequence[str] = WORDS) -> Ranking:
    return Ranking.unscored(Query(QUERY), [Document(str(i), text) for i, text in enumerate(texts)])


def ids(ranked: Ranking) -> list[int]:
    return [int(candidate.document.id) for candidate in ranked]


@dataclass
class Watched:
    """A scorer that counts its calls, and does something before each."""

    before: Callable[[Sequence[Pair]], None] = lambda pairs: None
    info: ModelInfo = FakeScorer.info
    calls: list[list[str]] = field(default_factory=list)

    def score(self, pairs: Sequence[Pair]) -> Scores:
        self.before(pairs)
        self.calls.append([candidate.document.text for _, candidate in pairs])
        return FakeScorer().score(pairs)


def test_a_scorer_of_five_lines_is_served_unchanged() -> None:
    with serving(ServedModel.of(Reranker(FakeScorer()))) as client:
        answer = ask(client)
        assert order(answer) == ids(Reranker(FakeScorer()).rerank(QUERY, WORDS))
        assert (answer["model"], answer["stage"], answer["reranked"]) == ("fake", "fake", True)
        scores = client.post("/api/score", json={"pairs": [[QUERY, "abc"]]}).json()
        assert (scores["kind"], scores["scores"][0]["value"]) == ("logit", 3.0)
        assert ask(client, WORDS, truncate_to=1)["reranked"]  # nobody can cut for it: read whole


def test_a_cache_works_when_served() -> None:
    scorer, cache = Watched(), PairCache()
    with serving(ServedModel.of(Reranker(scorer, cache))) as client:
        assert (cache.lookups, len(cache)) == (0, 0)  # warming leaves it alone
        scorer.calls.clear()
        first = ask(client)
        again = ask(client, [*WORDS, "one more text"])
        client.post("/api/score", json={"pairs": [[QUERY, text] for text in WORDS]})
    texts = [text for call in scorer.calls for text in call]
    assert sorted(texts) == sorted([*WORDS, "one more text"])
    assert (cache.hits, cache.lookups) == (2 * len(WORDS), 3 * len(WORDS) + 1)
    assert [index for index in order(again) if index < len(WORDS)] == order(first)


def test_a_cache_from_an_earlier_run_warms_nothing(tmp_path: Path) -> None:
    """The model itself runs before the server is ready, and what is measured is the model, not the cache."""
    for _ in range(2):
        scorer, cache = Watched(), PairCache(path=tmp_path / "cache")
        with serving(ServedModel.of(Reranker(scorer, cache))):
            assert sum(map(len, scorer.calls)) > 100
        cache.close()


STAGES: list[Callable[[Any], Stage]] = [FakeListwise, FakeProgressive]


@pytest.mark.parametrize("make", STAGES)
def test_a_stage_gives_the_same_order_in_the_library_and_in_the_server(make: Callable[[Any], Stage]) -> None:
    (expected,) = drive(make(FakeScorer()), [ranking()])
    scorer = Watched()
    with serving(ServedModel.of_stage(make(scorer), ScoreKind.LOGIT, "ours")) as client:
        scorer.calls.clear()
        answer = ask(client)
        refused = client.post("/api/score", json={"pairs": [[QUERY, "a"]]})
    assert order(answer) == ids(expected) != list(range(len(WORDS)))
    assert [result["score"]["value"] for result in answer["results"]] == [c.score.value for c in expected if c.score]
    assert (answer["model"], answer["stage"], answer["reranked"], answer["reason"]) == ("ours", "ours", True, "")
    assert (refused.status_code, "orders lists" in refused.text) == (422, True)
    sizes = [len(call) for call in scorer.calls]
    assert sizes == ([8] if make is FakeListwise else [8, 4, 2])


@dataclass
class Clock:
    """Time that only a scorer's calls move, by one second each."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now

    def tick(self, pairs: Sequence[Pair]) -> None:
        self.now += 1


@pytest.mark.parametrize(("rounds", "words"), [(1, (1,)), (2, (1, 2))])
def test_a_deadline_in_the_library_keeps_the_best_order_so_far(
    monkeypatch: pytest.MonkeyPatch, rounds: int, words: tuple[int, ...]
) -> None:
    clock = Clock()
    monkeypatch.setattr("resift.rerank.drive.clock", clock)
    scorer = Watched(clock.tick)
    (cut,) = drive(FakeProgressive(scorer), [ranking()], Budget(deadline=rounds - 0.5))
    (expected,) = drive(FakeProgressive(FakeScorer(), words), [ranking()])
    assert len(scorer.calls) == rounds
    assert (ids(cut), cut.trace.steps[0].pairs) == (ids(expected), 8)
    assert cut.trace.reranked and "words: scored 0/" in cut.trace.reason


def test_a_deadline_in_the_library_leaves_a_list_in_its_order() -> None:
    scorer = Watched()
    (cut,) = drive(FakeListwise(scorer), [ranking()], Budget(deadline=0.0))
    assert (ids(cut), cut.trace.reranked, scorer.calls) == (list(range(8)), False, [])
    assert cut.trace.reason == "deadline: fake scored 0/8"


@dataclass
class Blocked:
    """Holds up every call of the test's query after the first `free` ones, until it is released."""

    free: int
    released: threading.Event = field(default_factory=threading.Event)
    calls: int = 0

    def __call__(self, pairs: Sequence[Pair]) -> None:
        if pairs[0][0].text == QUERY:
            self.calls += 1
            if self.calls > self.free:
                self.released.wait(30)


@pytest.mark.parametrize(("rounds", "words"), [(1, (1,)), (2, (1, 2))])
def test_a_deadline_in_the_server_keeps_the_best_order_so_far(rounds: int, words: tuple[int, ...]) -> None:
    blocked = Blocked(rounds)
    (expected,) = drive(FakeProgressive(FakeScorer(), words), [ranking()])
    with serving(ServedModel.of_stage(FakeProgressive(Watched(blocked)), ScoreKind.LOGIT)) as client:
        try:
            answer = ask(client, deadline_ms=1500)
        finally:
            blocked.released.set()
    assert order(answer) == ids(expected)
    assert answer["reranked"] and "words: scored 0/" in answer["reason"]


def test_a_deadline_in_the_server_leaves_a_list_in_its_order() -> None:
    blocked = Blocked(0)
    with serving(ServedModel.of_stage(FakeListwise(Watched(blocked)), ScoreKind.LOGIT)) as client:
        try:
            answer = ask(client, deadline_ms=500)
        finally:
            blocked.released.set()
    assert (order(answer), answer["reranked"]) == (list(range(8)), False)
    assert answer["reason"] == "deadline: fake scored 0/8"
    assert all(result["flags"] == ["deadline"] for result in answer["results"])


class Failing:
    """A stage with a mistake in it, which shows for one query."""

    name = "failing"

    def order(self, ranking: Ranking) -> Flow:
        yield Ask(FakeScorer(), tuple((ranking.query, candidate) for candidate in ranking))
        if ranking.query.text == QUERY:
            raise KeyError("the lamp")
        return ranking


def test_an_error_in_a_stage_is_told_as_a_failure_of_the_model() -> None:
    with serving(ServedModel.of_stage(Failing(), ScoreKind.LOGIT)) as client:
        failed = client.post("/api/rerank", json={"query": QUERY, "documents": WORDS})
        left = ask(client, on_error="keep_order")
    body = failed.json()
    assert (failed.status_code, body["error_type"]) == (503, "ModelFailed")
    assert body["message"] == "the stage failing failed: KeyError"
    assert (order(left), left["stage"], left["reason"]) == (list(range(8)), "input", f"failing: {body['message']}")


def test_a_stage_that_can_never_run_is_told_to_the_owner() -> None:
    class Broken(Failing):
        def order(self, ranking: Ranking) -> Flow:
            raise KeyError("no such setting")

    errors: list[Exception] = []
    reported = threading.Event()

    def on_broken(error: Exception) -> None:
        errors.append(error)
        reported.set()

    app = create_app([ServedModel.of_stage(Broken(), ScoreKind.LOGIT)], on_broken=on_broken)
    with TestClient(app) as client:
        assert reported.wait(30)
        assert client.get("/ready").status_code == 503
    assert str(errors[0]) == "the stage failing failed: KeyError"


def test_search_and_rerank_are_those_of_the_library(mini: Reranker) -> None:
    corpus = Path(__file__).parent.parent / "data" / "corpus"
    index = Index.of(resift.files.read_paths([corpus]))
    texts = [document.text for document in index.documents]
    with serving(ServedModel.of(mini), index=index) as client:
        assert order(ask(client, texts)) == ids(mini.rerank(QUERY, texts))
        answer = client.post("/api/search", json={"query": QUERY}).json()
    expected = index.search(QUERY, reranker=mini)
    assert [result["id"] for result in answer["results"]] == [candidate.document.id for candidate in expected]
