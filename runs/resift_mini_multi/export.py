r"""Step 3 of resift-mini-multi: a checkpoint -> a model folder (rounded weights, cut vocabulary, contract, scores).

    python runs/resift_mini_multi/export.py --base build/e5 --checkpoint build/resift-mini-multi/step-500.pt \
        --out src/resift/bundled/resift-mini-multi
    python runs/resift_mini_multi/export.py --base build/e5 --untrained --name e5-384 --out build/e5-384  # baseline

What stayed as it came keeps its 4 bits; layers that were trained are rounded to int8, one scale per row.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from encoder import FROZEN, TokenEncoder, read_base
from safetensors.numpy import save_file
from vocabulary import kept, uncovered

from resift import load
from resift.engine.rounding import round_symmetric
from resift.engine.weights.rounded import restored, rounded_to_four

CONFIG = (
    "model_type", "pad_token_id", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
    "hidden_act", "layer_norm_eps", "max_position_embeddings", "type_vocab_size", "vocab_size",
)  # fmt: skip
GOLDEN = [
    ("thủ đô của Na Uy là gì", "Oslo là thủ đô và thành phố đông dân nhất của Na Uy."),
    ("thủ đô của Na Uy là gì", "Vào mùa đông, một số vịnh hẹp đóng băng và phà phải nằm bến."),
    ("如何重置忘记的密码", "打开设置，选择安全，然后点击邮件中的链接。"),
    ("如何重置忘记的密码", "面包要在二百二十度下烤到外皮变深。"),
    ("ノルウェーの首都はどこですか", "オスロはノルウェーの首都で、最も人口の多い都市である。"),
    ("capital of Norway", "Oslo là thủ đô và thành phố đông dân nhất của Na Uy."),
    ("naïve café: 100 % </s> test", "An odd text with punctuation </s> and <s>, which stay plain text."),
]


def stored(name: str, matrix: np.ndarray, trained: bool) -> dict[str, np.ndarray]:
    """A matrix as it stands in the file: at 4 bits where these hold it exactly, else at 8."""
    if not trained:
        halves, scales = rounded_to_four(matrix)
        four = {f"{name}.q4": halves, f"{name}.scale": scales}
        if np.array_equal(restored(four)[name], matrix):
            return four
    whole, scales = round_symmetric(matrix, axis=1)
    return {f"{name}.q8": whole.astype(np.int8), f"{name}.scale": scales.reshape(-1, 1).astype(np.float32)}


def tensors_of(base, model: TokenEncoder | None, ids: list[int]) -> dict[str, np.ndarray]:
    """All tensors of the folder's file."""
    state = {name: value.float().numpy() for name, value in base.state_dict().items() if "position_ids" not in name}
    untouched = dict(state)
    if model is not None:
        for name, value in model.layers.state_dict().items():
            layer, rest = name.split(".", 1)
            state[f"encoder.layer.{int(layer) + FROZEN}.{rest}"] = value.float().numpy()
    words = "embeddings.word_embeddings.weight"
    state[words], untouched[words] = state[words][ids], untouched[words][ids]
    tensors: dict[str, np.ndarray] = {}
    for name, value in state.items():
        if value.ndim == 2 and value.shape[1] % 32 == 0 and value.size > 100_000 and "position" not in name:
            tensors |= stored(name, value, not np.array_equal(value, untouched[name]))
        else:
            tensors[name] = value.astype(np.float16 if "position" in name else np.float32)
    width = state[words].shape[1]
    tensors["linear.weight"] = np.eye(width, dtype=np.float32)
    if model is not None:
        tensors["linear.weight"] = model.projection.weight.detach().float().numpy()
    return {name: np.ascontiguousarray(value) for name, value in tensors.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--untrained", action="store_true", help="the base model, no projection, whole vocabulary")
    parser.add_argument("--pooled-share", type=float, default=0.3)
    parser.add_argument("--name", default="resift-mini-multi")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    base, model = read_base(args.base), None
    if not args.untrained:
        state = torch.load(args.checkpoint, weights_only=True)
        model = TokenEncoder(read_base(args.base), len(state["projection.weight"]))
        model.load_state_dict(state)
    tokenizer = json.loads((args.base / "tokenizer.json").read_text("utf-8"))
    pieces = [piece for piece, _ in tokenizer["model"]["vocab"]]
    ids = list(range(len(pieces))) if args.untrained else kept(pieces)
    assert not (lost := uncovered(pieces, ids)), lost
    args.out.mkdir(parents=True, exist_ok=True)
    save_file(tensors_of(base, model, ids), args.out / "model.safetensors", metadata={"format": "pt"})
    (args.out / "model.safetensors").chmod(0o644)  # the writer leaves it to its owner alone
    tokenizer["model"]["vocab"] = [tokenizer["model"]["vocab"][i] for i in ids]
    tokenizer["model"]["unk_id"] = ids.index(tokenizer["model"]["unk_id"])
    for token in tokenizer["added_tokens"]:
        token["id"] = ids.index(token["id"])
    (args.out / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":")), "utf-8")
    entries = {name: base.config.to_dict()[name] for name in CONFIG} | {"vocab_size": len(ids)}
    (args.out / "config.json").write_text(json.dumps(entries, indent=1) + "\n")
    contract = json.loads((Path(__file__).parent / "contract.json").read_text())
    contract["name"], contract["golden"] = args.name, []
    contract["tokens"]["pooled_share"] = args.pooled_share
    layers = sum(p.numel() for n, p in base.named_parameters() if "word_embeddings" not in n and "pooler" not in n)
    contract["parameters"] = (
        layers + len(ids) * base.config.hidden_size + (model.projection.weight.numel() if model else 0)
    )
    target = args.out / "contract.json"
    target.write_text(json.dumps(contract, indent=1, ensure_ascii=False) + "\n", "utf-8")
    scores = load(str(args.out), precision="f32").score(GOLDEN)
    contract["golden"] = [
        {"query": q, "document": d, "score": round(v, 6)} for (q, d), v in zip(GOLDEN, scores.values, strict=True)
    ]
    target.write_text(json.dumps(contract, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
