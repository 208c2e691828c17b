"""BERT-type encoders as an OpenVINO graph, built from a checkpoint's own config and tensors: no torch, no export.

Families: bert, roberta, xlm-roberta, electra, with the classification heads that Transformers gives them
(`*ForSequenceClassification`). Equal to Transformers to 1e-4 at f32 (tests/score/test_parity.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from resift.engine.openvino import openvino_model, openvino_ops
from resift.errors import BrokenModel

Weights = Mapping[str, npt.NDArray[np.float32]]

FAMILIES = ("bert", "roberta", "xlm-roberta", "electra")
_ACTIVATIONS = ("gelu", "relu", "gelu_new", "gelu_pytorch_tanh")


class _Builder:
    """Adds layers of one checkpoint to a graph; every method takes and returns graph nodes."""

    def __init__(self, config: Mapping[str, Any], weights: Weights, root: str) -> None:
        self.op = openvino_ops()
        self.config, self.weights, self.root = config, weights, root

    def tensor(self, name: str) -> Any:  # noqa: ANN401
        if self.root + name not in self.weights:
            raise BrokenModel(f"the checkpoint has no tensor {self.root + name}; its files are incomplete")
        return self.op.constant(self.weights[self.root + name])

    def linear(self, x: Any, name: str) -> Any:  # noqa: ANN401
        product = self.op.matmul(x, self.tensor(f"{name}.weight"), False, True)
        return self.op.add(product, self.tensor(f"{name}.bias"))

    def norm(self, x: Any, name: str) -> Any:  # noqa: ANN401
        eps = float(self.config.get("layer_norm_eps", 1e-12))
        y = self.op.mvn(x, self.op.constant(np.array([-1])), True, eps, "inside_sqrt")
        return self.op.add(self.op.multiply(y, self.tensor(f"{name}.weight")), self.tensor(f"{name}.bias"))

    def activation(self, x: Any) -> Any:  # noqa: ANN401
        name = self.config.get("hidden_act", "gelu")
        if name not in _ACTIVATIONS:
            raise BrokenModel(f"activation {name!r} is not one of {', '.join(_ACTIVATIONS)}")
        if name == "relu":
            return self.op.relu(x)
        return self.op.gelu(x, "erf" if name == "gelu" else "tanh")

    def embeddings(self, ids: Any, segments: Any) -> Any:  # noqa: ANN401
        op, zero = self.op, self.op.constant(0)

        def look_up(name: str, index: Any) -> Any:  # noqa: ANN401
            return op.gather(self.tensor(f"embeddings.{name}.weight"), index, zero)

        length = op.gather(op.shape_of(ids), op.constant(1), zero)
        # RoBERTa's positions start behind the padding id; padding stands at the end here, so a range is exact.
        first = 0 if self.config["model_type"] in ("bert", "electra") else int(self.config["pad_token_id"]) + 1
        first_ = op.constant(np.int64(first))
        positions = op.range(first_, op.add(first_, length), op.constant(np.int64(1)), "i64")
        x = op.add(look_up("word_embeddings", ids), look_up("token_type_embeddings", segments))
        return self.norm(op.add(x, look_up("position_embeddings", positions)), "embeddings.LayerNorm")

    def layer(self, x: Any, bias: Any, name: str) -> Any:  # noqa: ANN401
        op, heads, width = self.op, int(self.config["num_attention_heads"]), int(self.config["hidden_size"])
        split, merged = op.constant(np.array([0, 0, heads, width // heads])), op.constant(np.array([0, 0, width]))
        swap = op.constant(np.array([0, 2, 1, 3]))

        def attended(part: str) -> Any:  # noqa: ANN401
            return op.transpose(op.reshape(self.linear(x, f"{name}.attention.self.{part}"), split, True), swap)

        a = op.scaled_dot_product_attention(attended("query"), attended("key"), attended("value"), bias, causal=False)
        a = op.reshape(op.transpose(a, swap), merged, True)
        x = self.norm(op.add(x, self.linear(a, f"{name}.attention.output.dense")), f"{name}.attention.output.LayerNorm")
        h = self.activation(self.linear(x, f"{name}.intermediate.dense"))
        return self.norm(op.add(x, self.linear(h, f"{name}.output.dense")), f"{name}.output.LayerNorm")

    def head(self, hidden: Any) -> Any:  # noqa: ANN401
        """Logits (B, labels) from the first token's output."""
        op = self.op
        first = op.gather(hidden, op.constant(0), op.constant(1))
        if self.config["model_type"] == "bert":
            return self._outer(op.tanh(self.linear(first, "pooler.dense")), "classifier")
        inner = self._outer(first, "classifier.dense")
        inner = op.gelu(inner, "erf") if self.config["model_type"] == "electra" else op.tanh(inner)
        return self._outer(inner, "classifier.out_proj")

    def _outer(self, x: Any, name: str) -> Any:  # noqa: ANN401
        """A linear layer whose tensors stand beside the encoder, without its prefix."""
        root, self.root = self.root, ""
        try:
            return self.linear(x, name)
        finally:
            self.root = root


def classifier_graph(config: Mapping[str, Any], weights: Weights) -> Any:  # noqa: ANN401
    """Inputs input_ids, attention_mask, token_type_ids (B, T) int64 -> logits (B, labels).

    Raises:
        BrokenModel: a tensor is missing or the activation is unknown.

    """
    needed = ("model_type", "num_attention_heads", "hidden_size", "num_hidden_layers", "pad_token_id")
    if missing := [name for name in needed if config.get(name) is None]:
        raise BrokenModel(f"config.json lacks {', '.join(missing)}; fetch the model again")
    root = {"bert": "bert.", "electra": "electra."}.get(config["model_type"], "roberta.")
    build = _Builder(config, weights, root)
    op = build.op
    ids, mask, segments = (
        op.parameter([-1, -1], np.int64, name=name) for name in ("input_ids", "attention_mask", "token_type_ids")
    )
    x = build.embeddings(ids, segments)
    if f"{root}embeddings_project.weight" in weights:  # ELECTRA's small generators and discriminators
        x = build.linear(x, "embeddings_project")
    wide = op.unsqueeze(op.convert(mask, "f32"), op.constant(np.array([1, 2])))
    bias = op.multiply(op.subtract(op.constant(np.float32(1)), wide), op.constant(np.float32(-1e9)))
    for i in range(int(config["num_hidden_layers"])):
        x = build.layer(x, bias, f"encoder.layer.{i}")
    return openvino_model([build.head(x)], [ids, mask, segments])
