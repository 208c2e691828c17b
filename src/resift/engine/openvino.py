"""OpenVINO on the CPU: it compiles a graph once per precision, caches it on disk and runs batches on all cores."""

from __future__ import annotations

import atexit
import importlib
import os
import queue
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from threading import Lock, RLock
from typing import Any

import numpy as np

from resift import machine
from resift.engine.batching import MANY_CHARACTERS, Backend, Batch, FloatArray
from resift.engine.compiled_models import compiled_models
from resift.engine.once import Once
from resift.engine.rounding import round_symmetric
from resift.errors import BrokenModel, InputError, ModelError
from resift.machine import cores

PRECISIONS = ("f32", "bf16", "int8")
# Models are read, compiled and written one at a time. Two threads that enter OpenVINO's bindings for the first time can
# wait for each other for ever: one has Python's lock, the other that of a C++ static. And OpenVINO sets the locale of
# the process to "C" while it reads and writes XML, and restores it: two threads at once leave "C", with which
# Python's open() reads ASCII.
_LOADING = RLock()
SMALL = 4096  # matrices with fewer values are never rounded: rounding them saves nothing and may move scores
_CACHE_CAPACITY = 100  # kernels by shape; OpenVINO's default of 5,000 is no faster and grew by 150 MB in a minute
_GROUP = 64  # neighbouring values of a token's activations that share a scale at int8; 32 is slower than bf16


@cache
def _openvino() -> Any:  # noqa: ANN401 - openvino ships no types
    """Import openvino without its telemetry, which would report the import to a server, and its slow model converter.

    Other code in the process still gets the converter: it is imported at first use.
    """
    left_out = [name for name in ("openvino_telemetry", "openvino.tools.ovc") if name not in sys.modules]
    for name in left_out:
        sys.modules[name] = None  # type: ignore[assignment]
    if level := machine.cpu_level():
        os.environ["ONEDNN_MAX_CPU_ISA"] = machine.LEVELS[level][1]  # read when the library is loaded
    try:
        module = importlib.import_module("openvino")
    finally:
        for name in left_out:
            del sys.modules[name]
    if "convert_model" not in vars(module):
        module.__getattr__ = _converter  # type: ignore[method-assign]
    return module


def _converter(name: str) -> Any:  # noqa: ANN401
    """The converter, which openvino lacks after the import above; called for missing names (PEP 562)."""
    if name != "convert_model":
        raise AttributeError(f"module 'openvino' has no attribute {name!r}")
    return importlib.import_module("openvino.tools.ovc").convert_model


@cache
def _core() -> Any:  # noqa: ANN401
    core = _openvino().Core()
    if folder := compiled_models():
        core.set_property({"CACHE_DIR": str(folder)})
    atexit.register(_core.cache_clear)  # freed before the interpreter ends; afterwards it crashed once
    return core


def openvino_ops() -> Any:  # noqa: ANN401
    """The operations that graphs are built from."""
    return _openvino().opset13


def openvino_model(outputs: list[Any], inputs: list[Any]) -> Any:  # noqa: ANN401
    """A graph from its inputs to its outputs."""
    return _openvino().Model(outputs, inputs)


@cache
def fastest_float() -> str:
    """bf16 where the CPU multiplies it natively (AMX, AVX-512 BF16, Arm BF16), else f32."""
    has_bf16 = machine.has_bf16()
    if has_bf16 is None:
        with _LOADING:
            has_bf16 = "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return "bf16" if has_bf16 else "f32"


def has_int8() -> bool:
    """Whether OpenVINO rounds activations to int8 and multiplies them by int8 weights faster than at `fastest_float`.

    It does with AVX-512 VNNI. With AMX, bf16 is faster; without either, it does not round activations.
    """
    return machine.has_vnni() and not machine.has_amx()


