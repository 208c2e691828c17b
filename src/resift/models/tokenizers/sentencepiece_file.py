"""Reads a .model file of SentencePiece: a protocol buffer with pieces, and how texts are changed before.

Source of the field numbers: sentencepiece_model.proto of google/sentencepiece 0.2. Fields that Resift does not need are
passed over, those that change ids and that it does not do are refused.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import IntEnum
from math import isfinite

from resift.engine.weights.protobuf import fields_of
from resift.errors import BrokenModel
from resift.models.folder import ModelFolder
from resift.models.tokenizers.vocabulary_files import read_bytes


class PieceType(IntEnum):
    """What a piece is for; texts are made of normal and user-defined ones."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


@dataclass(frozen=True, slots=True)
class SentencePieceFile:
    """What a file says.

    Attributes:
        pieces: in the order of their ids.
        scores: of each piece.
        types: of each piece.
        unknown: the id of the piece for what is unknown.
        algorithm: "unigram" or "bpe".
        byte_fallback: whether unknown characters become bytes.
        charsmap: the compiled table of characters; nothing when empty.
        prefix: whether a text gets a space before it.
        collapse: whether spaces at both ends, and all but one between words, are left out.
        escape: whether spaces become "▁".

    """

    pieces: list[str]
    scores: list[float]
    types: list[int]
    unknown: int
    algorithm: str
    byte_fallback: bool
    charsmap: bytes
    prefix: bool
    collapse: bool
    escape: bool


_ALGORITHMS = {1: "unigram", 2: "bpe", 3: "word", 4: "char"}


def read_sentencepiece(folder: ModelFolder, name: str) -> SentencePieceFile:
    """Read a .model file.

    Raises:
        BrokenModel: it is damaged, empty or a Git LFS pointer, or asks for what Resift does not do.

    """
    content, path = read_bytes(folder, name), folder.path / name
    try:
        message = _Message(content)
        trainer, normalizer = _Settings(message.trainer), _Settings(message.normalizer)
        algorithm = _ALGORITHMS.get(trainer.whole(3, 1), "unknown")
        charsmap, by_suffix = normalizer.content(2), trainer.whole(24, 0)
        flags = [bool(normalizer.whole(number, 1)) for number in (3, 4, 5)]
        byte_fallback = bool(trainer.whole(35, 0))
    except (ValueError, IndexError, struct.error) as error:
        raise BrokenModel(
            f"{path} is no SentencePiece model, or is cut or damaged ({error}); fetch the model again"
        ) from error
    if not all(map(isfinite, message.scores)):
        raise BrokenModel(f"{path} has scores that are no numbers; fetch the model again")
    if not message.pieces or message.trainer is None or message.normalizer is None:
        raise BrokenModel(f"{path} is cut: its pieces or settings are missing; fetch the model again")
    if algorithm not in ("unigram", "bpe"):
        raise BrokenModel(
            f"{path} was trained with --model_type={algorithm}; Resift reads unigram and bpe: give a checkpoint with "
            "tokenizer.json"
        )
    if by_suffix:
        raise BrokenModel(
            f"{path} was trained with --treat_whitespace_as_suffix, which Resift does not read; give a checkpoint with "
            "tokenizer.json"
        )
    unknown = [i for i, kind in enumerate(message.types) if kind == PieceType.UNKNOWN]
    if len(unknown) != 1 or len(set(message.pieces)) < len(message.pieces):
        problem = "has a piece twice" if len(unknown) == 1 else f"has {len(unknown)} unknown pieces instead of one"
        raise BrokenModel(f"{path} {problem}; fetch the model again")
    return SentencePieceFile(
        message.pieces, message.scores, message.types, unknown[0], algorithm, byte_fallback, charsmap, *flags
    )  # fmt: skip


class _Settings:
    """Fields of a settings message, of the types that they must have."""

    def __init__(self, fields: dict[int, int | bytes] | None) -> None:
        self._fields = fields or {}

    def whole(self, number: int, default: int) -> int:
        value = self._fields.get(number, default)
        if not isinstance(value, int):
            raise ValueError(f"setting {number} is no number")
        return value

    def content(self, number: int) -> bytes:
        value = self._fields.get(number, b"")
        if not isinstance(value, bytes):
            raise ValueError(f"setting {number} is no text")
        return value


@dataclass(slots=True)
class _Message:
    """A ModelProto; the specs are None where the file has none."""

    content: bytes
    pieces: list[str] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    types: list[int] = field(default_factory=list)
    trainer: dict[int, int | bytes] | None = None
    normalizer: dict[int, int | bytes] | None = None

    def __post_init__(self) -> None:
        pieces, scores, types = self.pieces.append, self.scores.append, self.types.append
        for number, value in fields_of(self.content):
            if number not in (1, 2, 3):
                continue
            if not isinstance(value, bytes):
                raise ValueError(f"field {number} is no message")
            if number == 1:
                piece, score, kind = _piece(value)
                pieces(piece)
                scores(score)
                types(kind)
            elif number == 2:
                self.trainer = dict(fields_of(value))
            else:
                self.normalizer = dict(fields_of(value))


def _piece(message: bytes) -> tuple[str, float, int]:
    """Text, score and type; written in this order, mostly with lengths of one byte."""
    end = 2 + message[1] if len(message) > 1 else 0
    rest = message[end:]
    if message[:1] == b"\n" and end < 130 and rest[:1] == b"\x15" and len(rest) in (5, 7):
        if len(rest) == 5:
            return message[2:end].decode(), _FLOAT.unpack(rest[1:])[0], PieceType.NORMAL
        if rest[5] == 0x18:
            return message[2:end].decode(), _FLOAT.unpack(rest[1:5])[0], rest[6]
    values = dict(fields_of(message))
    text, score, kind = values.get(1, b""), values.get(2, b"\0\0\0\0"), values.get(3, PieceType.NORMAL)
    if not isinstance(text, bytes) or not isinstance(score, bytes) or not isinstance(kind, int):
        raise ValueError("a piece is malformed")
    return text.decode(), _FLOAT.unpack(score)[0], kind


_FLOAT = struct.Struct("<f")
