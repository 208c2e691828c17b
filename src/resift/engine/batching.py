"""Packs token sequences of many lengths into few, nearly unpadded batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float32]
Backend = Literal["native", "openvino", "onnx", "torch"]

# Tokens per batch, padding included. Around 1,500 the activations of a small encoder still lie in a core's cache.
TOKEN_BUDGET = 1536
MANY_CHARACTERS = 1 << 20  # of text, about 250,000 tokens: among so many texts, many have equal lengths
_STEP = 8  # widths are multiples of it, so that few shapes occur and the allocator's memory stops growing
_FINENESS = 8  # steps per doubling of the width, so that padding is at most an eighth


@dataclass(frozen=True, slots=True)
class Sequences:
    """Token ids of n inputs, and their segment ids, or None where all are 0.

    `attended` is the number of tokens of each input, from its first, that attention sees; all where it is None.
    """

    ids: Sequence[Sequence[int]]
    segments: Sequence[Sequence[int]] | None = None
    attended: Sequence[int] | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Arrays of shape (B, T), the inputs that their rows are, and the lengths of these.

    `mask` is 1 for tokens that the encoder attends to.
    """

    rows: Sequence[int]
    lengths: Sequence[int]
    ids: IntArray
    mask: IntArray
    segments: IntArray


class Engine(Protocol):
    """Runs one model; safe to call from many threads.

    Attributes:
        name: of the library.
        precision: of its products: "f32", "bf16", "int8" or "fp16"; its outputs are f32 always.
        pads: whether the engine computes the padding of a batch too.
        characters: how much text a caller should pass at once, so that passes are full or many lengths are equal.

    """

    name: Backend
    precision: str
    pads: bool
    characters: int

    def run(self, batches: Sequence[Batch]) -> Iterator[tuple[Batch, tuple[FloatArray, ...]]]:
        """Yield each batch with the model's outputs in f32, in any order."""


def pack(sequences: Sequences, pad: int, budget: int = TOKEN_BUDGET) -> list[Batch]:
    """Cut sequences into batches of one `width` and at most `budget` tokens.

    The longest come first, so that memory peaks at the start. A sequence has the same width whatever is scored beside
    it: sums over padding depend on the width in their last bit, and after rounding to bf16 or int8 such a difference
    moved scores by 0.001.
    """
    widths = [width(len(s)) for s in sequences.ids]
    order = sorted(range(len(widths)), key=lambda i: -len(sequences.ids[i]))
    batches: list[Batch] = []
    for size, alike in groupby(order, key=lambda i: widths[i]):
        rows = list(alike)
        count = max(1, budget // max(size, 1))
        batches += [_pad(sequences, rows[at : at + count], size, pad) for at in range(0, len(rows), count)]
    return batches


def width(length: int) -> int:
    """The number of tokens to which an input is padded: a multiple of an eighth of a power of two, and of eight."""
    step = max(_STEP, (1 << max(0, length - 1).bit_length()) // (2 * _FINENESS))
    return -(-length // step) * step


def groups(batches: Iterable[Batch], tokens: int, count: Callable[[Batch], int]) -> Iterator[list[Batch]]:
    """Batches that run together, in order: a group ends once it has `tokens` tokens; `count` counts a batch's."""
    group: list[Batch] = []
    size = 0
    for batch in batches:
        group.append(batch)
        size += count(batch)
        if size >= tokens:
            yield group
            group, size = [], 0
    if group:
        yield group


def _pad(sequences: Sequences, rows: Sequence[int], width: int, pad: int) -> Batch:
    ids = np.full((len(rows), width), pad, dtype=np.int64)
    mask = np.zeros((len(rows), width), dtype=np.int64)
    segments = np.zeros((len(rows), width), dtype=np.int64)
    for j, i in enumerate(rows):
        n = len(sequences.ids[i])
        ids[j, :n] = sequences.ids[i]
        mask[j, : n if sequences.attended is None else sequences.attended[i]] = 1
        if sequences.segments is not None:
            segments[j, :n] = sequences.segments[i]
    return Batch(rows, [len(sequences.ids[i]) for i in rows], ids, mask, segments)
