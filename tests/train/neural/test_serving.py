"""A trained reranker gives the same scores wherever it runs: by sentence-transformers, each engine, and over HTTP."""

from pathlib import Path
from typing import Any

import pytest
import torch
from starlette.testclient import TestClient

import resift
from resift.engine.native.native_engine import available
from resift.serve.app import create_app
from resift.serve.runtime.served_models import ServedModel
from resift.train.neural.plan import make_plan
from resift.train.neural.run import train
from resift.train.neural.settings import TrainingSettings
from tests.train.neural import tiny

QUERY = "what is the water in city"
DOCUMENTS = ["the lamp of the city", "the ferry in the north of oslo", "how bread is the capital of the south"]
COMPILED = pytest.mark.skipif(not available(), reason="the compiled encoder takes AVX-512 BF16 and a C compiler")
ENGINES = [  # engine, precision, and by how much a logit may differ; the compiled encoder has no f32
    ("openvino", "f32", 1e-4),
    ("torch", "f32", 1e-4),
    pytest.param("native", "bf16", 0.02, marks=COMPILED),
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cross-encoder that has learned to tell lamps from ferries."""
    base = tiny.tiny_bert(tmp_path_factory.mktemp("bert"), head=False, hidden_size=64, num_attention_heads=2)
    settings = TrainingSettings(
        str(base), losses=("bce",), learning_rate=3e-3, epochs=6.0, evaluations=2, candidates="given",
        precision="f32", warmup=0.0, interpolate=1.0, force=True,
    )  # fmt: skip
    out = tmp_path_factory.mktemp("trained") / "model"
    train(make_plan([tiny.examples()], settings), out)
    return out


@pytest.fixture(scope="module")
def logits(trained: Path) -> list[float]:
    """By sentence-transformers."""
    from sentence_transformers import CrossEncoder

    pairs = [(QUERY, document) for document in DOCUMENTS]
    model = CrossEncoder(str(trained), device="cpu")
    return [float(x) for x in model.predict(pairs, activation_fn=torch.nn.Identity(), show_progress_bar=False)]


@pytest.mark.parametrize(("engine", "precision", "tolerance"), ENGINES)
def test_every_engine_scores_as_sentence_transformers(
    engine: Any, precision: Any, tolerance: float, trained: Path, logits: list[float]
) -> None:
    scored = resift.load(str(trained), precision=precision, engine=engine).score([(QUERY, d) for d in DOCUMENTS])
    assert [j.value for j in scored.judgements] == pytest.approx(logits, abs=tolerance)
    assert max(logits) - min(logits) > 0.1


@pytest.mark.parametrize(("engine", "precision", "tolerance"), ENGINES)
def test_the_server_gives_the_same_scores(
    engine: Any, precision: Any, tolerance: float, trained: Path, logits: list[float]
) -> None:
    reranker = resift.load(str(trained), precision=precision, engine=engine)
    with TestClient(create_app([ServedModel.of(reranker, "trained")])) as client:
        answer = client.post("/api/rerank", json={"query": QUERY, "documents": DOCUMENTS})
    assert answer.status_code == 200, answer.text
    scores = {row["index"]: row["score"] for row in answer.json()["results"]}
    assert {score["kind"] for score in scores.values()} == {"logit"}
    assert [scores[i]["value"] for i in range(len(DOCUMENTS))] == pytest.approx(logits, abs=tolerance)