class OpenVINOEngine:
    """One model in one precision.

    Args:
        read: gives the openvino.Model; called at the first batch.
        precision: "f32"; "bf16": weights and activations rounded to bf16, sums in f32; "int8": in products with
            weights, those and the activations rounded to int8, one f32 scale per output of a layer and per 64
            neighbouring values of a token, so that no token changes the scale of another; the rest as at
            `fastest_float`.

    Raises:
        InputError: int8 on a CPU that is no faster with it, see `has_int8`, or bf16 on a CPU without it, which would
            imitate bf16 and take many times as long as f32.

    """

    name: Backend = "openvino"
    pads = True
    characters = MANY_CHARACTERS

    def __init__(self, read: Callable[[], Any], precision: str) -> None:
        if precision == "int8" and not has_int8():
            raise InputError("int8 takes a CPU with AVX-512 VNNI and without AMX; use precision='auto'")
        if precision == "bf16" and fastest_float() != "bf16":
            raise InputError(
                "this CPU has no bf16 and would imitate it, many times as slowly; use precision='auto' or 'f32'"
            )
        self.precision = precision
        self._read = Once(read, _LOADING)
        self._alone = Once(lambda: _RequestPool(self._read(), precision, streams=1), _LOADING)
        self._bulk = Once(lambda: _RequestPool(self._read(), precision, streams=cores()), _LOADING)

    def run(self, batches: Sequence[Batch]) -> Iterator[tuple[Batch, tuple[FloatArray, ...]]]:
        """Yield each batch with its outputs: few batches on all cores together, many on one core each."""
        pool = self._bulk() if len(batches) >= 8 * cores() > 8 else self._alone()
        if pool.streams == 1:
            yield from ((batch, pool.infer(batch)) for batch in batches)
            return
        with ThreadPoolExecutor(pool.streams) as threads:
            yield from zip(batches, threads.map(pool.infer, batches), strict=True)

    def shared(self) -> SharedEngine:
        """The same model for many callers at once."""
        return SharedEngine(self._alone, self._bulk, self.precision)


class SharedEngine:
    """A single call uses all cores for each batch; calls at the same time use one core each, and further calls wait."""

    name: Backend = "openvino"
    pads = True
    characters = MANY_CHARACTERS

    def __init__(self, alone: Callable[[], _RequestPool], bulk: Callable[[], _RequestPool], precision: str) -> None:
        self._alone, self._bulk, self.precision = alone, bulk, precision
        self._calls, self._lock = 0, Lock()

    def run(self, batches: Sequence[Batch]) -> Iterator[tuple[Batch, tuple[FloatArray, ...]]]:
        """Yield each batch with its outputs."""
        alone, bulk = self._alone(), self._bulk()  # the first call, when a server warms up, compiles both
        with self._lock:
            self._calls += 1
        try:
            for batch in batches:
                yield batch, (alone if self._calls == 1 else bulk).infer(batch)
        finally:
            with self._lock:
                self._calls -= 1


class _RequestPool:
    """A compiled model and one request per stream; a call waits for a free request."""

    def __init__(self, model: Any, precision: str, streams: int) -> None:  # noqa: ANN401
        rounds = precision == "int8"
        settings = {
            "INFERENCE_PRECISION_HINT": fastest_float() if rounds else precision,
            "NUM_STREAMS": str(streams),
            "INFERENCE_NUM_THREADS": cores(),
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": str(_GROUP if rounds else 0),  # 0: off, which is not OpenVINO's default
            "CPU_RUNTIME_CACHE_CAPACITY": str(_CACHE_CAPACITY),
        }
        with _LOADING:
            compiled = _compiled(_with_int8(model) if rounds else model, settings)
        self.streams = streams
        self._names = [port.get_any_name() for port in compiled.inputs]
        self._free: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(streams):
            self._free.put(compiled.create_infer_request())

    def infer(self, batch: Batch) -> tuple[FloatArray, ...]:
        arrays = {"input_ids": batch.ids, "attention_mask": batch.mask, "token_type_ids": batch.segments}
        request = self._free.get()
        try:
            results = request.infer({name: arrays[name] for name in self._names})
            return tuple(np.array(r, dtype=np.float32) for r in results.values())
        finally:
            self._free.put(request)


def _compiled(model: Any, settings: dict[str, Any]) -> Any:  # noqa: ANN401
    """The model, compiled.

    Raises:
        ModelError: OpenVINO can't compile it; its files are not at fault, since they were read.

    """
    try:
        return _core().compile_model(model, "CPU", settings)
    except RuntimeError as error:
        raise ModelError(
            f"OpenVINO can't compile this model here ({_reason(error)}); "
            "take another engine or precision, such as engine='onnx'"
        ) from error


