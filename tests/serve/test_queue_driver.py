"""What the server's driver promises to stages and their requests, with stages and scorers that misbehave."""

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any, NoReturn

import pytest

from resift.errors import InputError, KindError, ModelFailed, Overloaded, ResiftError
from resift.protocols import Ask, Flow, Stage
from resift.rerank.pointwise import Pointwise
from resift.serve.runtime.metrics import Metrics
from resift.serve.runtime.queue_driver import UNLIMITED_REQUEST, QueueDriver, RequestLimits
from resift.serve.runtime.stage_run import StageRun
from resift.serve.runtime.token_queue import Operation, QueuedRequest, QueueSlice, Throughput, TokenQueue
from resift.serve.runtime.workers import WorkerLimits, Workers
from resift.types import Document, Flag, Pair, Query, Ranking, Scores
from tests.serve.stages import FakeListwise, FakeProgressive, FakeScorer


class SliceNames:
    """Records the operation of each slice."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def slice_done(self, slice_: QueueSlice, seconds: float, errors: Sequence[Exception], hung: bool) -> None:
        self.names.append(slice_.operation.name)


class Bench:
    """A driver over a small queue, on the running event loop."""

    def __init__(self, capacity: int = 10_000, stall_s: float = 20.0) -> None:
        self.slices = SliceNames()
        self.queue = TokenQueue(capacity, 0.0, Throughput(10_000.0))
        self.workers = Workers(self.queue, WorkerLimits(2, stall_s), self.slices)
        self.driver = QueueDriver(self.queue, self.workers, Metrics(), stall_s)

    def hold_all_streams(self, waiting: int = 0) -> threading.Event:
        """Occupy the workers, and the queue with so many requests of 100 tokens, until the event is set."""
        released = threading.Event()
        hold = Operation("hold", lambda items: [released.wait(20)] * len(items))
        for _ in range(3 + waiting):
            self.workers.submit(QueuedRequest(hold, [0], [100]))
        return released

    async def drive(self, stage: Stage, ranking: Ranking, limits: RequestLimits = UNLIMITED_REQUEST) -> Ranking:
        return await self.driver.drive(stage, ranking, limits, "model")


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 30))


def ranking(count: int = 4) -> Ranking:
    return Ranking.unscored(Query("lamp"), [Document(str(i), " ".join(["word"] * (i + 1))) for i in range(count)])


class FromCode:
    """A stage of one function."""

    name = "ours"

    def __init__(self, code: Callable[[Ranking], Flow]) -> None:
        self.code = code

    def order(self, ranking: Ranking) -> Flow:
        return self.code(ranking)


def ask_for(ranking: Ranking, scorer: Any) -> Ask:
    return Ask(scorer, tuple((ranking.query, candidate) for candidate in ranking))


# Operations: one for each scorer, alive as long as somebody asks it


def test_a_scorer_of_each_request_leaves_nothing_behind() -> None:
    alive: list[weakref.ref[FakeScorer]] = []

    def code(ranking: Ranking) -> Flow:
        scorer = FakeScorer()
        alive.append(weakref.ref(scorer))
        yield ask_for(ranking, scorer)
        return ranking

    async def test() -> None:
        bench = Bench()
        await asyncio.gather(*(bench.drive(FromCode(code), ranking()) for _ in range(30)))
        await bench.workers.idle()
        gc.collect()
        assert len(alive) == 30 and not any(scorer() for scorer in alive)
        assert set(bench.slices.names) == {"score model"}  # rows of metrics, of which there must be few
        assert not bench.driver._operations

    run(test)


def test_two_tasks_that_ask_one_scorer_share_an_operation() -> None:
    async def test() -> None:
        bench, scorer = Bench(), FakeScorer()
        first, second = bench.driver.operation("a", scorer), bench.driver.operation("b", scorer)
        assert first is second and first.name == "a"
        assert bench.driver.operation("c", scorer, whole=True) is not first
        assert bench.driver.operation("d", FakeScorer()) is not first

    run(test)


def test_requests_of_one_scorer_share_slices() -> None:
    sizes: list[int] = []

    class Counting(FakeScorer):
        def score(self, pairs: Sequence[Pair]) -> Scores:
            sizes.append(len(pairs))
            return super().score(pairs)

    async def test() -> None:
        bench, scorer = Bench(), Counting()
        released = bench.hold_all_streams()
        driving = [asyncio.ensure_future(bench.drive(Pointwise(scorer), ranking())) for _ in range(5)]
        while len(bench.queue) < 5:
            await asyncio.sleep(0.01)
        released.set()
        await asyncio.gather(*driving)
        assert sum(sizes) == 20 and len(sizes) < 5

    run(test)


# What goes wrong inside a stage is the stage's failure


def raising(error: BaseException, after_ask: bool) -> Callable[[Ranking], Flow]:
    def code(ranking: Ranking) -> Flow:
        if after_ask:
            yield ask_for(ranking, FakeScorer())
        raise error

    return code


def bad_ask(ranking: Ranking) -> Any:
    yield "score them, please"


def no_ranking(ranking: Ranking) -> Any:
    yield ask_for(ranking, FakeScorer())
    return list(ranking)


def lost_candidate(ranking: Ranking) -> Flow:
    yield ask_for(ranking, FakeScorer())
    return replace(ranking, candidates=ranking.candidates[1:])


def not_a_generator(ranking: Ranking) -> Any:
    raise ValueError("the lamp")


FAILURES = [
    (raising(ValueError("the lamp"), False), "the stage ours failed: ValueError"),
    (raising(ValueError("the lamp"), True), "the stage ours failed: ValueError"),
    (raising(SystemExit("the lamp"), True), "the stage ours failed: SystemExit"),
    (raising(KindError("two kinds"), True), "the stage ours failed: two kinds"),
    (raising(ModelFailed("no answer"), True), "no answer"),
    (bad_ask, "the stage ours failed: TypeError"),
    (not_a_generator, "the stage ours failed: ValueError"),
    (no_ranking, "the stage ours returned no ranking"),
    (lost_candidate, "the stage ours returned 3 candidates for 4, or others than those"),
]


@pytest.mark.parametrize(("code", "message"), FAILURES)
@pytest.mark.parametrize("quick", [True, False])
def test_an_error_in_a_stage_is_a_model_that_failed(code: Any, message: str, quick: bool) -> None:
    async def test() -> None:
        with pytest.raises(ModelFailed) as failure:
            await Bench().driver.drive(FromCode(code), ranking(), UNLIMITED_REQUEST, "model", quick)
        assert str(failure.value) == message

    run(test)


@pytest.mark.parametrize("error", [InputError("no such field"), Overloaded("full", 1.0)])
def test_a_stage_may_refuse_a_request(error: ResiftError) -> None:
    async def test() -> None:
        with pytest.raises(type(error)) as refusal:
            await Bench().drive(FromCode(raising(error, True)), ranking())
        assert refusal.value is error

    run(test)


def test_a_stage_that_hangs_is_left_behind_and_closed_at_its_end() -> None:
    released, closed = threading.Event(), threading.Event()

    def code(ranking: Ranking) -> Flow:
        try:
            yield ask_for(ranking, FakeScorer())
            released.wait(20)
            yield ask_for(ranking, FakeScorer())
        finally:
            closed.set()
        return ranking

    async def test() -> None:
        bench = Bench(stall_s=0.3)
        with pytest.raises(ModelFailed, match="the stage ours did not go on within 0.3 s"):
            await bench.drive(FromCode(code), ranking())
        assert not closed.is_set()
        released.set()
        while not closed.is_set():
            await asyncio.sleep(0.01)

    run(test)


def test_many_stages_that_hang_do_not_hold_up_others() -> None:
    released = threading.Event()

    def code(ranking: Ranking) -> Flow:
        released.wait(20)
        yield ask_for(ranking, FakeScorer())
        return ranking

    async def test() -> None:
        bench = Bench(stall_s=0.2)
        hanging = [asyncio.ensure_future(bench.drive(FromCode(code), ranking())) for _ in range(100)]
        results = await asyncio.gather(*hanging, return_exceptions=True)
        assert all(isinstance(result, ModelFailed) for result in results)
        assert (await bench.drive(Pointwise(FakeScorer()), ranking())).trace.reranked
        released.set()

    run(test)


# A client that leaves


@pytest.mark.parametrize("where", ["scores", "code"])
def test_a_stage_is_closed_when_its_client_leaves(where: str) -> None:
    arrived, released, closed = threading.Event(), threading.Event(), threading.Event()

    class Blocked(FakeScorer):
        def score(self, pairs: Sequence[Pair]) -> Scores:
            if where == "scores":
                arrived.set()
                released.wait(20)
            return super().score(pairs)

    def code(ranking: Ranking) -> Flow:
        try:
            yield ask_for(ranking, Blocked())
            if where == "code":
                arrived.set()
                released.wait(20)
            yield ask_for(ranking, Blocked())
        finally:
            closed.set()
        return ranking

    async def test() -> None:
        bench = Bench()
        driving = asyncio.ensure_future(bench.drive(FromCode(code), ranking()))
        while not arrived.is_set():
            await asyncio.sleep(0.01)
        driving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await driving
        assert closed.is_set() is (where == "scores")
        released.set()
        while not closed.is_set():
            await asyncio.sleep(0.01)
        await bench.workers.idle()
        assert bench.queue.tokens == len(bench.queue) == 0

    run(test)


def test_a_stage_that_does_not_let_itself_be_closed_harms_nobody() -> None:
    def code(ranking: Ranking) -> Any:
        while True:
            try:
                yield ask_for(ranking, FakeScorer())
            except GeneratorExit:
                raise ValueError("not now") from None

    async def test() -> None:
        stage_run = StageRun(FromCode(code), ranking(), 5.0, asyncio.Semaphore(1))
        await stage_run.advance()
        stage_run.close()
        stage_run.close()

    run(test)


# Which code runs where


@pytest.mark.parametrize(("quick", "count", "on_loop"), [(True, 3, True), (False, 3, False), (True, 500, False)])
def test_only_quick_code_runs_on_the_event_loop(quick: bool, count: int, on_loop: bool) -> None:
    threads: list[threading.Thread | int] = []

    def code(ranking: Ranking) -> Flow:
        threads.append(threading.get_ident())
        yield ask_for(ranking, FakeScorer())
        threads.append(threading.get_ident())
        return ranking

    async def test() -> None:
        await Bench(10**9).driver.drive(FromCode(code), ranking(count), UNLIMITED_REQUEST, "model", quick)
        here = threading.get_ident()
        assert threads[0] != here
        assert (threads[1] == here) is on_loop

    run(test)


# Room and time


def test_a_request_that_was_let_in_is_not_refused_half_way() -> None:
    first_round = threading.Event()
    full = threading.Event()

    def code(ranking: Ranking) -> Flow:
        yield ask_for(ranking, FakeScorer())
        first_round.set()
        full.wait(20)
        scores = yield ask_for(ranking, FakeScorer())
        assert all(value is not None for value in scores.values)
        return ranking

    async def test() -> None:
        bench = Bench(capacity=400)
        driving = asyncio.ensure_future(bench.drive(FromCode(code), ranking()))
        while not first_round.is_set():
            await asyncio.sleep(0.01)
        released = bench.hold_all_streams(waiting=4)
        full.set()
        while len(bench.queue) < 5:
            assert not driving.done(), driving
            await asyncio.sleep(0.01)
        with pytest.raises(Overloaded):
            await bench.drive(Pointwise(FakeScorer()), ranking())
        released.set()
        assert len(await driving) == 4

    run(test)


@pytest.mark.parametrize("stage", [Pointwise, FakeListwise])
def test_nothing_is_begun_after_the_deadline(stage: Callable[[Any], Stage]) -> None:
    class Never(FakeScorer):
        def score(self, pairs: Sequence[Pair]) -> NoReturn:
            raise AssertionError("asked in vain")

    async def test() -> None:
        late = await Bench().drive(stage(Never()), ranking(), RequestLimits(deadline=0.0))
        assert [candidate.flags for candidate in late] == [{Flag.DEADLINE}] * 4
        assert late.trace.reason == "deadline: fake scored 0/4"

    run(test)


def test_of_nothing_nothing_is_asked() -> None:
    async def test() -> None:
        bench = Bench()
        for stage in (Pointwise(FakeScorer()), FakeListwise(FakeScorer()), FakeProgressive(FakeScorer())):
            assert len(await bench.drive(stage, Ranking(Query("lamp")))) == 0
        assert not bench.slices.names

    run(test)


@pytest.mark.parametrize("stage", [Pointwise, FakeListwise])
def test_a_judgement_too_few_is_an_error(stage: Callable[[Any], Stage]) -> None:
    class Forgetful(FakeScorer):
        def score(self, pairs: Sequence[Pair]) -> Scores:
            return super().score(pairs[1:])

    async def test() -> None:
        with pytest.raises(ModelFailed, match="fake gave .* judgements for .* pairs"):
            await Bench().drive(stage(Forgetful()), ranking())

    run(test)


def test_documents_of_a_list_are_cut_as_those_of_pairs() -> None:
    class Cutting(FakeScorer):
        def start_of(self, text: str, tokens: int) -> str:
            return " ".join(text.split()[:tokens])

    async def test() -> None:
        limits = RequestLimits(truncate_to=2)
        pairs, whole = [await Bench().drive(stage(Cutting()), ranking(), limits) for stage in (Pointwise, FakeListwise)]
        assert [candidate.score for candidate in whole] == [candidate.score for candidate in pairs]
        assert {candidate.document.id for candidate in whole if Flag.TRUNCATED in candidate.flags} == {"2", "3"}
        assert max(c.score.value for c in whole if c.score) == len("word word")

    run(test)
