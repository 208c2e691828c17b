"""Which engine runs a folder: the caller's choice, checked, or the fastest that is safe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from resift.errors import BrokenModel, InputError, UnknownFamily
from resift.machine import has_amx
from resift.models.contract import Contract
from resift.models.exported import onnx_file

if TYPE_CHECKING:
    from resift.engine.batching import Engine
    from resift.models.vector_sources import Source

Precision = Literal["auto", "f32", "bf16", "int8", "fp16"]
EngineName = Literal["auto", "native", "openvino", "onnx", "torch"]


def open_engine(
    wanted: EngineName, folder: Path, contract: Contract, source: Source, precision: Precision, default: str
) -> Engine:
    """The engine that runs a folder; `default` is the precision of native and openvino for "auto".

    Raises:
        UnknownFamily: native or torch was asked for a model that it does not run.
        BrokenModel: the engine's weights are not in the folder.
        MissingExtra: the engine is not installed.
        InputError: an engine that there is not, or a precision that the engine does not have.

    """
    if precision not in get_args(Precision):
        raise InputError(f"precision is one of {', '.join(get_args(Precision))}; not {precision!r}")
    if wanted not in get_args(EngineName):
        raise InputError(f"engine is one of {', '.join(get_args(EngineName))}; not {wanted!r}")
    from resift.engine.native.native_engine import NativeEngine, obstacle
    from resift.engine.openvino import PRECISIONS, OpenVINOEngine
    from resift.engine.torch import TorchEngine, has_gpu, reads

    if wanted == "torch" or (wanted == "auto" and contract.family == "encoder" and has_gpu()):
        if contract.family == "encoder" and reads(folder):
            return TorchEngine(folder, precision)
        if wanted == "torch":
            raise UnknownFamily(
                f"{contract.name} does not run in torch: that takes a cross-encoder folder with safetensors, of an "
                "architecture that Transformers has; use engine='openvino'"
            )
    if wanted == "onnx":
        return _onnx(folder, contract, precision)
    chosen = default if precision == "auto" else precision
    reason = obstacle(source.checkpoint, chosen)
    if wanted == "native" and reason:
        raise UnknownFamily(f"{contract.name} does not run by engine='native': {reason}; use engine='openvino'")
    if source.checkpoint is not None and not reason and (wanted == "native" or (wanted == "auto" and not has_amx())):
        return NativeEngine(source.checkpoint, chosen)
    if precision not in (*PRECISIONS, "auto"):
        raise InputError(f"openvino runs at {', '.join(PRECISIONS)}; not {precision!r}")
    return OpenVINOEngine(source.read, chosen)


def _onnx(folder: Path, contract: Contract, precision: Precision) -> Engine:
    from resift.engine.onnx import OnnxEngine

    if precision not in ("auto", "f32"):
        raise InputError(f"onnx runs at f32; not {precision!r}")
    whole = contract.family == "encoder" or (folder / "contract.json").exists()  # else it is a bare encoder
    file = onnx_file(folder) if whole else None
    if file is None:
        raise BrokenModel(f"{folder} has no model.onnx; make one: resift export {folder} OUT --to onnx --weights f32")
    return OnnxEngine(file)
