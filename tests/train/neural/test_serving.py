"""A trained reranker gives the same scores wherever it runs: by sentence-transformers, each engine, and over HTTP."""

from pathlib import Path

import pytest
import torch
from starlette.testclient import TestClient

import resift
from resift.serve.app import create_app
from resift.serve.runtime.served_models import ServedModel
from resift.train.neural.plan import make_plan
from resift.train.neural.run import train
from resift.train.neural.settings import TrainingSettings
from tests.train.neural import tiny

QUERY = "what is the water in city"
DOCUMENTS = ["the lamp of the city", "the ferry in the north of oslo", "how bread is the capital of the south"]
ENGINES = ("openvino", "torch", "native")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cross-encoder that was trained by LoRA, so that what is served are merged weights with their head."""
    base = tiny.tiny_bert(tmp_path_factory.mktemp("bert"), head=False, hidden_size=64, num_attention_heads=2)
    settings = TrainingSettings(
        str(base), losses=("bce",), learning_rate=1e-2, epochs=2.0, evaluations=2, candidates="given",
        precision="f32", lora=4, force=True,
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


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_scores_as_sentence_transformers(engine: str, trained: Path, logits: list[float]) -> None:
    scored = resift.load(str(trained), precision="f32", engine=engine).score([(QUERY, d) for d in DOCUMENTS])  # type: ignore[arg-type]
    assert [j.value for j in scored.judgements] == pytest.approx(logits, abs=1e-4)
    assert max(logits) - min(logits) > 0.01


@pytest.mark.parametrize("engine", ENGINES)
def test_the_server_gives_the_same_scores(engine: str, trained: Path, logits: list[float]) -> None:
    reranker = resift.load(str(trained), precision="f32", engine=engine)  # type: ignore[arg-type]
    with TestClient(create_app([ServedModel.of(reranker, "trained")])) as client:
        answer = client.post("/api/rerank", json={"query": QUERY, "documents": DOCUMENTS})
    assert answer.status_code == 200, answer.text
    scores = {row["index"]: row["score"] for row in answer.json()["results"]}
    assert {score["kind"] for score in scores.values()} == {"logit"}
    assert [scores[i]["value"] for i in range(len(DOCUMENTS))] == pytest.approx(logits, abs=1e-4)
