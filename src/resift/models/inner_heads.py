"""The heads at inner layers of a cross-encoder: what a folder holds of them, and how one is chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from resift.engine.graphs.heads import HeadStep, Linear, Pooling
from resift.engine.weights.checkpoint_files import read_weights, weight_files
from resift.errors import BrokenModel, InputError
from resift.models.contract import Contract
from resift.models.folder import CONTRACT, ModelFolder
from resift.models.inputs import CLASSIFIER, EncoderInput, Head
from resift.models.layer_names import with_layer

HEADS_FILE = "heads/model.safetensors"  # tensors LAYER.dense.weight, .dense.bias, .score.weight, .score.bias
INNER_READS = "mean+max"  # new heads, see docs/decisions.md


def heads_of(folder: ModelFolder) -> tuple[Head, ...]:
    """All heads of a folder that has some at inner layers; else none.

    Raises:
        BrokenModel: its contract.json lists them wrongly.

    """
    heads: Any = folder.object(CONTRACT).get("heads") or []
    try:
        return EncoderInput.parse({"heads": heads}).heads
    except (TypeError, ValueError) as error:
        raise BrokenModel(f"{folder}/{CONTRACT} is incomplete or malformed: {error}") from error


def at_layer(contract: Contract, layer: int) -> Contract:
    """The contract of the same model that stops at a layer; it has another name, and no golden pairs.

    Raises:
        InputError: there is no head at this layer; the message lists those that there are.

    """
    heads = contract.input.heads if isinstance(contract.input, EncoderInput) else ()
    if not heads:
        raise InputError(f"{contract.name} has one head, behind its last layer; take it without layer={layer}")
    layers = [head.layer for head in heads]
    if layer not in layers:
        raise InputError(f"{contract.name} has heads at layers {', '.join(map(str, layers))}; not at {layer}")
    if layer == layers[-1]:
        return contract
    record = replace(contract.input_as(EncoderInput), heads=heads[: layers.index(layer) + 1])
    return replace(contract, name=with_layer(contract.name, layer), golden=(), input=record)


def inner_head(contract: Contract) -> Head | None:
    """The head at an inner layer that a contract stops at; None where it is the model's own."""
    heads = contract.input.heads if isinstance(contract.input, EncoderInput) else ()
    return heads[-1] if heads and heads[-1].reads != CLASSIFIER else None


def layer_of(contract: Contract) -> int | None:
    """The inner layer that a contract stops at; None where it does not."""
    head = inner_head(contract)
    return head.layer if head else None


def with_one_head(contract: Contract) -> Contract:
    """The contract of a graph in which all but the head in use is left out."""
    if not isinstance(contract.input, EncoderInput) or not contract.input.heads:
        return contract
    return replace(contract, input=replace(contract.input, heads=()))


def cut_config(config: Mapping[str, Any], layers: int) -> dict[str, Any]:
    """The config of the same encoder with fewer layers."""
    name = "n_layers" if config.get("model_type") == "distilbert" else "num_hidden_layers"
    kinds = {"layer_types": config["layer_types"][:layers]} if config.get("layer_types") else {}
    return {**config, name: layers, **kinds}


def pooling_of(head: Head) -> tuple[str, ...]:
    """How an inner head makes one vector of token vectors; of several ways, one behind the other."""
    return tuple(head.reads.split("+"))


def inner_head_steps(folder: ModelFolder, head: Head) -> tuple[HeadStep, ...]:
    """What a head does with hidden states: pooling, a linear layer with GELU, and one that makes the scores.

    Raises:
        BrokenModel: its tensors are not in the folder.

    """
    tensors = read_weights(weight_files((folder.path / HEADS_FILE).parent))
    try:
        dense, score = (
            (tensors[f"{head.layer}.{part}.weight"], tensors[f"{head.layer}.{part}.bias"])
            for part in ("dense", "score")
        )
    except KeyError as error:
        raise BrokenModel(f"{folder.path / HEADS_FILE} has no tensor {error}; fetch the model again") from error
    return Pooling(pooling_of(head)), Linear(*dense, "GELU"), Linear(*score)
