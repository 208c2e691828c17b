"""A value that is made when it is first asked for: once, whichever of many threads asks."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from threading import Lock
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Once(Generic[T]):
    """Calls `make` at the first call and gives that value ever after; when it raises, the next call tries again.

    `lock` is held meanwhile: one of its own, or one that several share because they must not be made side by side.
    """

    def __init__(self, make: Callable[[], T], lock: AbstractContextManager[Any] | None = None) -> None:
        self._make, self._lock = make, lock or Lock()
        self._made: list[T] = []

    def __call__(self) -> T:
        """The value."""
        if not self._made:
            with self._lock:
                if not self._made:
                    self._made.append(self._make())
        return self._made[0]
