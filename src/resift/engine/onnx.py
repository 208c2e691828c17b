"""ONNX Runtime on the CPU (extra `onnx`): runs a model.onnx at f32 with the kernels of that library."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from resift.engine.batching import Batch, FloatArray
from resift.engine.once import Once
from resift.engine.openvino import cores
from resift.errors import BrokenModel, MissingExtra


class OnnxEngine:
    """One ONNX file; its inputs are any of input_ids, attention_mask and token_type_ids.

    Args:
        path: of the file; it is read when the first batch comes.

    Raises:
        MissingExtra: onnxruntime is not installed.

    """

    name, precision = "onnx", "f32"

    def __init__(self, path: Path) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingExtra("engine='onnx'", "onnx") from error
        self._runtime: Any = onnxruntime
        self._session = Once(lambda: self._open(path))

    def run(self, batches: Sequence[Batch]) -> Iterator[tuple[Batch, tuple[FloatArray, ...]]]:
        """Yield each batch with the file's outputs, in order; a session may run in many threads at once."""
        session = self._session()
        names = [port.name for port in session.get_inputs()]
        for batch in batches:
            arrays = {"input_ids": batch.ids, "attention_mask": batch.mask, "token_type_ids": batch.segments}
            results = session.run(None, {name: arrays[name] for name in names})
            yield batch, tuple(np.asarray(r, dtype=np.float32) for r in results)

    def _open(self, path: Path) -> Any:  # noqa: ANN401 - onnxruntime ships no types
        options = self._runtime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = cores(), 1
        options.log_severity_level = 3  # errors alone; the rest is of no use to a caller
        try:
            return self._runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except self._errors() as error:
            raise BrokenModel(f"{path} is damaged or was not fetched whole; fetch the model again") from error

    def _errors(self) -> tuple[type[Exception], ...]:
        """What ONNX Runtime raises for a file that it can't read; they share no base of their own."""
        state = self._runtime.capi.onnxruntime_pybind11_state
        return state.Fail, state.InvalidProtobuf, state.InvalidGraph, state.InvalidArgument, state.NotImplemented
