"""A ceiling for the memory that a server holds."""

from __future__ import annotations

from resift.errors import InputError, Overloaded
from resift.machine import held, trim

_COPIES = 6  # a request's bytes, its body joined, its strings, and what tokenising makes of them


class Ceiling:
    """Refuses work that would take the process over `limit` bytes; 0: no limit.

    What the models need is known once they are warm: the rest is shared out to the bodies of requests.
    """

    def __init__(self, limit: int) -> None:
        self._limit, self._bodies, self._held = limit, 0, 0

    def settle(self) -> None:
        """Take the memory held now as what the models need.

        Raises:
            InputError: nothing is left for requests.

        """
        if not self._limit:
            return
        used = held()
        self._bodies = (self._limit - used) // _COPIES
        if self._bodies < 1 << 20:
            raise InputError(
                f"the models alone hold {used >> 20} MiB of the {self._limit >> 20} MiB allowed; raise --max-memory to "
                f"{(used >> 20) + 64} MiB or more, or serve fewer models"
            )

    def hold(self, size: int) -> None:
        """Set memory aside for a request's body; raises Overloaded when there is none."""
        if self._bodies and self._held + size > self._bodies and (self._held or size > self._bodies):
            raise Overloaded(f"requests hold {self._held} bytes of {self._bodies} already; come again later", 1.0)
        if self._limit and held() > self._limit:
            trim()
            if held() > self._limit:
                raise Overloaded(f"the server is at its limit of {self._limit >> 20} MiB; come again later", 5.0)
        self._held += size

    def release(self, size: int) -> None:
        """Give a body's memory back."""
        self._held -= size
