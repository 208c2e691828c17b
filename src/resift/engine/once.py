"""What many threads share: values made once, when first asked for, and objects that no process gives to another."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from threading import Lock
from typing import Any, Generic, NoReturn, Self, SupportsIndex, TypeVar

T = TypeVar("T")


class OfOneProcess:
    """What threads share and processes can't: a deep copy of it is it, for it is never changed after it was made."""

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
