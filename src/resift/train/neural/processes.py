"""The processes of one training, as torchrun starts them: the first one writes and speaks, and all stop together."""

from __future__ import annotations

import os
from typing import TypeVar

T = TypeVar("T")


def count() -> int:
    """How many there are; 1 where torchrun or its like did not start them."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "LOCAL_RANK" in os.environ else 1


def is_first() -> bool:
    """Whether this is the one that writes."""
    return count() == 1 or os.environ.get("RANK", "0") == "0"


def shared(value: T) -> list[T]:
    """What each process gives, in their order, for all of them."""
    from accelerate.utils import gather_object

    values: list[T] = gather_object([value])
    return values


def wait() -> None:
    """Go on when all have come this far."""
    from accelerate.state import PartialState

    PartialState().wait_for_everyone()
