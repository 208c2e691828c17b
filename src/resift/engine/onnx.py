"""ONNX Runtime on the CPU (extra `onnx`): runs a model.onnx at f32 with the kernels of that library."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from resift.engine.batching import MANY_CHARACTERS, Backend, Batch, FloatArray
from resift.engine.once import Once
from resift.engine.openvino import SMALL
from resift.engine.rounding import round_symmetric
from resift.engine.weights.onnx_weights import check_whole
from resift.errors import MissingExtra, ModelError
from resift.machine import cores


class OnnxEngine:
    """One ONNX file; its inputs are any of input_ids, attention_mask and token_type_ids.

    Args:
        path: of the file; it is read when the first batch comes.

    Raises:
        MissingExtra: onnxruntime is not installed.

    """

    name: Backend = "onnx"
    precision = "f32"
    pads = True
    characters = MANY_CHARACTERS

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
        options.log_severity_level = 3  # errors alone
        try:
            return self._runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except self._errors() as error:
            check_whole(path)
            reason = str(error).strip().splitlines()[0].rpartition(" : ")[2][-300:]
            raise ModelError(
                f"ONNX Runtime {self._runtime.__version__} can't run {path} ({reason}); use engine='openvino'"
            ) from error

    def _errors(self) -> tuple[type[Exception], ...]:
        """What ONNX Runtime raises for a file that it can't read; they share no base of their own."""
        state = self._runtime.capi.onnxruntime_pybind11_state
        return state.Fail, state.InvalidProtobuf, state.InvalidGraph, state.InvalidArgument, state.NotImplemented


def round_weights(source: Path, target: Path, weights: str) -> None:
    """Copy an ONNX file with its f32 matrices as "int8" (one scale per row or column), "fp16", or as they are ("f32").

    Rounded matrices stand in the file as plain arithmetic, Multiply(Cast(int8), scale) or Cast(fp16), which ONNX
    Runtime folds when it loads and Resift restores once; no activation is rounded.

    Raises:
        MissingExtra: the package onnx is not installed.

    """
    try:
        import onnx
    except ImportError as error:
        raise MissingExtra("writing ONNX files", "onnx") from error
    model = onnx.load(source)
    graph = model.graph
    vocabularies = {node.input[0] for node in graph.node if node.op_type == "Gather"}
    tensors, restoring = [], []
    for tensor in graph.initializer:
        value = onnx.numpy_helper.to_array(tensor)
        if weights == "f32" or value.dtype != np.float32 or value.ndim != 2 or value.size < SMALL:
            tensors.append(tensor)
            continue
        parts, nodes = _stored(onnx, tensor.name, value, weights, axis=1 if tensor.name in vocabularies else 0)
        tensors += parts
        restoring += nodes
    del graph.initializer[:]
    graph.initializer.extend(tensors)
    nodes = list(graph.node)
    del graph.node[:]
    graph.node.extend([*restoring, *nodes])
    onnx.save(model, target)


def _stored(onnx: Any, name: str, value: Any, weights: str, axis: int) -> tuple[list[Any], list[Any]]:  # noqa: ANN401
    """The tensors that stand for a matrix in the file and the nodes that restore it; a scale covers `axis`."""
    make, wide = onnx.helper.make_node, onnx.TensorProto.FLOAT
    if weights == "fp16":
        stored = onnx.numpy_helper.from_array(value.astype(np.float16), f"{name}_fp16")
        return [stored], [make("Cast", [f"{name}_fp16"], [name], to=wide)]
    integers, scale = round_symmetric(value, axis)
    tensors = [
        onnx.numpy_helper.from_array(integers, f"{name}_int8"),
        onnx.numpy_helper.from_array(scale, f"{name}_scale"),
    ]
    cast = make("Cast", [f"{name}_int8"], [f"{name}_wide"], to=wide)
    return tensors, [cast, make("Mul", [f"{name}_wide", f"{name}_scale"], [name])]
