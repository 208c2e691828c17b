"""Token vectors on disk: int8, ragged, memory-mapped; optionally with neighbouring tokens pooled.

tokens.npy (T, D) int8, scales.npy (T,) f32, spans.npy (T, 2) u32 characters of title and text, tokens_at.npy (W + 1,)
where each window's tokens start, windows_at.npy (N + 1,) where each passage's windows start.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from resift.engine.batching import FloatArray
from resift.engine.maxsim import TokenVectors
from resift.index.arrays import GrowingArray, save
from resift.index.passages import NUMBER
from resift.types import Document

FILES = ("tokens", "scales", "spans")


class Tensors:
    """The token vectors of a generation's passages, and the fingerprint of the model that made them.

    `vectors` (N, H) are the passages' vectors; they are the model's pooled ones where those count in its scores.
    """

    def __init__(self, generation: Path, fingerprint: str, vectors: FloatArray) -> None:
        self.fingerprint, self._vectors = fingerprint, vectors
        # Plain arrays over the mapped files: slicing a memmap object costs ten times as much.
        memmaps = (np.load(generation / f"{name}.npy", mmap_mode="r") for name in FILES)
        self.tokens, self.scales, self.spans = (memmap.view(np.ndarray) for memmap in memmaps)
        self.tokens_at = np.load(generation / "tokens_at.npy")
        self.windows_at = np.load(generation / "windows_at.npy")

    def windows_of(self, document: Document) -> tuple[TokenVectors, ...] | None:
        """The windows of a document of this index; None for any other."""
        number = document.metadata.get(NUMBER)
        return None if number is None else self.windows(number)

    def pooled_of(self, document: Document) -> FloatArray:
        """The pooled vector of a document of this index."""
        vector: FloatArray = self._vectors[document.metadata[NUMBER]]
        return vector

    def windows(self, passage: int) -> tuple[TokenVectors, ...]:
        """The windows of one passage; none when it has no token."""
        windows = []
        for w in range(int(self.windows_at[passage]), int(self.windows_at[passage + 1])):
            part = slice(int(self.tokens_at[w]), int(self.tokens_at[w + 1]))
            windows.append(TokenVectors(self.tokens[part], self.scales[part], self.spans[part]))
        return tuple(windows)


class TensorWriter:
    """Appends the windows of passages; their token vectors are written to disk at once."""

    def __init__(self, generation: Path, dims: int, files: ExitStack) -> None:
        self._generation = generation
        types = {"tokens": (np.int8, (dims,)), "scales": (np.float32, ()), "spans": (np.uint32, (2,))}
        self._arrays = {
            name: files.enter_context(GrowingArray(generation / f"{name}.npy", dtype, row))
            for name, (dtype, row) in types.items()
        }
        self._tokens_at, self._windows_at = [0], [0]

    def add(self, windows: Sequence[TokenVectors]) -> None:
        """Append one passage."""
        for w in windows:
            self._arrays["tokens"].append(w.values)
            self._arrays["scales"].append(w.scales)
            self._arrays["spans"].append(w.spans)
            self._tokens_at.append(self._tokens_at[-1] + len(w))
        self._windows_at.append(self._windows_at[-1] + len(windows))

    def take_over(self, previous: Tensors, first: int, count: int) -> None:
        """Append copies of passages of the previous generation."""
        windows = slice(int(previous.windows_at[first]), int(previous.windows_at[first + count]))
        tokens = slice(int(previous.tokens_at[windows.start]), int(previous.tokens_at[windows.stop]))
        for name, array in self._arrays.items():
            array.append(getattr(previous, name)[tokens])
        ends = previous.tokens_at[windows.start + 1 : windows.stop + 1] - tokens.start + self._tokens_at[-1]
        self._tokens_at += ends.tolist()
        ends = previous.windows_at[first + 1 : first + count + 1] - windows.start + self._windows_at[-1]
        self._windows_at += ends.tolist()

    def close(self) -> None:
        """Write the arrays' lengths, and where windows and passages start."""
        for array in self._arrays.values():
            array.close()
        save(self._generation / "tokens_at.npy", np.array(self._tokens_at, dtype=np.int64))
        save(self._generation / "windows_at.npy", np.array(self._windows_at, dtype=np.int64))


def pooled(window: TokenVectors, size: int) -> TokenVectors:
    """Replace each run of `size` neighbouring tokens by the unit vector of their mean (Clavié et al. 2024)."""
    if size == 1:
        return window
    vectors: FloatArray = window.values.astype(np.float32) * window.scales[:, None]
    starts = np.arange(0, len(window), size)
    sums = np.add.reduceat(vectors, starts, axis=0)
    lengths = np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
    ends = np.minimum(starts + size, len(window)) - 1
    spans = np.stack([window.spans[starts, 0], window.spans[ends, 1]], axis=1)
    return TokenVectors.quantized(sums / lengths, spans)
