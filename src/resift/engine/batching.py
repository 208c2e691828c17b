"""Packs token sequences of many lengths into few, nearly unpadded batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float32]
EngineName = Literal["native", "openvino", "onnx", "torch"]

# Tokens per batch, padding included. Around 1,500 the activations of a small encoder still lie in a core's cache.
TOKEN_BUDGET = 1536
MANY_CHARACTERS = 1 << 20  # of text, a quarter of a million tokens: enough to find equal lengths among
_STEP = 8  # widths are multiples of this, so that few shapes occur and the allocator's memory stops growing
_FINENESS = 8  # steps per doubling of the width: padding is an eighth at most


@dataclass(frozen=True, slots=True)
class Sequences:
    """Token ids of n inputs, their segment ids (or None where all are 0), and how many tokens of each are attended.

    All are when `attended` is None; else the first so many.
    """

    ids: Sequence[Sequence[int]]
    segments: Sequence[Sequence[int]] | None = None
    attended: Sequence[int] | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Arrays of shape (B, T), which inputs their rows are, and how long those are; `ids` is padded with `pad`.

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
        precision: what it multiplies in: "f32", "bf16", "int8" or "fp16"; its outputs are f32 in any case.
        pads: whether the padding of a batch is computed, too.
        characters: how much text it is given at once: enough to fill its passes, or to find equal lengths among.

    """

    name: EngineName
    precision: str
    pads: bool
    characters: int

    def run(self, batches: Sequence[Batch]) -> Iterator[tuple[Batch, tuple[FloatArray, ...]]]:
        """Yield each batch with the model's outputs in f32, in any order."""


def pack(sequences: Sequences, pad: int, budget: int = TOKEN_BUDGET) -> list[Batch]:
    """Cut sequences, longest first (memory peaks at once), into batches of one `width` and at most `budget` tokens.

    A sequence is padded to the same width whatever is scored beside it. Otherwise sums over padding, which differ in
    their last bit by the width, would cross borders of rounding at bf16 and int8, and move scores by 0.001.
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
    """To how many tokens an input of so many is padded: eighths of a power of two, and multiples of eight."""
    step = max(_STEP, (1 << max(0, length - 1).bit_length()) // (2 * _FINENESS))
    return -(-length // step) * step


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
