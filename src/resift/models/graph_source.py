"""Where a model's graph comes from: a file in its folder, or its weights, with pooling or projections at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from resift.engine.graphs.graph import ARCHITECTURES, architecture, encoder_graph, unsupported
from resift.engine.graphs.heads import HeadStep, Linear, Normalize, Pooling, append, apply
from resift.engine.graphs.names import NamedTensors
from resift.engine.native import native_heads
from resift.engine.native.encoder_library import unsupported as unsupported_natively
from resift.engine.native.native_engine import Checkpoint
from resift.engine.weights.checkpoint_files import header, read_weights, rows
from resift.engine.weights.onnx_weights import names_matrices, read_onnx_weights
from resift.engine.weights.torch_archive import read_archive
from resift.errors import BrokenModel, UnknownFamily
from resift.models.contract import Contract
from resift.models.folder import ModelFolder
from resift.models.graph_files import BELOW, BESIDE, graph_file, holds_whole_graph, weights_or_graph
from resift.models.heads import SENTENCE, TOKENS, head_steps
from resift.models.inner_heads import cut_config, inner_head, inner_head_steps
from resift.models.inputs import EmbedderInput, EncoderInput, Head, LateInput
from resift.models.layouts.bge_m3 import SECOND_HEAD

_MEAN = (Pooling(("mean",)), Normalize())  # the pooled vector of a late-interaction model of Resift's own


@dataclass(frozen=True, slots=True)
class Source:
    """A model's graph, before anything of it is read.

    Attributes:
        read: gives the graph that OpenVINO compiles, with all weights in f32.
        pad: the token id that fills short rows.
        checkpoint: the same model as weights; None where there is a graph alone.
        rows: for how many ids there are embeddings; 0 where there is a graph alone.

    """

    read: Callable[[], Any]
    pad: int
    checkpoint: Checkpoint | None = None
    rows: int = 0


def graph_source(folder: ModelFolder, contract: Contract) -> Source:
    """The source of a model that runs as a graph.

    An OpenVINO or ONNX file beside the config is preferred where it is the whole model. Else the graph is built from
    weights, whose names are checked; a graph in a subfolder is read where there are no weights.

    Raises:
        UnknownFamily: a family without a graph, an encoder of no known architecture that is not exported, or a module
            that Resift does not run.
        BrokenModel: weights are missing.

    """
    pad = int(folder.config.get("pad_token_id") or 0)
    if head := inner_head(contract):
        return _cut_source(folder, head)
    if holds_whole_graph(folder, contract) and (graph := graph_file(folder.path, BESIDE)):
        return Source(partial(_read_graph, graph), pad, _weights_of_graph(graph, folder.config, contract))
    if isinstance(contract.input, EncoderInput) and not folder.has_modular_head:
        return _classifier_source(folder, pad)
    if isinstance(contract.input, EncoderInput | LateInput | EmbedderInput):
        return _modular_source(folder, contract)
    raise UnknownFamily(f"{contract.name} is of family {contract.family}, whose models have no graph")


def _classifier_source(folder: ModelFolder, pad: int) -> Source:
    from resift.engine.graphs.graph import classifier_graph, missing_head

    config, files = folder.config, weights_or_graph(folder.path)
    if isinstance(files, Path):
        return Source(partial(_read_graph, files), pad)
    if absent := missing_head(config, {name for file in files for name in header(file)}):
        raise BrokenModel(
            f"{folder} says it is a classifier but holds no {', '.join(absent)}: its scores would be random; "
            "use a checkpoint that was trained as a reranker"
        )
    checkpoint = Checkpoint(config, lambda: read_weights(files), native_heads.classifier, first_only=True)
    return Source(
        lambda: classifier_graph(config, read_weights(files)), pad, checkpoint, _vocabulary_rows(config, files)
    )


def _cut_source(folder: ModelFolder, head: Head) -> Source:
    """The source of an encoder that ends at an inner head: of the layers above it nothing is built."""
    path, config = folder.encoder.path, folder.encoder.config
    files = weights_or_graph(path)
    if isinstance(files, Path) or architecture(config) is None or unsupported(config):
        raise UnknownFamily(
            f"{folder} can't stop at layer {head.layer}: that takes weights in safetensors, of one of the "
            f"architectures {', '.join(ARCHITECTURES)}; score with its last head"
        )
    pad = int(config.get("pad_token_id") or 0)
    return _encoder_source(cut_config(config, head.layer), files, inner_head_steps(folder, head), pad, pooled=False)


def _weights_of_graph(graph: Path, config: Mapping[str, Any], contract: Contract) -> Checkpoint | None:
    """The weights of a late-interaction model of Resift's own whose ONNX file names its matrices."""
    record = contract.input
    if not (isinstance(record, LateInput) and record.pooled and graph.suffix == ".onnx"):
        return None
    if unsupported_natively(config) or not names_matrices(graph):
        return None
    return Checkpoint(config, lambda: read_onnx_weights(graph), native_heads.token_vectors)


