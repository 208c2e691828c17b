"""Static models of Model2Vec, against vectors that model2vec 0.10 computed (tests/golden/make_static.py)."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from resift.errors import BrokenModel
from resift.score.load import load_embedder
from tests.static_checkpoints import STATIC, TEXTS, static

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "static.json").read_text())


@pytest.mark.parametrize("name", STATIC)
def test_equal_to_model2vec(tmp_path: Path, name: str) -> None:
    vectors = load_embedder(str(static(tmp_path, name))).embed(TEXTS, "document")
    theirs = np.array(GOLDEN[name], np.float32)
    theirs /= np.maximum(np.linalg.norm(theirs, axis=1, keepdims=True), 1e-12)
    np.testing.assert_allclose(vectors, theirs, atol=1e-3 if name == "half" else 1e-5)  # model2vec sums in f16 there
    assert not vectors[-1].any()


def test_damage_is_named(tmp_path: Path) -> None:
    folder = static(tmp_path / "a", "plain")
    tensors = load_file(folder / "model.safetensors")
    save_file({"embeddings": tensors["embeddings"][:5]}, folder / "model.safetensors")
    with pytest.raises(BrokenModel, match="fewer vectors"):
        load_embedder(str(folder))
    save_file({"vectors": tensors["embeddings"]}, folder / "model.safetensors")
    with pytest.raises(BrokenModel, match="embeddings"):
        load_embedder(str(folder))
    (folder / "model.safetensors").write_bytes(b"x" * 20)
    with pytest.raises(BrokenModel, match="damaged"):
        load_embedder(str(folder))
