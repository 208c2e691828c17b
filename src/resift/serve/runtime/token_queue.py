"""The one queue of a server: bounded in tokens, shared by all requests, handed out in slices.

All of it lives on the event loop; only `Slice.items` is read by other threads.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from resift.errors import Overloaded

_TURN = 0.3  # seconds of work, at most, that a request gets before the next one has its turn
_LEAST = 8192  # tokens that a queue bounded in seconds holds at least, however slow the model
_PROMISED = 15.0  # seconds of work, at most, that refused clients count as: many never come again


def tokens_of(text: str) -> int:
    """About how many tokens a text has: a quarter of its characters, half where they are not ASCII; never under 1."""
    return 1 + len(text) // (4 if text.isascii() else 2)


@dataclass(eq=False, slots=True)
class Work:
    """One request in the queue: n items of one lane, each with its cost in tokens.

    `outcomes` holds a result or an exception for each item that is done, None for the others; `finished` is set when
    none is left. Items are handed out in order.
    """

    lane: str
    items: Sequence[Any]
    costs: Sequence[int]
    until: float | None = None  # its deadline on the monotonic clock
    outcomes: list[Any] = field(default_factory=list)
    finished: asyncio.Event = field(default_factory=asyncio.Event)
    next: int = 0
    done: int = 0
    left: int = 0  # tokens not handed out yet
    turn: int = 0  # tokens handed out since this request came to the head of the queue
    dropped: bool = False

    def __post_init__(self) -> None:
        self.outcomes = [None] * len(self.items)
        self.left = sum(self.costs)

    def settle(self, position: int, outcome: Any) -> None:  # noqa: ANN401 - a lane's own result
        """Note an item's outcome."""
        self.outcomes[position] = outcome
        self.done += 1
        if self.done == len(self.items):
            self.finished.set()


@dataclass(frozen=True, slots=True)
class Slice:
    """What one worker computes at once: items of one lane, of one or more requests."""

    lane: str
    parts: tuple[tuple[Work, int], ...]
    tokens: int

    @property
    def items(self) -> list[Any]:
        """The items, in the order of `parts`."""
        return [work.items[position] for work, position in self.parts]


class Drain:
    """How many tokens a second the workers get through while there is work for all of them; the last seconds count."""

    def __init__(self, first_guess: float) -> None:
        self._tokens, self._seconds = first_guess, 1.0
        self._since: float | None = None

    def begin(self) -> None:
        """Work for all workers is there from now on."""
        if self._since is None:
            self._since = time.monotonic()

    def pause(self) -> None:
        """A worker has nothing to do."""
        self._since = None

    def finished(self, tokens: int) -> None:
        """So many tokens are done."""
        if self._since is None:
            return
        now = time.monotonic()
        seconds, self._since = now - self._since, now
        keep = 0.5 ** (seconds / 2.0)  # half-life of two seconds
        self._tokens, self._seconds = keep * self._tokens + tokens, keep * self._seconds + seconds

    def assume(self, rate: float) -> None:
        """Start again from a measured rate."""
        self._tokens, self._seconds, self._since = rate, 1.0, None

    @property
    def rate(self) -> float:
        """Tokens a second; above 0."""
        return max(1.0, self._tokens / max(self._seconds, 1e-3))