def _reason(error: Exception) -> str:
    """The last line of OpenVINO's message, which begins with places in its source code."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:200] if lines else type(error).__name__


def read_model(path: Path) -> Any:  # noqa: ANN401
    """Read an ONNX or OpenVINO file; weights stored as int8 with a scale are restored to f32 once, here.

    Raises:
        BrokenModel: the file is damaged or may not be read, or an OpenVINO file lacks the .bin beside it.
        ModelError: OpenVINO lacks one of its operations.

    """
    if path.suffix == ".xml" and not path.with_suffix(".bin").exists():
        raise BrokenModel(f"{path} has no {path.with_suffix('.bin').name} beside it; fetch the model again")
    with _LOADING:
        core = _core()
        try:
            path.open("rb").close()  # OpenVINO gives the same error for an unreadable file as for a damaged one
            model = core.read_model(path)
        except OSError as error:
            raise BrokenModel(f"{path} can't be read ({error.strerror or error})") from error
        except RuntimeError as error:
            if "OpConversionFailure" in str(error):
                raise ModelError(
                    f"OpenVINO lacks operations of {path} ({_reason(error)}); try engine='onnx' or another copy"
                ) from error
            raise BrokenModel(
                f"{path} is damaged or was not fetched whole; fetch the model again (OpenVINO: {_reason(error)})"
            ) from error
    _restore_weights(model)
    return model


def save_model(model: Any, path: Path, weights: str) -> None:  # noqa: ANN401
    """Write openvino_model.xml and .bin with matrices as "f32", "fp16", or "int8" with one f32 scale per row.

    The file stores rounded weights as arithmetic, which `read_model` computes once, so that only the file is smaller.
    `model` is altered.
    """
    if weights == "int8":
        _round_weights(model)
    with _LOADING:
        _openvino().save_model(model, path, compress_to_fp16=weights == "fp16")


def _round_weights(model: Any) -> None:  # noqa: ANN401
    """Replace f32 matrices by Multiply(Convert(int8), scale), symmetric, one scale per output or vocabulary entry."""
    for node in model.get_ordered_ops():
        if node.get_type_name() != "Constant" or len(node.get_output_shape(0)) != 2:
            continue
        value = np.array(node.data)
        if value.dtype != np.float32 or value.size < SMALL:
            continue
        uses = [port.get_node() for port in node.output(0).get_target_inputs()]
        by_column = any(u.get_type_name() == "MatMul" and not u.get_attributes()["transpose_b"] for u in uses)
        node.output(0).replace(_rounded(value, axis=0 if by_column else 1).output(0))
    model.validate_nodes_and_infer_types()


def _with_int8(model: Any) -> Any:  # noqa: ANN401
    """A copy whose products with a matrix read it as Multiply(Convert(int8), scale), one scale per output.

    OpenVINO takes that for a compressed layer and may round its activations too. Weights that were stored at int8 get
    the same values again.
    """
    op, copy = openvino_ops(), model.clone()
    for node in copy.get_ordered_ops():
        right = node.input_value(1).get_node() if node.get_type_name() == "MatMul" else None
        if right is None or right.get_type_name() != "Constant" or len(right.get_output_shape(0)) != 2:
            continue
        value = np.array(right.data, np.float32)
        if value.size < SMALL:
            continue
        value = value if node.get_attributes()["transpose_b"] else value.T
        product = op.matmul(node.input_value(0), _rounded(np.ascontiguousarray(value), axis=1), False, True)
        node.output(0).replace(product.output(0))
    copy.validate_nodes_and_infer_types()
    return copy


def _rounded(value: FloatArray, axis: int) -> Any:  # noqa: ANN401
    """Multiply(Convert(int8), scale) of a matrix, symmetric, one scale for all values along `axis`."""
    op = openvino_ops()
    integers, scale = round_symmetric(value, axis)
    return op.multiply(op.convert(op.constant(integers), "f32"), op.constant(scale))


def _restore_weights(model: Any) -> None:  # noqa: ANN401
    """Replace Multiply(Convert(int8 constant), scale) by its value.

    The plugin would take the pattern for a compressed layer and might round activations too.
    """
    ov = _openvino()
    for node in model.get_ordered_ops():
        if node.get_type_name() != "Multiply":
            continue
        left, right = (node.input_value(i).get_node() for i in (0, 1))
        stored = left.input_value(0).get_node() if left.get_type_name() == "Convert" else None
        if stored is None or stored.get_type_name() != "Constant" or right.get_type_name() != "Constant":
            continue
        if stored.get_element_type() == ov.Type.i8:
            value = stored.data.astype(np.float32) * right.data.astype(np.float32)
            node.output(0).replace(ov.opset13.constant(value).output(0))
    model.validate_nodes_and_infer_types()
