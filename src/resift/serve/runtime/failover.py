"""What happens when a model fails: raise, keep the order, or ask the next model; and when to leave a model alone."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from resift.errors import ModelFailed
from resift.serve.service import OnError

T = TypeVar("T")


class CircuitBreaker:
    """Leaves a model alone after `limit` failures in a row: for `rest_s` seconds nobody asks it, then one request may.

    Its success closes the circuit, its failure opens it again.
    """

    def __init__(self, limit: int, rest_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit, self._rest, self._clock = limit, rest_s, clock
        self._failures, self._resting_until, self._on_trial = 0, 0.0, False

    @property
    def open_for(self) -> float:
        """Seconds until the model may be asked again; 0 when it may be now."""
        if self._failures < self._limit:
            return 0.0
        return max(self._resting_until - self._clock(), 0.0) or (1.0 if self._on_trial else 0.0)

    def enter(self) -> None:
        """Begin a request; raises ModelFailed while the model is left alone."""
        if wait := self.open_for:
            raise ModelFailed(f"the model failed {self._failures} times in a row and is left alone", wait)
        self._on_trial = self._failures >= self._limit

    def leave(self, ok: bool | None) -> None:
        """End a request: whether the model answered; None when that can't be told, as with a client that left."""
        self._on_trial = False
        if ok is None:
            return
        self._failures = 0 if ok else self._failures + 1
        if self._failures >= self._limit:
            self._resting_until = self._clock() + self._rest


@dataclass(frozen=True, slots=True)
class ChainAnswer(Generic[T]):
    """The first answer of a chain of models.

    Attributes:
        answer: None: no model could answer.
        model: the name of the model that answered.
        reasons: why those before it did not.

    """

    answer: T | None
    model: str | None
    reasons: tuple[str, ...] = ()


async def ask_in_turn(
    chain: Sequence[str], breakers: dict[str, CircuitBreaker], run: Callable[[str], Awaitable[T]], on_error: OnError
) -> ChainAnswer[T]:
    """Ask the first model; where it fails, do as `on_error` says.

    Only ModelFailed counts as a failure of a model: a bad request, a wrong name, a full queue are raised as they are.

    Raises:
        ModelFailed: with on_error="raise".

    """
    reasons: list[str] = []
    for name in chain if on_error == "next_stage" else chain[:1]:
        ok: bool | None = None
        try:
            breakers[name].enter()
        except ModelFailed as error:
            if on_error == "raise":
                raise
            reasons.append(f"{name}: {error}")
            continue
        try:
            answer = await run(name)
            ok = True
            return ChainAnswer(answer, name, tuple(reasons))
        except ModelFailed as error:
            ok = False
            if on_error == "raise":
                raise
            reasons.append(f"{name}: {error}")
        finally:
            breakers[name].leave(ok)
    return ChainAnswer(None, None, tuple(reasons))
