"""Writes late.json: what PyLate 1.6 and colbert-ai 0.2 make of the tiny checkpoints of tests/vector_checkpoints.py.

Run in an environment of its own, since both pin other versions than the rest (docs/vector-models.md has the commands):
python tests/golden/make_late.py
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.vector_checkpoints import DOCUMENTS, PYLATE, QUERIES, STANFORD, pylate, stanford

# The best similarity of the first document is -0.6: padded to the second's length it meets a vector of zeros.
PADDED_QUERY = [[1.0, 0.0]]
PADDED = [[[-0.6, 0.8]], [[0.28, 0.96], [-0.8, 0.6]]]


def rounded(values: Any) -> list:
    return np.round(np.asarray(values, np.float64), 6).tolist()


def of_pylate(folder: Path, settings: dict[str, Any]) -> dict[str, Any]:
    from pylate import models, rank

    model = models.ColBERT(str(pylate(folder, **settings)), device="cpu")
    queries = [model.encode([q], is_query=True, convert_to_numpy=True)[0] for q in QUERIES]
    documents = [model.encode([d], is_query=False, convert_to_numpy=True)[0] for d in DOCUMENTS]
    scores = [[alone(rank, q, d) for d in documents] for q in queries]
    return {
        "query_ids": [model.tokenize([q], is_query=True)["input_ids"][0].tolist() for q in QUERIES],
        "document_ids": [model.tokenize([d], is_query=False)["input_ids"][0].tolist() for d in DOCUMENTS],
        "query_vectors": [rounded(q[:, :4]) for q in queries],
        "document_vectors": [rounded(d[:, :4]) for d in documents],
        "scores": rounded(scores),
    }


def alone(rank: Any, query: np.ndarray, document: np.ndarray) -> float:
    """A score with no other document beside it, so that PyLate pads nothing."""
    (found,) = rank.rerank([["d"]], [query], [[document]])
    return found[0]["score"]


def padding_of_pylate() -> dict[str, Any]:
    """The same two documents, each alone and side by side."""
    from pylate import rank

    query, documents = np.array(PADDED_QUERY, np.float32), [np.array(d, np.float32) for d in PADDED]
    (together,) = rank.rerank([["0", "1"]], [query], [documents])
    beside = {r["id"]: r["score"] for r in together}
    return {
        "query": PADDED_QUERY, "documents": PADDED,
        "alone": rounded([alone(rank, query, d) for d in documents]),
        "beside": rounded([beside["0"], beside["1"]]),
    }  # fmt: skip


def of_colbert(folder: Path, metadata: dict[str, Any]) -> dict[str, Any]:
    from colbert.infra.config import ColBERTConfig
    from colbert.modeling.checkpoint import Checkpoint

    stanford(folder, **metadata)
    checkpoint = Checkpoint(str(folder), colbert_config=ColBERTConfig(), verbose=0)
    queries = [checkpoint.queryFromText([q])[0].float() for q in QUERIES]
    documents = [checkpoint.docFromText([d], keep_dims=False)[0].float() for d in DOCUMENTS]
    return {
        "query_ids": [checkpoint.query_tokenizer.tensorize([q])[0][0].tolist() for q in QUERIES],
        "document_ids": [checkpoint.doc_tokenizer.tensorize([d])[0][0].tolist() for d in DOCUMENTS],
        "query_vectors": [rounded(q[:, :4]) for q in queries],
        "document_vectors": [rounded(d[:, :4]) for d in documents],
        "scores": rounded([[float((q @ d.T).max(1).values.sum()) for d in documents] for q in queries]),
    }


def main() -> None:
    torch.manual_seed(0)
    found: dict[str, Any] = {"pylate": {}, "colbert": {}}
    with tempfile.TemporaryDirectory() as folder:
        for name, settings in PYLATE.items():
            found["pylate"][name] = of_pylate(Path(folder) / name, settings)
        found["padding"] = padding_of_pylate()
        for name, metadata in STANFORD.items():
            found["colbert"][name] = of_colbert(Path(folder) / f"stanford-{name}", metadata)
    Path(__file__).with_name("late.json").write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
