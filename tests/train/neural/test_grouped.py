"""An encoder that runs a batch in groups of like length gives the vectors and gradients that it gives at once."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from resift.train.neural import grouped
from tests.train.neural import tiny

TEXTS = [" ".join(["lamp"] * count) for count in (1, 30, 2, 17, 5)]


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.tiny_bert(tmp_path_factory.mktemp("bert"), head=False)


def embedder(bare: Path, pooling: str) -> Any:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    return SentenceTransformer(modules=[Transformer(str(bare)), Pooling(32, pooling)], device="cpu").eval()


def run(model: Any) -> tuple[Tensor, list[Tensor], list[tuple[int, ...]]]:
    """Pooled vectors, gradients, and the shapes of the passes."""
    shapes: list[tuple[int, ...]] = []
    handle = model[0].model.embeddings.register_forward_pre_hook(
        lambda _, __, named: shapes.append(tuple(named["input_ids"].shape)), with_kwargs=True
    )
    model.zero_grad()
    vectors = model(model.preprocess(TEXTS))["sentence_embedding"]
    (vectors.sum(dim=1) * torch.arange(1.0, 6.0)).sum().backward()
    handle.remove()
    return vectors.detach(), [p.grad.clone() for p in model.parameters() if p.grad is not None], shapes


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
def test_groups_change_neither_vectors_nor_gradients(bare: Path, pooling: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouped, "CPU_BUDGET", 40)
    model = embedder(bare, pooling)
    vectors, gradients, whole = run(model)
    grouped.run_in_groups(model)
    others, theirs, passes = run(model)
    assert whole == [(5, 32)] and passes == [(1, 32), (2, 19), (2, 4)]
    torch.testing.assert_close(others, vectors, rtol=1e-5, atol=1e-6)
    for ours, expected in zip(theirs, gradients, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-3, atol=1e-5)
