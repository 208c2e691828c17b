"""From a checkpoint's config and tensors to a graph: which architecture it is, and what its outputs are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from resift.engine.encoders import bert
from resift.engine.encoders.builder import Builder, Inputs, Node, Weights
from resift.engine.openvino import openvino_model, openvino_ops
from resift.errors import BrokenModel

Ending = Callable[[Builder, Node, Inputs], Sequence[Node]]


@dataclass(frozen=True, slots=True)
class Architecture:
    """One encoder.

    Attributes:
        hidden_states: builds the encoder; last hidden states (B, T, H).
        logits: builds the classification head that the authors' library puts on it; (B, labels).
        first: a tensor that every checkpoint of it has; what stands before its name is the encoder's root.
        head: tensors of the head; without them the scores would be random.

    """

    hidden_states: Callable[[Builder, Inputs], Node]
    logits: Callable[[Builder, Node, Inputs], Node]
    first: str
    head: tuple[str, ...]


_WORDS = "embeddings.word_embeddings.weight"
_ROBERTA = Architecture(
    bert.hidden_states, bert.logits_roberta, _WORDS, ("classifier.dense.weight", "classifier.out_proj.weight")
)
ARCHITECTURES: Mapping[str, Architecture] = {
    "bert": Architecture(bert.hidden_states, bert.logits_bert, _WORDS, ("classifier.weight",)),
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "electra": Architecture(bert.hidden_states, bert.logits_electra, _WORDS, _ROBERTA.head),
}


def architecture(config: Mapping[str, Any]) -> str | None:
    """The key of ARCHITECTURES that a config describes; None when it is none of them."""
    name = config.get("model_type")
    return name if name in ARCHITECTURES else None


def encoder_graph(
    config: Mapping[str, Any], weights: Weights, ending: Ending = lambda b, hidden, inputs: [hidden]
) -> Any:  # noqa: ANN401
    """Inputs input_ids, attention_mask, token_type_ids (B, T) int64 -> last hidden states (B, T, H) f32.

    Args:
        config: of an architecture of ARCHITECTURES.
        weights: all tensors of the checkpoint, with whatever prefix the encoder's names have in it.
        ending: gives other outputs, built on the hidden states.

    Raises:
        BrokenModel: a tensor or an entry of the config is missing, or an activation is unknown.

    """
    kind = ARCHITECTURES[architecture(config) or ""]
    build = Builder(config, weights, _root(kind, weights))
    names = ("input_ids", "attention_mask", "token_type_ids")
    inputs = Inputs(*(openvino_ops().parameter([-1, -1], np.int64, name=n) for n in names))
    hidden = kind.hidden_states(build, inputs)
    return openvino_model(list(ending(build, hidden, inputs)), [inputs.ids, inputs.mask, inputs.segments])


def classifier_graph(config: Mapping[str, Any], weights: Weights) -> Any:  # noqa: ANN401
    """The same inputs -> logits (B, labels); see `encoder_graph`."""
    kind = ARCHITECTURES[architecture(config) or ""]
    return encoder_graph(config, weights, lambda b, hidden, inputs: [kind.logits(b, hidden, inputs)])


def _root(kind: Architecture, weights: Weights) -> str:
    """What stands before the encoder's own names: "" in an encoder saved alone, "bert." in a classifier."""
    roots = [name.removesuffix(kind.first) for name in weights if name.endswith(kind.first)]
    if not roots:
        raise BrokenModel(f"the checkpoint has no tensor {kind.first}; its files are incomplete")
    return min(roots, key=len)