def _modular_source(folder: ModelFolder, contract: Contract) -> Source:
    """The source of an encoder with modules behind it: token vectors, one vector, or scores."""
    if isinstance(contract.input, EmbedderInput) and not contract.input.pooling and folder.modules is None:
        raise UnknownFamily(f"{folder} does not say how to pool; add vectors.pooling to its contract.json")
    path, config, steps = folder.encoder.path, folder.encoder.config, _head(folder, contract)
    pad = int(config.get("pad_token_id") or 0)
    graph = graph_file(path, (*BESIDE, *BELOW))
    if graph and steps is not None and not [*path.glob("*.safetensors")]:
        return Source(lambda: append(_read_graph(graph), steps), pad)
    files = weights_or_graph(path)
    if isinstance(files, Path):
        raise BrokenModel(f"{path} has {files.name} without a projection: its token vectors would be the encoder's")
    if architecture(config) is None:
        raise UnknownFamily(
            f"{folder} has an encoder of type {config.get('model_type')!r}; known are {', '.join(ARCHITECTURES)}, "
            "and any that is exported to ONNX or OpenVINO without its safetensors beside it"
        )
    if entry := unsupported(config):
        raise UnknownFamily(f"{folder} has {entry}; its graph can't be built exactly, give another checkpoint")
    if isinstance(contract.input, LateInput):
        _check_reach(folder, config, contract.input)
    if steps is None and not any("linear.weight" in header(file) for file in files):
        raise BrokenModel(f"{path} has no projection (tensor linear.weight): its token vectors would be the encoder's")
    pooled = isinstance(contract.input, LateInput) and contract.input.pooled and folder.has_contract
    return _encoder_source(config, files, steps, pad, pooled)


def _encoder_source(
    config: Mapping[str, Any], files: list[Path], steps: Sequence[HeadStep] | None, pad: int, pooled: bool
) -> Source:
    """An encoder of weights, with these steps at its end, or with the projection that lies beside its own tensors.

    With `pooled` the mean of its hidden states, of length 1, is a second output.
    """

    def ending(weights: NamedTensors) -> Sequence[HeadStep]:
        return (Linear(weights["linear.weight"]), Normalize()) if steps is None else steps

    def read() -> Any:  # noqa: ANN401 - openvino ships no types
        weights = read_weights(files)
        ends = [ending(weights), *([_MEAN] if pooled else [])]
        return encoder_graph(
            config, weights, lambda _, hidden, inputs: [apply(hidden, inputs.mask, last) for last in ends]
        )

    checkpoint = Checkpoint(
        config,
        lambda: read_weights(files),
        lambda _, weights, __: native_heads.head_of_steps(ending(weights), _MEAN if pooled else ()),
    )
    return Source(read, pad, checkpoint, _vocabulary_rows(config, files))


def _head(folder: ModelFolder, contract: Contract) -> tuple[HeadStep, ...] | None:
    """What stands behind a model's encoder; None for Stanford's projection, which lies beside it.

    Raises:
        UnknownFamily: a module that Resift does not run.
        BrokenModel: weights of a projection are missing.

    """
    modules, record = folder.modules, contract.input
    if isinstance(record, LateInput) and folder.has(SECOND_HEAD):
        return _second_head(folder.path / SECOND_HEAD)
    if modules is None:
        return (Pooling(record.pooling),) if isinstance(record, EmbedderInput) else None
    if isinstance(record, EmbedderInput | EncoderInput):
        return head_steps(modules, SENTENCE)
    steps = head_steps(modules, TOKENS)
    return steps if modules.of("MultiVectorMask") else (*steps, Normalize())


def _second_head(file: Path) -> tuple[HeadStep, ...]:
    tensors = read_archive(file)
    try:
        return Linear(tensors["weight"], tensors["bias"]), Normalize()
    except KeyError as error:
        raise BrokenModel(f"{file} has no tensor {error}; fetch the model again") from error


def _vocabulary_rows(config: Mapping[str, Any], files: Sequence[Path]) -> int:
    """How many ids a checkpoint has embeddings for."""
    return rows(files, ARCHITECTURES[architecture(config) or ""].first)


def _check_reach(folder: ModelFolder, config: Mapping[str, Any], record: LateInput) -> None:
    """Refuse an expansion from which layers of a limited view can't see a word: their output there is undefined."""
    reach = int(config.get("local_attention") or 0) // 2
    if reach and not record.attend and record.expand > reach + 3:  # a query has three tokens at least
        raise UnknownFamily(
            f"{folder} fills queries up to {record.expand} tokens and does not attend to them, while its layers see "
            f"{reach} tokens to either side: the last ones would see nothing; expand to {reach + 3} at most"
        )


def _read_graph(path: Path) -> Any:  # noqa: ANN401
    from resift.engine.openvino import read_model

    return read_model(path)
