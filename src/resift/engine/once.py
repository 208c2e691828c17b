"""Values that are made once for all threads, at first use, and objects that belong to one process."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from threading import Lock
from typing import Any, Generic, NoReturn, Self, SupportsIndex, TypeVar

T = TypeVar("T")


class OfOneProcess:
    """An object for all threads of one process. It never changes, so a deep copy is the object itself."""

    def __copy__(self) -> Self:
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        return other

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        """Refuse to be pickled.

        Raises:
            TypeError: always, as Python does for locks and open files.

        """
        raise TypeError(
            f"a {type(self).__name__} holds a loaded model and can't be pickled; load it in each process (resift.load)"
        )


class Once(Generic[T]):
    """Gives the value of `make`, which the first call makes; where `make` raises, the next call tries again.

    A call holds `lock` while it makes the value: a lock of this object, or one that several objects share because their
    values must not be made at the same time.
    """

    def __init__(self, make: Callable[[], T], lock: AbstractContextManager[Any] | None = None) -> None:
        self._make, self._lock = make, lock or Lock()
        self._values: list[T] = []

    def __call__(self) -> T:
        """The value."""
        if not self._values:
            with self._lock:
                if not self._values:
                    self._values.append(self._make())
        return self._values[0]
