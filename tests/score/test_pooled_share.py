"""A late-interaction model in whose scores the cosine of pooled vectors has a share."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import resift
from resift import Index
from resift.errors import BrokenModel, InputError
from resift.score.load import load_embedder
from tests.vector_checkpoints import DOCUMENTS, OUT, QUERIES, WIDTH, encoder, seeded

PAIRS = [(q, d) for q in QUERIES for d in DOCUMENTS if d]


def folder_of(folder: Path, share: float) -> Path:
    """A folder of Resift's own: an encoder with a projection beside its tensors, and a contract."""
    encoder(folder)
    tensors = load_file(folder / "model.safetensors")
    save_file(tensors | {"linear.weight": seeded((OUT, WIDTH), 99)}, folder / "model.safetensors")
    contract = {
        "name": folder.name, "family": "late", "kind": "maxsim", "max_tokens": 24, "window_tokens": 24,
        "tokens": {"pooled_share": share},
    }  # fmt: skip
    (folder / "contract.json").write_text(json.dumps(contract))
    return folder


def scores_of(folder: Path) -> np.ndarray:
    return np.array(resift.load(folder, precision="f32").score(PAIRS).values, dtype=np.float64)


def test_a_score_is_maxsim_and_the_cosine_by_its_share(tmp_path: Path) -> None:
    maxsim, mixed, cosine = (scores_of(folder_of(tmp_path / str(s), s)) for s in (0.0, 0.3, 1.0))
    np.testing.assert_allclose(mixed, 0.7 * maxsim + 0.3 * cosine, atol=1e-6)
    embedder = load_embedder(str(tmp_path / "0.3"), precision="f32")
    queries = embedder.embed([query for query, _ in PAIRS], "query")
    documents = embedder.embed([document for _, document in PAIRS], "document")
    np.testing.assert_allclose(cosine, (queries * documents).sum(1), atol=1e-5)
    assert np.abs(mixed - maxsim).max() > 0.01


def test_stored_vectors_give_the_same_scores(tmp_path: Path) -> None:
    model = folder_of(tmp_path / "model", 0.4)
    texts = tmp_path / "texts.jsonl"
    lines = [json.dumps({"id": str(i), "text": d}) for i, d in enumerate(DOCUMENTS) if d]
    texts.write_text("\n".join(lines))
    Index.build(tmp_path / "index", texts, tensors=True, model=str(model))
    index, reranker = Index.open(tmp_path / "index"), resift.load(model)
    assert index.store_for(reranker) is not None
    ranking = index.search(QUERIES[0], reranker=reranker, blend=False)
    assert len(ranking) == len(lines)
    computed = reranker.score([(QUERIES[0], candidate.document.text) for candidate in ranking]).values
    np.testing.assert_allclose([candidate.score.value for candidate in ranking if candidate.score], computed, atol=1e-5)


def test_an_index_has_no_other_embedder_beside_it(tmp_path: Path) -> None:
    model, texts = folder_of(tmp_path / "model", 0.4), tmp_path / "a.txt"
    texts.write_text("a lamp")
    with pytest.raises(InputError, match="leave --embedder out"):
        Index.build(tmp_path / "index", texts, tensors=True, model=str(model), embedder="resift-static-en")


@pytest.mark.parametrize(
    "entries",
    [
        {"pooled_share": 1.5},
        {"pooled_share": -0.1},
        {"pooled_share": "half"},
        {"pooled_share": 0.5, "pooled": False},
        {"pooled_share": 0.5, "reduce": "sum"},
    ],
)
def test_a_share_that_makes_no_sense_is_refused(entries: dict, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "model", 0.0)
    contract = json.loads((folder / "contract.json").read_text()) | {"tokens": entries}
    (folder / "contract.json").write_text(json.dumps(contract))
    with pytest.raises(BrokenModel, match="pooled_share"):
        resift.load(folder)
