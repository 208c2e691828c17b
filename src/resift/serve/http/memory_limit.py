"""A limit for the memory that a server holds."""

from __future__ import annotations

from resift.errors import InputError, Overloaded
from resift.machine import held, trim

_COPIES = 6  # a request's bytes, its body joined, its strings, and what tokenising makes of them


class MemoryLimit:
    """Refuses work that would take the process over `limit` bytes; 0: no limit.

    How much the models need is measured once they are warm; requests' bodies share the rest.
    """

    def __init__(self, limit: int) -> None:
        self._limit, self._for_bodies, self._reserved = limit, 0, 0

    def measure_models(self) -> None:
        """Take the memory that the process holds now as what the models need.

        Raises:
            InputError: nothing is left for requests.

        """
        if not self._limit:
            return
        models = held()
        self._for_bodies = (self._limit - models) // _COPIES
        if self._for_bodies < 1 << 20:
            raise InputError(
                f"the models alone hold {models >> 20} MiB of the {self._limit >> 20} MiB allowed; raise --max-memory "
                f"to {(models >> 20) + 64} MiB or more, or serve fewer models"
            )

    def reserve(self, size: int) -> None:
        """Set memory aside for a request's body; raises Overloaded when there is none."""
        taken, most = self._reserved, self._for_bodies
        if most and taken + size > most and (taken or size > most):
            raise Overloaded(f"requests hold {taken} bytes of {most} already; come again later", 1.0)
        if self._limit and held() > self._limit:
            trim()
            if held() > self._limit:
                raise Overloaded(f"the server is at its limit of {self._limit >> 20} MiB; come again later", 5.0)
        self._reserved += size

    def release(self, size: int) -> None:
        """Give a body's memory back."""
        self._reserved -= size
