"""Resift's own encoder on the CPU: no padding, no compiling, hidden states straight to a head in NumPy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np

from resift.engine import openvino
from resift.engine.ahead import begun
from resift.engine.batching import Batch, EngineName, FloatArray
from resift.engine.graphs.names import Weights, as_bert, root_of
from resift.engine.native.encoder_library import Encoder, Ragged, available, unsupported
from resift.engine.native.native_heads import Ending, OfTokens
from resift.engine.once import Once
from resift.machine import cores

PRECISIONS = ("bf16", "int8")
_TOGETHER = 16_384  # tokens of one call: the results of one are worked on while the next runs


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What the engine runs.

    Attributes:
        config: of the encoder.
        read: gives all tensors.
        ending: makes what stands behind the encoder from config, tensors and root, all under BERT's names.
        first_only: it reads the first token's hidden state alone.

    """

    config: Mapping[str, Any]
    read: Callable[[], Weights]
    ending: Callable[[Mapping[str, Any], Weights, str], Ending]
    first_only: bool = False


def obstacle(checkpoint: Checkpoint | None, precision: str) -> str:
    """Why a model does not run here, in words; empty when it does."""
    if not available():
        return "the compiled encoder takes a processor with AVX-512 BF16 and a C compiler at installation"
    if checkpoint is None:
        return "only weights in safetensors or pytorch_model.bin are read, not graphs"
    if reason := unsupported(checkpoint.config):
        return f"the compiled encoder has no {reason}"
    if precision not in PRECISIONS:
        return f"it runs at {', '.join(PRECISIONS)}, not at {precision}"
    return "int8 takes AVX-512 VNNI without AMX" if precision == "int8" and not openvino.has_int8() else ""


class NativeEngine:
    """One checkpoint at bf16 or int8, sums in f32. Calls of several threads share the cores.

    Args:
        checkpoint: its weights are read when the first batch comes.
        precision: one for which `obstacle` finds nothing.

    """

    name: EngineName = "native"
    pads = False
    characters = 4 * _TOGETHER

    def __init__(self, checkpoint: Checkpoint, precision: str) -> None:
        self.precision, self.checkpoint = precision, checkpoint
        self._parts = Once(self._read)
        self._calls, self._lock = 0, Lock()

    def run(self, batches: Sequence[Batch]) -> Iterator[tuple[Batch, tuple[FloatArray, ...]]]:
        """Yield each batch with its outputs, in order; what comes next is computed meanwhile."""
        groups = list(_groups(batches))
        if len(groups) < 2:
            for group in groups:
                yield from zip(group, self._outputs(group), strict=True)
            return
        coming = begun(self._outputs, groups[0])
        for group, following in zip(groups, [*groups[1:], None], strict=True):
            outputs = coming.result()
            if following is not None:
                coming = begun(self._outputs, following)
            yield from zip(group, outputs, strict=True)

    def _outputs(self, group: Sequence[Batch]) -> list[tuple[FloatArray, ...]]:
        encoder, ending = self._parts()
        sequences = _ragged(group)
        with self._lock:
            self._calls += 1
            threads = max(1, cores() // self._calls)
        try:
            hidden, tail = encoder.run(sequences, self.checkpoint.first_only, threads)
        finally:
            with self._lock:
                self._calls -= 1
        return _by_batch(group, ending.finish(hidden, tail, sequences), sequences)

    def _read(self) -> tuple[Encoder, Ending]:
        config, weights = as_bert(self.checkpoint.config, self.checkpoint.read())
        root = root_of(weights)
        ending = self.checkpoint.ending(config, weights, root)
        return Encoder(config, weights, root, self.precision == "int8", ending.tail), ending


def _groups(batches: Sequence[Batch]) -> Iterator[list[Batch]]:
    """Batches that run together."""
    group: list[Batch] = []
    for batch in batches:
        group.append(batch)
        if sum(sum(b.lengths) for b in group) >= _TOGETHER:
            yield group
            group = []
    if group:
        yield group


def _ragged(group: Sequence[Batch]) -> Ragged:
    """The rows of all batches, without padding."""
    lengths = np.concatenate([b.lengths for b in group])
    there = [np.arange(b.ids.shape[1]) < np.asarray(b.lengths)[:, None] for b in group]
    return Ragged(
        ids=np.concatenate([b.ids[t] for b, t in zip(group, there, strict=True)]).astype(np.int32),
        segments=np.concatenate([b.segments[t] for b, t in zip(group, there, strict=True)]).astype(np.int32),
        starts=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        attended=np.concatenate([b.mask.sum(axis=1) for b in group]).astype(np.int64),
    )


def _by_batch(
    group: Sequence[Batch], outputs: Sequence[FloatArray | OfTokens], sequences: Ragged
) -> list[tuple[FloatArray, ...]]:
    """Cut outputs into those of each batch; rows per token are padded with zeros as the batch is."""
    found, at = [], 0
    for batch in group:
        own = slice(at, at := at + len(batch.rows))
        found.append(tuple(
            _padded(o.values, sequences.starts[own.start : own.stop + 1], batch.ids.shape[1])
            if isinstance(o, OfTokens) else o[own] for o in outputs
        ))  # fmt: skip
    return found


def _padded(values: FloatArray, starts: Any, width: int) -> FloatArray:  # noqa: ANN401
    padded = np.zeros((len(starts) - 1, width, *values.shape[1:]), np.float32)
    for row, (a, b) in zip(padded, zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True), strict=True):
        row[: b - a] = values[a:b]
    return padded
