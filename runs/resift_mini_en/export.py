r"""Step 3 of resift-mini-en: a checkpoint -> a model folder (int8 ONNX weights, tokenizer, contract, golden scores).

    python -m runs.resift_mini_en.export --checkpoint build/resift-mini-en/step-1200.pt \
        --out src/resift/bundled/resift-mini-en
    python -m runs.resift_mini_en.export --untrained --f32 --name maxsim-384 --out build/maxsim-384    # the baseline

Matrices are rounded to int8 with one scale per output row (per vocabulary entry for the embeddings) and stand in the
file as Multiply(Cast(int8), scale): plain arithmetic that ONNX Runtime folds and Resift restores once at load.
"""

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from runs.late_interaction.model_folder import replacing, write_config, write_contract
from runs.resift_mini_en.encoder import CLS, PADDING, SEP, TokenEncoder, base_folder

NAME = "resift-mini-en"
GOLDEN = [
    (
        "when does reranking hurt",
        "Reranking hurts when the first stage is already right and the model knows less than it.",
    ),
    ("when does reranking hurt", "Bake the bread at 220 degrees until the crust is dark and it sounds hollow."),
    ("capital of Norway", "Oslo is the capital and the most populous city of Norway."),
    ("capital of Norway", "The fjord freezes over in some winters, and ferries stay in port."),
    ("reset a forgotten password", "Open Settings, choose Security, and follow the link that is mailed to you."),
    ("naïve café: 100 % [SEP] test", "An odd text with punctuation [SEP] and [CLS], which stay plain text."),
]


class Served(torch.nn.Module):
    """What runs: token vectors and pooled vector of length 1, and the weight of each token in a query.

    The weights that training gives are raised to `exponent`: 1 keeps them, 0 makes all tokens equal.
    """

    def __init__(self, model: TokenEncoder, exponent: float) -> None:
        super().__init__()
        self.model = model
        self.weight = torch.nn.Parameter((exponent * model.log_weight.detach()).exp(), requires_grad=False)

    def forward(self, input_ids, attention_mask):
        tokens, pooled = self.model(input_ids, attention_mask)
        return tokens, pooled, torch.nn.functional.embedding(input_ids, self.weight[:, None])[..., 0]


def export_f32(model: TokenEncoder, path: Path, exponent: float) -> None:
    ids = torch.randint(1000, 2000, (2, 9))
    axes = {0: "batch", 1: "tokens"}
    names = ("input_ids", "attention_mask", "tokens", "weights")
    torch.onnx.export(
        Served(model, exponent).eval(), (ids, torch.ones_like(ids)), str(path), dynamo=False, opset_version=17,
        input_names=["input_ids", "attention_mask"], output_names=["tokens", "pooled", "weights"],
        dynamic_axes=dict.fromkeys(names, axes) | {"pooled": {0: "batch"}},
    )  # fmt: skip


def name_matrices(path: Path) -> None:
    """Give matrices, which the exporter numbers, the names of their modules; the native engine reads them by name."""
    model = onnx.load(str(path))
    numbers = {t.name for t in model.graph.initializer if t.name.startswith("onnx::")}
    names = {}
    for node in model.graph.node:
        for number in numbers.intersection(node.input):
            if node.op_type == "MatMul":
                module = node.output[0].strip("/").removesuffix("/MatMul_output_0").replace("/", ".")
                names[number] = f"{module}.weight_transposed"
            elif node.op_type == "Gather":
                names[number] = "query_weights"
    for tensor in model.graph.initializer:
        tensor.name = names.get(tensor.name, tensor.name)
    for node in model.graph.node:
        for i, name in enumerate(node.input):
            node.input[i] = names.get(name, name)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def round_matrices(path: Path) -> None:
    """Replace every f32 matrix by int8 values and scales; the embedding's scales go by row, the others by column."""
    model = onnx.load(str(path))
    graph = model.graph
    lookups = {node.input[0] for node in graph.node if node.op_type == "Gather"}
    casts, initializers = [], []
    for tensor in graph.initializer:
        value = numpy_helper.to_array(tensor)
        if value.dtype != np.float32 or value.ndim != 2 or value.size < 10_000:
            initializers.append(tensor)
            continue
        axis = 1 if tensor.name in lookups else 0  # reduced axis: a Gather takes rows, a MatMul sums over rows
        scale = (np.abs(value).max(axis=axis, keepdims=True) / 127).clip(1e-12).astype(np.float32)
        name = tensor.name
        initializers.append(numpy_helper.from_array(np.rint(value / scale).astype(np.int8), name + "_int8"))
        initializers.append(numpy_helper.from_array(scale, name + "_scale"))
        casts.append(helper.make_node("Cast", [name + "_int8"], [name + "_wide"], to=TensorProto.FLOAT))
        casts.append(helper.make_node("Mul", [name + "_wide", name + "_scale"], [name]))
    del graph.initializer[:]
    graph.initializer.extend(initializers)
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    weights = parser.add_mutually_exclusive_group(required=True)
    weights.add_argument("--checkpoint", type=Path)
    weights.add_argument("--untrained", action="store_true", help="the base encoder, no projection, equal weights")
    parser.add_argument("--f32", action="store_true", help="keep weights as they are")
    parser.add_argument("--weights", type=float, default=0.0, help="exponent of the learned query-token weights")
    parser.add_argument("--name", default=NAME)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    model = TokenEncoder.untrained(None if args.untrained else 128)
    if args.checkpoint:
        model.load_state_dict(torch.load(args.checkpoint, weights_only=True))
    contract = json.loads((Path(__file__).parent / "contract.json").read_text("utf-8"))
    contract |= {"name": args.name, "skip": [CLS, SEP, PADDING], "golden": []}
    contract["parameters"] = sum(p.numel() for p in model.parameters())
    with replacing(args.out) as folder:
        export_f32(model.eval(), folder / "model.onnx", args.weights)
        name_matrices(folder / "model.onnx")
        if not args.f32:
            round_matrices(folder / "model.onnx")
        shutil.copyfile(base_folder() / "tokenizer.json", folder / "tokenizer.json")
        write_config(folder, model.bert.config.to_dict())
        write_contract(folder, contract, GOLDEN if args.name == NAME else [])


if __name__ == "__main__":
    main()
