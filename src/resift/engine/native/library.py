"""Loads a compiled library, and refuses one that was compiled for other records than Python passes to it."""

from __future__ import annotations

import ctypes
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

_OFFSET_BASIS, _PRIME, _MASK = 0xCBF29CE484222325, 0x100000001B3, (1 << 64) - 1  # of FNV-1a, 64 bits

Record = type[ctypes.Structure]


def load(path: Path, name: str, calls: int, records: Sequence[Record]) -> ctypes.CDLL | None:
    """A compiled library; None where there is none, or, with a warning, where it must not be called.

    Args:
        path: of the library.
        name: what its exported functions begin with, such as "resift_maxsim".
        calls: the number of the C source that is raised when the arguments of an exported function change.
        records: what is passed to it, in the order in which the C source lists them.

    """
    if not path.exists():
        return None
    library, reason = _open(path, name, layout_number(calls, records))
    if reason:
        warnings.warn(
            f"{path} {reason} and is not used: install Resift again (in a checkout: pip install -e .); "
            "until then NumPy and OpenVINO do its work, more slowly",
            stacklevel=2,
        )
    return library


def _open(path: Path, name: str, number: int) -> tuple[ctypes.CDLL | None, str]:
    """A library whose layout has this number, or None and why it has not."""
    try:
        library = ctypes.CDLL(str(path))
        layout = getattr(library, f"{name}_layout")
    except OSError as error:
        return None, f"can't be loaded ({error})"
    except AttributeError:
        return None, "is of another version of Resift"
    layout.restype = ctypes.c_uint64
    return (library, "") if layout() == number else (None, "is of another version of Resift")


def layout_number(calls: int, records: Sequence[Record]) -> int:
    """What `layout_number` in layout.h gives for the same records."""
    number = _OFFSET_BASIS
    for name, offset, size in _entries(calls, records):
        data = name.encode() + b"\0" + offset.to_bytes(8, "little") + size.to_bytes(8, "little")
        for byte in data:
            number = (number ^ byte) * _PRIME & _MASK
    return number


def _entries(calls: int, records: Sequence[Record]) -> Iterator[tuple[str, int, int]]:
    """Name, offset and size of the records and their fields."""
    yield "calls", calls, 0
    for record in records:
        yield record.__name__.lstrip("_"), 0, ctypes.sizeof(record)
        for name, *_ in record._fields_:
            field = getattr(record, name)
            yield name, field.offset, field.size