class TokenQueue:
    """Requests in turn: each gets up to a `quantum` of tokens, then goes to the back.

    What is bounded is `ahead`: the tokens that a new request waits for, a quantum at most of each one there before.
    Requests longer than the queue (more than `capacity` tokens) may hold half of it, so that they can't starve others.

    Args:
        fixed: the bound in tokens; 0: as many as the workers get through in `seconds`, at the present rate, and 8,192
            at least. One request is always let in when nothing waits.
        seconds: see `fixed`.
        drain: tells the present rate, and so when a refused client should come again.

    """

    def __init__(self, fixed: int, seconds: float, drain: Drain) -> None:
        self._fixed, self._seconds, self.drain = fixed, seconds, drain
        self._waiting: deque[Work] = deque()
        self.tokens = 0  # waiting, not handed out
        self._promised, self._told = 0.0, 0.0  # tokens that refused clients were told to come again with, and when

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def until(self) -> float | None:
        """The deadline of the request whose turn it is."""
        return self._waiting[0].until if self._waiting else None

    @property
    def capacity(self) -> int:
        """The most tokens that may be ahead of a new request."""
        return self._fixed or max(_LEAST, int(self.drain.rate * self._seconds))

    @property
    def quantum(self) -> int:
        """Tokens of one turn: a quarter of the capacity at most, so that turns of four requests fit into it."""
        return max(1, min(self.capacity // 4, int(self.drain.rate * _TURN)))

    @property
    def ahead(self) -> int:
        """Tokens that a new request waits for."""
        quantum = self.quantum
        return sum(min(work.left, quantum) for work in self._waiting)

    def _long(self) -> list[int]:
        """What is left of the requests longer than the queue."""
        capacity = self.capacity
        return [work.left for work in self._waiting if work.left > capacity]

    def fitting(self, costs: Sequence[int]) -> int:
        """How many items from the first find room now; all of them when nothing waits."""
        total, quantum = sum(costs), self.quantum
        room = self.capacity - self.ahead
        crowded = total > self.capacity and 2 * (1 + len(self._long())) * quantum > self.capacity
        if not self.tokens or (min(total, quantum) <= room and not crowded):
            return len(costs)
        return sum(1 for so_far in accumulate(costs) if so_far <= min(room, quantum))

    def check(self, costs: Sequence[int]) -> None:
        """Refuse a request of these items before any work is done for it.

        Raises:
            Overloaded: it does not fit.

        """
        if self.fitting(costs) == len(costs):
            return
        ahead, capacity, turn = self.ahead, self.capacity, min(sum(costs), self.quantum)
        excess = ahead + turn - capacity
        wait = self._wait(excess if excess > 0 else min(self._long(), default=0), turn)
        raise Overloaded(f"{ahead} tokens wait already, of {capacity} at most; come again in {wait:.0f} s", wait)

    def put(self, work: Work) -> None:
        """Queue a request whole; raises as `check` does."""
        self.check(work.costs)
        self.tokens += work.left
        self._waiting.append(work)

    def _wait(self, excess: int, tokens: int) -> float:
        """Seconds until a refused request finds room, after those refused before it: not all may come at once."""
        now, rate = time.monotonic(), self.drain.rate
        self._promised = max(0.0, self._promised - (now - self._told) * rate)
        wait = min(60.0, max(1.0, (excess + self._promised) / rate))
        self._promised, self._told = min(self._promised + tokens, _PROMISED * rate), now
        return wait

    def take(self, budget: int) -> Slice | None:
        """The next slice of about `budget` tokens, at least one item; None when nothing waits."""
        if not self._waiting:
            return None
        lane, spent = self._waiting[0].lane, 0
        parts: list[tuple[Work, int]] = []
        for work in list(self._turns(lane)):
            while work.next < len(work.items) and (not parts or spent + work.costs[work.next] <= budget):
                parts.append((work, work.next))
                spent += work.costs[work.next]
                work.turn += work.costs[work.next]
                work.left -= work.costs[work.next]
                work.next += 1
            self._move_on(work)
            if spent >= budget or work.next < len(work.items):
                break
        self.tokens -= spent
        return Slice(lane, tuple(parts), spent)

    def _turns(self, lane: str) -> Iterator[Work]:
        return (w for w in self._waiting if w.lane == lane)

    def _move_on(self, work: Work) -> None:
        """Take a request that is handed out whole off the queue; send one that had its turn to the back."""
        if work.next == len(work.items):
            self._waiting.remove(work)
        elif work.turn >= self.quantum:
            self._waiting.remove(work)
            work.turn = 0
            self._waiting.append(work)

    def drop(self, work: Work) -> int:
        """Forget what was not handed out yet; return how many items that is. What is being computed ends unheard."""
        left = len(work.items) - work.next
        if not work.dropped and left:
            self.tokens -= work.left
            work.left = 0
            work.next = len(work.items)
            self._waiting.remove(work)
        work.dropped = True
        return left
