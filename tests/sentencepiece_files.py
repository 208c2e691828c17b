"""Writes .model files of SentencePiece, so that tests need neither that library nor a trained one."""

import struct
from collections.abc import Sequence

NORMAL, UNKNOWN, CONTROL, USER, UNUSED, BYTE = range(1, 7)
Piece = tuple[str, float, int]


def number(value: int) -> bytes:
    """A varint."""
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def entry(field: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return number(field << 3) + number(value)
    return number(field << 3 | 2) + number(len(value)) + value


def piece(text: str, score: float, kind: int) -> bytes:
    return entry(1, text.encode()) + number(2 << 3 | 5) + struct.pack("<f", score) + entry(3, kind)


def model(
    pieces: Sequence[Piece],
    algorithm: int = 1,
    trainer: bytes = b"",
    charsmap: bytes = b"",
    prefix: bool = True,
    collapse: bool = True,
) -> bytes:
    """A ModelProto: 1 is unigram, 2 BPE."""
    settings = entry(2, charsmap) + entry(3, int(prefix)) + entry(4, int(collapse)) + entry(5, 1)
    return (
        b"".join(entry(1, piece(*p)) for p in pieces)
        + entry(2, entry(3, algorithm) + trainer)
        + entry(3, entry(1, b"x") + settings)
    )


FIRST: list[Piece] = [("<unk>", 0.0, UNKNOWN), ("<s>", 0.0, CONTROL), ("</s>", 0.0, CONTROL)]
WORDS: list[Piece] = [("▁a", -1.0, NORMAL), ("▁lamp", -2.0, NORMAL), ("la", -3.0, NORMAL), ("mp", -3.5, NORMAL)]
LETTERS: list[Piece] = [(c, -5.0 - i / 10, NORMAL) for i, c in enumerate("▁alamp<s>/bread"[0:1] + "lamps<>/bred")]
SMALL = [*FIRST, *WORDS, *LETTERS]
