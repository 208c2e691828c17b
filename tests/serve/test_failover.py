"""Breakers, chains, and how the items of a failing slice are found."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resift.errors import InputError, ModelFailed, Overloaded
from resift.serve.runtime.failover import CircuitBreaker, ask_in_turn
from resift.serve.runtime.workers import isolate_failures


def test_a_breaker_opens_rests_and_lets_one_try() -> None:
    now = [0.0]
    breaker = CircuitBreaker(2, 10.0, lambda: now[0])
    for _ in range(2):
        breaker.enter()
        breaker.leave(False)
    with pytest.raises(ModelFailed) as refused:
        breaker.enter()
    assert refused.value.retry_after == pytest.approx(10.0)
    now[0] = 10.5
    breaker.enter()
    with pytest.raises(ModelFailed):  # one at a time
        breaker.enter()
    breaker.leave(False)
    assert breaker.open_for == pytest.approx(10.0)
    now[0] = 21.0
    breaker.enter()
    breaker.leave(True)
    breaker.enter()
    assert breaker.open_for == 0


def test_a_client_that_left_counts_neither_way() -> None:
    breaker = CircuitBreaker(1, 10.0)
    breaker.enter()
    breaker.leave(None)
    assert breaker.open_for == 0


def run(chain: list[str], failing: dict[str, Exception], on_error: str) -> tuple[str | None, str]:
    async def ask(name: str) -> str:
        if name in failing:
            raise failing[name]
        return f"by {name}"

    breakers = {name: CircuitBreaker(3, 10.0) for name in chain}
    attempted = asyncio.run(ask_in_turn(chain, breakers, ask, on_error))  # type: ignore[arg-type]
    return attempted.model, "; ".join(attempted.reasons)


def test_the_next_stage_is_asked_and_the_reason_kept() -> None:
    down = {"a": ModelFailed("out of memory")}
    assert run(["a", "b"], down, "next_stage") == ("b", "a: out of memory")
    assert run(["a", "b"], down, "keep_order") == (None, "a: out of memory")
    assert run(["a", "b"], down | {"b": ModelFailed("hung")}, "next_stage") == (None, "a: out of memory; b: hung")
    with pytest.raises(ModelFailed, match="out of memory"):
        run(["a", "b"], down, "raise")


@pytest.mark.parametrize("error", [InputError("no word"), Overloaded("full", 1.0)])
def test_what_is_no_failure_of_the_model_is_not_masked(error: Exception) -> None:
    for on_error in ("raise", "keep_order", "next_stage"):
        with pytest.raises(type(error)):
            run(["a", "b"], {"a": error}, on_error)


@given(st.integers(1, 200), st.sets(st.integers(0, 199), max_size=3))
def test_exactly_the_bad_items_fail(count: int, bad: set[int]) -> None:
    calls = 0

    def compute(items: Sequence[int]) -> list[int]:
        nonlocal calls
        calls += 1
        if bad & set(items):
            raise ValueError("poison")
        return [10 * i for i in items]

    outcomes = isolate_failures(compute, list(range(count)))
    for i, outcome in enumerate(outcomes):
        assert isinstance(outcome, ValueError) if i in bad else outcome == 10 * i
    assert calls <= 64


def test_a_broken_model_is_not_asked_item_by_item() -> None:
    calls = 0

    def compute(items: Sequence[int]) -> list[int]:
        nonlocal calls
        calls += 1
        raise ValueError("broken")

    outcomes = isolate_failures(compute, list(range(5000)))
    assert all(isinstance(o, ValueError) for o in outcomes)
    assert calls <= 64


def test_a_result_too_few_is_an_error() -> None:
    assert isinstance(isolate_failures(lambda items: [], [1])[0], ModelFailed)
