r"""Step 3 of resift-mini-multi: a checkpoint -> a model folder (rounded weights, cut vocabulary, contract, scores).

    python -m runs.resift_mini_multi.export --base build/e5 --out src/resift/bundled/resift-mini-multi \
        --checkpoint build/resift-mini-multi/checkpoints/step-500.pt
    python -m runs.resift_mini_multi.export --base build/e5 --untrained --name e5-384 --out build/e5-384  # baseline

What stayed as it came keeps its 4 bits; layers that were trained are rounded to int8, one scale per row.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

from resift.engine.rounding import round_symmetric
from resift.engine.weights.rounded import restored, rounded_to_four
from runs.late_interaction.model_folder import replacing, write_config, write_contract
from runs.resift_mini_multi.encoder import FROZEN, TokenEncoder, read_base
from runs.resift_mini_multi.vocabulary import ids_to_keep, lost_characters

WORDS = "embeddings.word_embeddings.weight"
GOLDEN = [
    ("thủ đô của Na Uy là gì", "Oslo là thủ đô và thành phố đông dân nhất của Na Uy."),
    ("thủ đô của Na Uy là gì", "Vào mùa đông, một số vịnh hẹp đóng băng và phà phải nằm bến."),
    ("如何重置忘记的密码", "打开设置，选择安全，然后点击邮件中的链接。"),
    ("如何重置忘记的密码", "面包要在二百二十度下烤到外皮变深。"),
    ("ノルウェーの首都はどこですか", "オスロはノルウェーの首都で、最も人口の多い都市である。"),
    ("capital of Norway", "Oslo là thủ đô và thành phố đông dân nhất của Na Uy."),
    ("naïve café: 100 % </s> test", "An odd text with punctuation </s> and <s>, which stay plain text."),
]


def rounded(name: str, matrix: np.ndarray, is_base: bool) -> dict[str, np.ndarray]:
    """A matrix as it stands in the file: at 4 bits where these hold it exactly, else at 8."""
    if is_base:
        halves, scales = rounded_to_four(matrix)
        four = {f"{name}.q4": halves, f"{name}.scale": scales}
        if np.array_equal(restored(four)[name], matrix):
            return four
    whole, scales = round_symmetric(matrix, axis=1)
    return {f"{name}.q8": whole.astype(np.int8), f"{name}.scale": scales.reshape(-1, 1).astype(np.float32)}


def tensors_of(base, model: TokenEncoder | None, ids: list[int]) -> dict[str, np.ndarray]:
    """All tensors of the folder's file."""
    base_state = {name: value.float().numpy() for name, value in base.state_dict().items()}
    base_state[WORDS] = base_state[WORDS][ids]
    state = dict(base_state)
    if model is not None:
        for name, value in model.layers.state_dict().items():
            layer, rest = name.split(".", 1)
            state[f"encoder.layer.{int(layer) + FROZEN}.{rest}"] = value.float().numpy()
    tensors: dict[str, np.ndarray] = {}
    for name, value in state.items():
        if value.ndim == 2 and value.shape[1] % 32 == 0 and value.size > 100_000 and "position" not in name:
            tensors |= rounded(name, value, np.array_equal(value, base_state[name]))
        else:
            tensors[name] = value.astype(np.float16 if "position" in name else np.float32)
    width = state[WORDS].shape[1]
    tensors["linear.weight"] = np.eye(width, dtype=np.float32)
    if model is not None:
        tensors["linear.weight"] = model.projection.weight.detach().float().numpy()
    return {name: np.ascontiguousarray(value) for name, value in tensors.items()}


def write_tokenizer(path: Path, tokenizer: dict, ids: list[int]) -> None:
    """The tokenizer with the pieces that stay, in their order."""
    tokenizer["model"]["vocab"] = [tokenizer["model"]["vocab"][i] for i in ids]
    tokenizer["model"]["unk_id"] = ids.index(tokenizer["model"]["unk_id"])
    for token in tokenizer["added_tokens"]:
        token["id"] = ids.index(token["id"])
    path.write_text(json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":")), "utf-8")


def contract_of(args: argparse.Namespace, base, model: TokenEncoder | None, pieces: int) -> dict:
    contract = json.loads((Path(__file__).parent / "contract.json").read_text("utf-8"))
    contract |= {"name": args.name, "golden": []}
    layers = sum(p.numel() for n, p in base.named_parameters() if "word_embeddings" not in n and "pooler" not in n)
    projection = model.projection.weight.numel() if model else 0
    contract["parameters"] = layers + pieces * base.config.hidden_size + projection
    return contract


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", type=Path, required=True)
    weights = parser.add_mutually_exclusive_group(required=True)
    weights.add_argument("--checkpoint", type=Path)
    weights.add_argument("--untrained", action="store_true", help="the base model, no projection, whole vocabulary")
    parser.add_argument("--name", default="resift-mini-multi")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    base, model = read_base(args.base), None
    if args.checkpoint:
        state = torch.load(args.checkpoint, weights_only=True)
        model = TokenEncoder(read_base(args.base), len(state["projection.weight"]))
        model.load_state_dict(state)
    tokenizer = json.loads((args.base / "tokenizer.json").read_text("utf-8"))
    pieces = [piece for piece, _ in tokenizer["model"]["vocab"]]
    ids = list(range(len(pieces))) if args.untrained else ids_to_keep(pieces)
    if characters := lost_characters(pieces, ids):
        raise SystemExit(f"these characters would become <unk>: {' '.join(sorted(characters))}")
    with replacing(args.out) as folder:
        save_file(tensors_of(base, model, ids), folder / "model.safetensors", metadata={"format": "pt"})
        write_tokenizer(folder / "tokenizer.json", tokenizer, ids)
        write_config(folder, base.config.to_dict() | {"vocab_size": len(ids)})
        write_contract(folder, contract_of(args, base, model, len(ids)), GOLDEN)


if __name__ == "__main__":
    main()
