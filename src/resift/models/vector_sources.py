"""Graphs of vector models: an encoder, from safetensors or exported, ended by pooling or projections."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resift.engine.graphs.graph import ARCHITECTURES, architecture, encoder_graph, unsupported
from resift.engine.graphs.heads import HeadStep, Linear, Normalize, append, apply
from resift.engine.graphs.names import NamedTensors
from resift.engine.native.native_engine import Checkpoint
from resift.engine.native.native_heads import head_of_steps
from resift.engine.weights.checkpoint_files import header, read_weights, rows
from resift.errors import BrokenModel, UnknownFamily
from resift.models.checkpoints import head
from resift.models.config import read_config
from resift.models.contract import Contract
from resift.models.exported import BELOW, OWN, exported, weights_or_graph
from resift.models.input_rules import TokenRules


@dataclass(frozen=True, slots=True)
class Source:
    """How a graph is read, the token id that fills short rows, and the folder of the encoder and its tokenizer.

    `checkpoint` is the same model as weights; None where there is a graph alone. `rows` is for how many ids there are
    embeddings; 0 where there is a graph alone.
    """

    read: Callable[[], Any]
    pad: int
    folder: Path
    checkpoint: Checkpoint | None = None
    rows: int = 0


def vector_source(folder: Path, contract: Contract) -> Source:
    """The graph of a late-interaction model (token vectors) or an embedder (one vector).

    Raises:
        UnknownFamily: an encoder that is of no known architecture and not exported, or another module than these.
        BrokenModel: weights are missing.

    """
    if contract.family == "embedder" and not contract.vectors.pooling and not (folder / "modules.json").exists():
        raise UnknownFamily(f"{folder} does not say how to pool; add vectors.pooling to its contract.json")
    path, steps = head(folder, contract)
    config = read_config(path)
    pad = int(config.get("pad_token_id") or 0)
    graph = exported(path, (*OWN, *BELOW))
    if graph and steps is not None and not [*path.glob("*.safetensors")]:
        return Source(lambda: _ended(graph, steps), pad, path)
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
    _check_reach(folder, config, contract.tokens)
    if steps is None and not any("linear.weight" in header(file) for file in files):
        raise BrokenModel(f"{path} has no projection (tensor linear.weight): its token vectors would be the encoder's")

    def ending(weights: NamedTensors) -> Sequence[HeadStep]:
        return (Linear(weights["linear.weight"]), Normalize()) if steps is None else steps

    def read() -> Any:  # noqa: ANN401 - openvino ships no types
        weights = read_weights(files)
        last = ending(weights)
        return encoder_graph(config, weights, lambda build, hidden, inputs: [apply(hidden, inputs.mask, last)])

    unpadded = Checkpoint(config, lambda: read_weights(files), lambda _, weights, __: head_of_steps(ending(weights)))
    return Source(read, pad, path, unpadded, vocabulary_rows(config, files))


def vocabulary_rows(config: Mapping[str, Any], files: Sequence[Path]) -> int:
    """How many ids a checkpoint has embeddings for."""
    return rows(files, ARCHITECTURES[architecture(config) or ""].first)


def _check_reach(folder: Path, config: Mapping[str, Any], rules: TokenRules) -> None:
    """Refuse an expansion that layers of a limited view can't see a word from: what they then give is undefined."""
    reach = int(config.get("local_attention") or 0) // 2
    if reach and not rules.attend and rules.expand > reach + 3:  # a query has three tokens at least
        raise UnknownFamily(
            f"{folder} fills queries up to {rules.expand} tokens and does not attend to them, while its layers see "
            f"{reach} tokens to either side: the last ones would see nothing; expand to {reach + 3} at most"
        )


def _ended(path: Path, steps: Sequence[HeadStep]) -> Any:  # noqa: ANN401
    from resift.engine.openvino import read_model

    return append(read_model(path), steps)
