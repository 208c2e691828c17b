"""Resift's encoder on the CPU: no padding, no compilation of models, and a head in NumPy on the hidden states."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np

from resift.engine import openvino
from resift.engine.background import run_in_background
from resift.engine.batching import Backend, Batch, FloatArray, groups
from resift.engine.graphs.names import NamedTensors, as_bert, root_of
from resift.engine.native.encoder_library import CompiledEncoder, JoinedSequences, available, unsupported
from resift.engine.native.native_heads import NativeHead, PerToken
from resift.engine.once import Once
from resift.machine import cores

PRECISIONS = ("bf16", "int8")
_CALL = 16_384  # tokens of one call of the kernel: the caller uses one call's results while the next runs


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model as the engine takes it.

    Attributes:
        config: of the encoder.
        read: gives all tensors.
        head: makes the head from config, tensors and root, all under BERT's names.
        first_only: the head uses only the hidden state of the first token.

    """

    config: Mapping[str, Any]
    read: Callable[[], NamedTensors]
    head: Callable[[Mapping[str, Any], NamedTensors, str], NativeHead]
    first_only: bool = False


def obstacle(checkpoint: Checkpoint | None, precision: str) -> str:
    """Why a model does not run here, in words; empty where it does."""
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
        checkpoint: its weights are read at the first batch.
        precision: one for which `obstacle` is empty.

    """

    name: Backend = "native"
    pads = False
    characters = 4 * _CALL

    def __init__(self, checkpoint: Checkpoint, precision: str) -> None:
        self.precision, self.checkpoint = precision, checkpoint
        self._parts = Once(self._read)
        self._calls, self._lock = 0, Lock()

    def run(self, batches: Sequence[Batch]) -> Iterator[tuple[Batch, tuple[FloatArray, ...]]]:
        """Yield each batch with its outputs, in order; a thread computes the next ones meanwhile."""
        calls = list(groups(batches, _CALL, lambda batch: sum(batch.lengths)))
        if len(calls) < 2:
            for group in calls:
                yield from zip(group, self._outputs(group), strict=True)
            return
        future = run_in_background(self._outputs, calls[0])
        for group, following in zip(calls, [*calls[1:], None], strict=True):
            outputs = future.result()
            if following is not None:
                future = run_in_background(self._outputs, following)
            yield from zip(group, outputs, strict=True)

    def _outputs(self, group: Sequence[Batch]) -> list[tuple[FloatArray, ...]]:
        encoder, head = self._parts()
        sequences = _joined(group)
        with self._lock:
            self._calls += 1
            threads = max(1, cores() // self._calls)
        try:
            hidden, tail = encoder.run(sequences, self.checkpoint.first_only, threads)
        finally:
            with self._lock:
                self._calls -= 1
        return _by_batch(group, head.finish(hidden, tail, sequences), sequences)

    def _read(self) -> tuple[CompiledEncoder, NativeHead]:
        config, weights = as_bert(self.checkpoint.config, self.checkpoint.read())
        root = root_of(weights)
        head = self.checkpoint.head(config, weights, root)
        return CompiledEncoder(config, weights, root, self.precision == "int8", head.tail), head


def _joined(group: Sequence[Batch]) -> JoinedSequences:
    """The rows of all batches, without padding."""
    lengths = np.concatenate([b.lengths for b in group])
    tokens = [np.arange(b.ids.shape[1]) < np.asarray(b.lengths)[:, None] for b in group]
    return JoinedSequences(
        ids=np.concatenate([b.ids[t] for b, t in zip(group, tokens, strict=True)]).astype(np.int32),
        segments=np.concatenate([b.segments[t] for b, t in zip(group, tokens, strict=True)]).astype(np.int32),
        starts=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        attended=np.concatenate([b.mask.sum(axis=1) for b in group]).astype(np.int64),
    )


def _by_batch(
    group: Sequence[Batch], outputs: Sequence[FloatArray | PerToken], sequences: JoinedSequences
) -> list[tuple[FloatArray, ...]]:
    """Cut outputs into those of each batch; outputs per token are padded with zeros to the width of the batch."""
    batches, at = [], 0
    for batch in group:
        rows = slice(at, at := at + len(batch.rows))
        batches.append(tuple(
            _padded(o.values, sequences.starts[rows.start : rows.stop + 1], batch.ids.shape[1])
            if isinstance(o, PerToken) else o[rows] for o in outputs
        ))  # fmt: skip
    return batches


def _padded(values: FloatArray, starts: Any, width: int) -> FloatArray:  # noqa: ANN401
    padded = np.zeros((len(starts) - 1, width, *values.shape[1:]), np.float32)
    for row, (a, b) in zip(padded, zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True), strict=True):
        row[: b - a] = values[a:b]
    return padded
