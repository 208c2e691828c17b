"""The queue hands out every item once, in turns, and knows its size."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resift.errors import Overloaded
from resift.serve.runtime.token_queue import Operation, QueuedRequest, Throughput, TokenQueue, tokens_of

SCORE, EMBED = Operation("score", list), Operation("embed", list)
COSTS = st.lists(st.integers(1, 3000), min_size=1, max_size=20)


def queue(capacity: int = 1000) -> TokenQueue:
    return TokenQueue(capacity, 0.0, Throughput(100.0))


@given(
    st.lists(
        st.tuples(st.sampled_from([SCORE, EMBED]), st.lists(st.integers(1, 3000), min_size=1, max_size=20)), max_size=12
    ),
    st.integers(1, 9000),
    st.sets(st.integers(0, 11)),
)
def test_every_item_is_handed_out_once_unless_dropped(
    requests: list[tuple[Operation, list[int]]], budget: int, dropped: set[int]
) -> None:
    waiting = queue(10**9)
    queued = [QueuedRequest(operation, list(range(len(costs))), costs) for operation, costs in requests]
    for request in queued:
        waiting.put(request)
    for i in dropped & set(range(len(queued))):
        waiting.drop(queued[i])
    parts = []
    while slice_ := waiting.take(budget):
        assert {request.operation for request, _ in slice_.parts} == {slice_.operation}
        assert slice_.tokens == sum(request.costs[p] for request, p in slice_.parts)
        assert slice_.tokens <= budget or len(slice_.parts) == 1
        parts += slice_.parts
    expected = [(id(r), p) for i, r in enumerate(queued) if i not in dropped for p in range(len(r.items))]
    assert sorted((id(r), p) for r, p in parts) == sorted(expected)
    assert waiting.tokens == 0
    assert len(waiting) == 0


def test_small_requests_do_not_wait_for_a_huge_one() -> None:
    waiting = TokenQueue(10**9, 0.0, Throughput(10_000.0))  # in turns of 3,000
    huge = QueuedRequest(SCORE, range(1000), [1000] * 1000)
    small = QueuedRequest(SCORE, range(5), [100] * 5)
    waiting.put(huge)
    waiting.take(1000)
    waiting.put(small)
    before = 0
    while small.next_item < 5:
        slice_ = waiting.take(1000)
        assert slice_ is not None
        before += slice_.tokens
    assert before <= waiting.quantum + 1000
    assert huge.next_item < 20


def test_requests_share_slices() -> None:
    waiting = queue(10**9)
    for _ in range(4):
        waiting.put(QueuedRequest(SCORE, range(2), [10, 10]))
    slice_ = waiting.take(1000)
    assert slice_ is not None
    assert len({id(request) for request, _ in slice_.parts}) == 4


def full() -> TokenQueue:
    """A queue of ten seconds, all but 1,000 of its 100,000 tokens taken, in turns of 3,000."""
    waiting = TokenQueue(100_000, 0.0, Throughput(10_000.0))
    for _ in range(33):
        waiting.put(QueuedRequest(SCORE, range(30), [100] * 30))
    return waiting


def test_a_full_queue_refuses_and_says_when_to_come_again() -> None:
    waiting = full()
    assert waiting.fitting([100] * 30) == 10
    with pytest.raises(Overloaded) as refused:
        waiting.put(QueuedRequest(SCORE, range(30), [100] * 30))
    assert refused.value.retry_after == 1.0  # 2,000 tokens too many are done in 0.2 s
    waiting.put(QueuedRequest(SCORE, range(10), [100] * 10))


def test_a_request_can_be_refused_before_anything_is_done_for_it() -> None:
    waiting = full()
    waiting.check([100] * 10)
    with pytest.raises(Overloaded):
        waiting.check([100] * 11)
    assert waiting.tokens == 99_000


def test_refused_clients_are_told_to_come_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [50.0]
    monkeypatch.setattr("resift.serve.runtime.token_queue.time.monotonic", lambda: now[0])
    waiting = full()
    waits = []
    for _ in range(100):
        with pytest.raises(Overloaded) as refused:
            waiting.put(QueuedRequest(SCORE, range(30), [100] * 30))
        waits.append(refused.value.retry_after)
    assert waits[:6] == pytest.approx([1, 1, 1, 1.1, 1.4, 1.7])  # 0.2 s, and 0.3 s for each before
    assert waits[-1] == pytest.approx(15.2)  # refused requests count for 15 s at most
    now[0] += 15
    with pytest.raises(Overloaded) as refused:
        waiting.put(QueuedRequest(SCORE, range(30), [100] * 30))
    assert refused.value.retry_after == 1.0


def test_requests_longer_than_the_queue_hold_half_of_it() -> None:
    waiting = TokenQueue(0, 1.2, Throughput(10_000.0))  # 12,000 tokens, in turns of 3,000
    for _ in range(2):
        waiting.put(QueuedRequest(SCORE, range(100), [1000] * 100))
    with pytest.raises(Overloaded):
        waiting.put(QueuedRequest(SCORE, range(100), [1000] * 100))
    waiting.put(QueuedRequest(SCORE, range(10), [1000] * 10))  # long, but not longer than the queue
    waiting.put(QueuedRequest(SCORE, range(30), [100] * 30))
    assert waiting.tokens_ahead == waiting.capacity
    with pytest.raises(Overloaded):
        waiting.put(QueuedRequest(SCORE, range(1), [1]))


@pytest.mark.parametrize("rate", [50.0, 4000.0, 30_000.0, 1e6])
def test_a_request_of_any_size_gets_through_beside_a_huge_one(rate: float) -> None:
    waiting = TokenQueue(0, 1.2, Throughput(rate))
    waiting.put(QueuedRequest(SCORE, range(10_000), [waiting.capacity] * 10_000))
    for size in (1, waiting.quantum, waiting.quantum + 1, waiting.capacity):
        request = QueuedRequest(SCORE, range(1), [size])
        waiting.put(request)
        spent = 0
        while request.next_item == 0:
            slice_ = waiting.take(1)
            assert slice_ is not None
            spent += slice_.tokens
        assert spent <= 2 * waiting.capacity + size


def test_one_request_larger_than_the_queue_is_let_in_when_nothing_waits() -> None:
    waiting = queue(1000)
    waiting.put(QueuedRequest(SCORE, range(80), [100] * 80))
    assert waiting.tokens == 8000


def test_the_bound_can_follow_the_throughput() -> None:
    throughput = Throughput(100.0)
    waiting = TokenQueue(0, 5.0, throughput)
    assert waiting.capacity == 8192
    throughput.reset(20_000.0)
    assert waiting.capacity == 100_000


def test_dropping_twice_counts_once() -> None:
    waiting = queue()
    request = QueuedRequest(SCORE, range(4), [10] * 4)
    waiting.put(request)
    waiting.take(10)
    assert waiting.drop(request) == 3
    assert waiting.drop(request) == 0
    assert waiting.tokens == 0


@pytest.mark.parametrize(("text", "tokens"), [("", 1), ("a" * 400, 101), ("日" * 400, 201)])
def test_tokens_are_estimated_from_characters(text: str, tokens: int) -> None:
    assert tokens_of(text) == tokens


def test_the_throughput_follows_what_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("resift.serve.runtime.token_queue.time.monotonic", lambda: now[0])
    throughput = Throughput(100.0)
    throughput.start()
    for _ in range(200):
        now[0] += 0.1
        throughput.add(500)
    assert throughput.rate == pytest.approx(5000, rel=0.01)
    throughput.pause()
    now[0] += 100
    throughput.add(1)  # time in which nothing waited does not count
    assert throughput.rate == pytest.approx(5000, rel=0.01)
