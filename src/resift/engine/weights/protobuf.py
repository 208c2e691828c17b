"""Reads protocol buffers field by field, without a schema.

Source of the format: the page "Encoding" of Google's documentation of protocol buffers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

Message = TypeVar("Message", bytes, memoryview)


def fields_of(message: Message) -> Iterator[tuple[int, int | Message]]:
    """The number of each field and its value: a whole number, or the part of the message that holds it.

    Raises:
        ValueError: the message ends within a field, or a field is of a kind that is no longer written.
        IndexError: it ends within a number.

    """
    at, size = 0, len(message)
    while at < size:
        key, at = number_at(message, at)
        wire = key & 7
        if wire == 0:
            value, at = number_at(message, at)
            yield key >> 3, value
            continue
        if wire == 2:
            length, at = number_at(message, at)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise ValueError(f"byte {at} begins no field")
        if at + length > size:
            raise ValueError(f"{at + length - size} bytes are missing behind byte {at}")
        yield key >> 3, message[at : at + length]
        at += length


def number_at(message: bytes | memoryview, at: int) -> tuple[int, int]:
    """A whole number in groups of seven bits, lowest first, and the place behind it.

    Raises:
        ValueError: it has more than ten groups.
        IndexError: the message ends within it.

    """
    byte = message[at]
    if byte < 128:
        return byte, at + 1
    value, shift = byte & 127, 7
    while byte >= 128:
        at += 1
        byte = message[at]
        value |= (byte & 127) << shift
        shift += 7
        if shift > 70:
            raise ValueError(f"byte {at} is in no number")
    return value, at + 1
