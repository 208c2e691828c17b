"""The graph of a checkpoint, by the architecture that its config names."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from resift.engine.graphs import bert, deberta, gte, jinabert, modernbert, names
from resift.engine.graphs.builder import ACTIVATIONS, Builder, GraphInputs, Node
from resift.engine.graphs.names import NamedTensors
from resift.engine.graphs.rope import SCALINGS, scaling_of
from resift.engine.openvino import openvino_model, openvino_ops

GraphHead = Callable[[Builder, Node, GraphInputs], Sequence[Node]]


@dataclass(frozen=True, slots=True)
class Architecture:
    """One encoder.

    Attributes:
        hidden_states: builds the encoder; last hidden states (B, T, H).
        logits: builds the classification head that the authors' library puts on it; (B, labels).
        first: the name of a tensor that every such checkpoint has; its prefix is that of the encoder.
        head: tensors of the classification head, which is random without them.
        allowed: the values that entries of the config may have; an absent entry is fine.

    """

    hidden_states: Callable[[Builder, GraphInputs], Node]
    logits: Callable[[Builder, Node, GraphInputs], Node]
    first: str
    head: tuple[str, ...]
    allowed: Mapping[str, Sequence[object]]


_WORDS = "embeddings.word_embeddings.weight"
_BERT = {"hidden_act": ACTIVATIONS, "position_embedding_type": ("absolute",), "is_decoder": (False,)}
_TURNING = {**_BERT, "position_embedding_type": ("absolute", "rotary")}
_GATED = {**_BERT, "position_embedding_type": ("alibi",), "feed_forward_type": ("geglu", "reglu")}
_NEW = {
    **_BERT,
    "position_embedding_type": ("absolute", "rope"),
    "layer_norm_type": ("layer_norm",),
    "logn_attention_scale": (False,),
}
_TWO = ("classifier.dense.weight", "classifier.out_proj.weight")
_ROBERTA = Architecture(bert.hidden_states, bert.logits_roberta, _WORDS, _TWO, _TURNING)
_POOLED = ("pooler.dense.weight", "classifier.weight")
_GTE = Architecture(gte.hidden_states, bert.logits_bert, _WORDS, _POOLED, _NEW)

ARCHITECTURES: Mapping[str, Architecture] = {
    "bert": Architecture(bert.hidden_states, bert.logits_bert, _WORDS, _POOLED, _BERT),
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "camembert": _ROBERTA,
    "jina_embeddings_v3": _ROBERTA,
    "electra": Architecture(bert.hidden_states, bert.logits_electra, _WORDS, _TWO, _BERT),
    "distilbert": Architecture(
        bert.hidden_states, bert.logits_distilbert, _WORDS, ("pre_classifier.weight", "classifier.weight"),
        {"activation": ACTIVATIONS},
    ),
    "deberta-v2": Architecture(
        deberta.hidden_states, deberta.logits, _WORDS, _POOLED, {"hidden_act": ACTIVATIONS, "conv_act": ACTIVATIONS}
    ),
    "modernbert": Architecture(
        modernbert.hidden_states, modernbert.logits, "embeddings.tok_embeddings.weight",
        ("head.dense.weight", "classifier.weight"),
        {"hidden_activation": ACTIVATIONS, "classifier_pooling": ("cls", "mean")},
    ),
    "jina-bert": Architecture(jinabert.hidden_states, bert.logits_bert, _WORDS, _POOLED, _GATED),
    "gte": _GTE,
    "new": _GTE,
}  # fmt: skip


def architecture(config: Mapping[str, Any]) -> str | None:
    """The key of ARCHITECTURES that a config describes; None when it is none of them."""
    name = config.get("model_type")
    if name == "bert" and config.get("position_embedding_type") == "alibi":
        return "jina-bert"
    return name if name in ARCHITECTURES else None


def unsupported(config: Mapping[str, Any]) -> str:
    """The entry of a config that its architecture is not built for, in words; empty when there is none."""
    kind = ARCHITECTURES[architecture(config) or ""]
    for entry, values in kind.allowed.items():
        if entry in config and config[entry] not in values:
            return f"{entry} {config[entry]!r} (known: {', '.join(map(str, values))})"
    ropes = [config.get("rope_scaling"), config.get("rope_parameters")]
    ropes += list((config.get("rope_parameters") or {}).values())
    for rope in ropes:
        if isinstance(rope, Mapping) and scaling_of(rope) not in SCALINGS:
            return f"rotary scaling {scaling_of(rope)!r} (known: {', '.join(SCALINGS)})"
    return ""


def missing_head(config: Mapping[str, Any], tensors: Collection[str]) -> list[str]:
    """NamedTensors of the classification head that a checkpoint lacks; `tensors` names all that it has."""
    kind = ARCHITECTURES[architecture(config) or ""]
    return [t for t in kind.head if not any(n == t or n.endswith("." + t) for n in tensors)]


def encoder_graph(
    config: Mapping[str, Any],
    weights: NamedTensors,
    head: GraphHead = lambda b, hidden, inputs: [hidden],
    first_only: bool = False,
) -> Any:  # noqa: ANN401
    """Inputs input_ids, attention_mask, token_type_ids (B, T) int64 -> last hidden states (B, T, H) f32.

    Args:
        config: of an architecture of ARCHITECTURES.
        weights: all tensors of the checkpoint, with whatever prefix the encoder's names have in it.
        head: gives other outputs, built on the hidden states.
        first_only: `head` reads the first token's hidden state alone, so that the last layer may give no other.

    Raises:
        BrokenModel: a tensor or an entry of the config is missing, or an activation is unknown.

    """
    kind = ARCHITECTURES[architecture(config) or ""]
    config, weights = names.as_bert(config, weights)
    build = Builder(config, weights, names.root_of(weights, kind.first), first_only)
    inputs = GraphInputs(
        *(
            openvino_ops().parameter([-1, -1], np.int64, name=n)
            for n in ("input_ids", "attention_mask", "token_type_ids")
        )
    )
    hidden = kind.hidden_states(build, inputs)
    return openvino_model(list(head(build, hidden, inputs)), [inputs.ids, inputs.mask, inputs.segments])


def classifier_graph(config: Mapping[str, Any], weights: NamedTensors) -> Any:  # noqa: ANN401
    """The same inputs -> logits (B, labels); see `encoder_graph`."""
    kind = ARCHITECTURES[architecture(config) or ""]
    first_only = kind.hidden_states is bert.hidden_states  # all of its heads read the first token
    return encoder_graph(config, weights, lambda b, hidden, inputs: [kind.logits(b, hidden, inputs)], first_only)
