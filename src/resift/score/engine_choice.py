"""Which engine runs a folder: the caller's choice, checked, or the fastest that is safe."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from resift.errors import BrokenModel, InputError, UnknownFamily
from resift.machine import has_amx
from resift.models.contract import Contract
from resift.models.folder import ModelFolder
from resift.models.graph_files import onnx_file
from resift.models.inner_heads import inner_head, inner_head_steps
from resift.models.inputs import EncoderInput
from resift.score.options import LoadOptions, Precision

if TYPE_CHECKING:
    from resift.engine.batching import Engine
    from resift.models.graph_source import Source


def open_engine(options: LoadOptions, folder: ModelFolder, contract: Contract, source: Source, default: str) -> Engine:
    """The engine that runs a folder; `default` is the precision of native and openvino for "auto".

    Raises:
        UnknownFamily: native or torch was asked for a model that it does not run.
        BrokenModel: the engine's weights are not in the folder.
        MissingExtra: the engine is not installed.
        InputError: a precision that the engine does not have.

    """
    from resift.engine.native.native_engine import NativeEngine, obstacle
    from resift.engine.openvino import PRECISIONS, OpenVINOEngine
    from resift.engine.torch import TorchEngine, has_gpu, reads
    from resift.engine.torch_layers import Cut

    name, precision = options.engine, options.precision
    classifier, head = isinstance(contract.input, EncoderInput), inner_head(contract)
    if name == "torch" or (name == "auto" and classifier and has_gpu()):
        if classifier and reads(folder.path):
            cut = Cut(head.layer, partial(inner_head_steps, folder, head)) if head else None
            return TorchEngine(folder.path, precision, cut)
        if name == "torch":
            raise UnknownFamily(
                f"{contract.name} does not run in torch: that takes a cross-encoder folder with safetensors, of an "
                "architecture that Transformers has; use engine='openvino'"
            )
    if name == "onnx":
        return _onnx(folder, contract, precision)
    chosen = default if precision == "auto" else precision
    reason = obstacle(source.checkpoint, chosen)
    if name == "native" and reason:
        raise UnknownFamily(f"{contract.name} does not run by engine='native': {reason}; use engine='openvino'")
    if source.checkpoint is not None and not reason and (name == "native" or (name == "auto" and not has_amx())):
        return NativeEngine(source.checkpoint, chosen)
    if precision not in (*PRECISIONS, "auto"):
        raise InputError(f"openvino runs at {', '.join(PRECISIONS)}; not {precision!r}")
    return OpenVINOEngine(source.read, chosen)


def _onnx(folder: ModelFolder, contract: Contract, precision: Precision) -> Engine:
    from resift.engine.onnx import OnnxEngine

    if inner_head(contract):
        raise UnknownFamily(f"{contract.name} does not run by engine='onnx', whose graph has one head; use openvino")
    if precision not in ("auto", "f32"):
        raise InputError(f"onnx runs at f32; not {precision!r}")
    file = onnx_file(folder, contract)
    if file is None:
        raise BrokenModel(f"{folder} has no model.onnx; make one: resift export {folder} OUT --to onnx --weights f32")
    return OnnxEngine(file)
