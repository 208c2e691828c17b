"""The one queue of a server: bounded in tokens, shared by all requests, handed out in slices.

All of it lives on the event loop; only `QueueSlice.items` and operations are used by other threads.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from resift.errors import Overloaded

_TURN_SECONDS = 0.3  # of work, at most, that a request gets before the next one has its turn
_SMALLEST_CAPACITY = 8192  # tokens that a queue bounded in seconds holds at least, however slow the model is
_RETURNING_SECONDS = 15.0  # of work, at most, that refused clients count as: many of them never come again

Compute = Callable[[Sequence[Any]], Sequence[Any]]  # takes items and returns as many results, in their order


def tokens_of(text: str) -> int:
    """About how many tokens a text has: a quarter of its characters, half where they are not ASCII; never under 1."""
    return 1 + len(text) // (4 if text.isascii() else 2)


@dataclass(frozen=True, eq=False, slots=True, weakref_slot=True)
class Operation:
    """What workers do with items: score pairs with one scorer, embed texts in one role, and so on.

    Attributes:
        name: the operation in metrics and logs, where it is called the lane.
        compute: does it; called on threads.

    """

    name: str
    compute: Compute


@dataclass(eq=False, slots=True)
class QueuedRequest:
    """One request in the queue: n items of one operation, each with its cost in tokens.

    `outcomes` holds a result or an exception for each item that is done, None for the others; `finished` is set when
    none is left. Items are handed out in order.
    """

    operation: Operation
    items: Sequence[Any]
    costs: Sequence[int]
    deadline: float | None = None  # on the monotonic clock
    outcomes: list[Any] = field(default_factory=list)
    finished: asyncio.Event = field(default_factory=asyncio.Event)
    next_item: int = 0  # the first position that was not handed out yet
    completed: int = 0  # how many items have an outcome
    tokens_left: int = 0  # of the items that were not handed out yet
    tokens_this_turn: int = 0  # handed out since this request came to the head of the queue
    dropped: bool = False

    def __post_init__(self) -> None:
        self.outcomes = [None] * len(self.items)
        self.tokens_left = sum(self.costs)

    def settle(self, position: int, outcome: Any) -> None:  # noqa: ANN401 - whatever the operation gives
        """Store an item's outcome."""
        self.outcomes[position] = outcome
        self.completed += 1
        if self.completed == len(self.items):
            self.finished.set()


@dataclass(frozen=True, slots=True)
class QueueSlice:
    """What one worker computes at once: items of one operation, of one or more requests."""

    operation: Operation
    parts: tuple[tuple[QueuedRequest, int], ...]
    tokens: int

    @property
    def items(self) -> list[Any]:
        """The items, in the order of `parts`."""
        return [request.items[position] for request, position in self.parts]


class Throughput:
    """How many tokens a second the workers compute while there is work for all of them; the last seconds count."""

    def __init__(self, first_guess: float) -> None:
        self._tokens, self._seconds = first_guess, 1.0
        self._since: float | None = None

    def start(self) -> None:
        """Run the clock: from now on there is work for all workers."""
        if self._since is None:
            self._since = time.monotonic()

    def pause(self) -> None:
        """Stop the clock: a worker has nothing to do."""
        self._since = None

    def add(self, tokens: int) -> None:
        """Count tokens that were computed, over the time since the last call."""
        if self._since is None:
            return
        now = time.monotonic()
        seconds, self._since = now - self._since, now
        keep = 0.5 ** (seconds / 2.0)  # half-life of two seconds
        self._tokens, self._seconds = keep * self._tokens + tokens, keep * self._seconds + seconds

    def reset(self, rate: float) -> None:
        """Start again from a measured rate."""
        self._tokens, self._seconds, self._since = rate, 1.0, None

    @property
    def rate(self) -> float:
        """Tokens a second; above 0."""
        return max(1.0, self._tokens / max(self._seconds, 1e-3))


class TokenQueue:
    """Requests in turn: each gets up to a `quantum` of tokens, then goes to the back.

    What is bounded is `tokens_ahead`: the tokens that a new request waits for, a quantum at most of each request that
    is there before it. Requests longer than the queue (more than `capacity` tokens) may hold half of it, so that they
    can't starve others.

    Args:
        fixed: the bound in tokens; 0: as many as the workers compute in `seconds`, at the present rate, and 8,192 at
            least. One request is always let in when nothing waits.
        seconds: see `fixed`.
        throughput: the present rate, from which follows when a refused client should come again.

    """

    def __init__(self, fixed: int, seconds: float, throughput: Throughput) -> None:
        self._fixed, self._seconds, self.throughput = fixed, seconds, throughput
        self._waiting: deque[QueuedRequest] = deque()
        self.tokens = 0  # of all items that were not handed out yet
        self._returning_tokens = 0.0  # of refused requests, whose clients were told to come again
        self._returning_at = 0.0  # when that number was right; from then on it falls at the rate of the throughput

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def deadline(self) -> float | None:
        """The deadline of the request whose turn it is."""
        return self._waiting[0].deadline if self._waiting else None

    @property
    def capacity(self) -> int:
        """The most tokens that may be ahead of a new request."""
        return self._fixed or max(_SMALLEST_CAPACITY, int(self.throughput.rate * self._seconds))

    @property
    def quantum(self) -> int:
        """Tokens of one turn: a quarter of the capacity at most, so that turns of four requests fit into it."""
        return max(1, min(self.capacity // 4, int(self.throughput.rate * _TURN_SECONDS)))

    @property
    def tokens_ahead(self) -> int:
        """Tokens that a new request waits for."""
        quantum = self.quantum
        return sum(min(request.tokens_left, quantum) for request in self._waiting)

    def _long_requests(self) -> list[int]:
        """The tokens that are left of each request longer than the queue."""
        capacity = self.capacity
        return [request.tokens_left for request in self._waiting if request.tokens_left > capacity]

    def fitting(self, costs: Sequence[int]) -> int:
        """How many items from the first find room now; all of them when nothing waits."""
        total, quantum = sum(costs), self.quantum
        room = self.capacity - self.tokens_ahead
        crowded = total > self.capacity and 2 * (1 + len(self._long_requests())) * quantum > self.capacity
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
        ahead, capacity, turn = self.tokens_ahead, self.capacity, min(sum(costs), self.quantum)
        excess = ahead + turn - capacity
        wait = self._wait(excess if excess > 0 else min(self._long_requests(), default=0), turn)
        raise Overloaded(f"{ahead} tokens wait already, of {capacity} at most; come again in {wait:.0f} s", wait)

    def put(self, request: QueuedRequest, admitted: bool = False) -> None:
        """Queue a request whole; raises as `check` does, unless it was admitted before and only goes on."""
        if not admitted:
            self.check(request.costs)
        self.tokens += request.tokens_left
        self._waiting.append(request)

    def _wait(self, excess: int, tokens: int) -> float:
        """Seconds until a refused request finds room, after those refused before it: not all may come at once."""
        now, rate = time.monotonic(), self.throughput.rate
        self._returning_tokens = max(0.0, self._returning_tokens - (now - self._returning_at) * rate)
        wait = min(60.0, max(1.0, (excess + self._returning_tokens) / rate))
        self._returning_tokens = min(self._returning_tokens + tokens, _RETURNING_SECONDS * rate)
        self._returning_at = now
        return wait

    def take(self, budget: int) -> QueueSlice | None:
        """The next slice of about `budget` tokens, at least one item; None when nothing waits."""
        if not self._waiting:
            return None
        operation, spent = self._waiting[0].operation, 0
        parts: list[tuple[QueuedRequest, int]] = []
        for request in list(self._requests_of(operation)):
            costs = request.costs
            while request.next_item < len(costs) and (not parts or spent + costs[request.next_item] <= budget):
                parts.append((request, request.next_item))
                cost = costs[request.next_item]
                spent += cost
                request.tokens_this_turn += cost
                request.tokens_left -= cost
                request.next_item += 1
            self._end_turn(request)
            if spent >= budget or request.next_item < len(costs):
                break
        self.tokens -= spent
        return QueueSlice(operation, tuple(parts), spent)

    def _requests_of(self, operation: Operation) -> Iterator[QueuedRequest]:
        return (request for request in self._waiting if request.operation is operation)

    def _end_turn(self, request: QueuedRequest) -> None:
        """Take a request that is handed out whole off the queue; send one that had its turn to the back."""
        if request.next_item == len(request.items):
            self._waiting.remove(request)
        elif request.tokens_this_turn >= self.quantum:
            self._waiting.remove(request)
            request.tokens_this_turn = 0
            self._waiting.append(request)

    def drop(self, request: QueuedRequest) -> int:
        """Forget the items that were not handed out yet; return how many. What is being computed ends unheard."""
        left = len(request.items) - request.next_item
        if not request.dropped and left:
            self.tokens -= request.tokens_left
            request.tokens_left = 0
            request.next_item = len(request.items)
            self._waiting.remove(request)
        request.dropped = True
        return left
