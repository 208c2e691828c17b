"""One suite over every encoder architecture: a score belongs to its pair alone, and a broken one harms no neighbour."""

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

import resift
from resift import Reranker
from resift.engine.batching import Batch, Engine, FloatArray
from resift.score.cross_encoder import CrossEncoderScorer
from resift.types import Candidate, Document, Query
from tests.checkpoints import cross_encoder
from tests.processor import skip_without
from tests.references import jinabert, renamed

TRANSFORMERS = "bert roberta xlm-roberta electra distilbert deberta-v2 modernbert gte jina_embeddings_v3".split()
ARCHITECTURES: dict[str, Callable[[Path], Path]] = {
    **{name: lambda p, name=name: cross_encoder(p, name, limit=128) for name in TRANSFORMERS},  # type: ignore[misc]
    "jina-bert": lambda p: jinabert.save(p, heads=6, later=False, limit=128),
    "jina-bert later": lambda p: jinabert.save(p, heads=6, later=True, limit=128),
    "mgte ntk": lambda p: renamed.mgte_ntk(p)[0],
    "fused xlm-roberta": lambda p: renamed.flash_xlmr(p)[0],
}
QUERIES = ["where is the lamp", "capital of norway", "how is water to bread in the city of oslo"]
TEXTS = ["a lamp", "oslo is the capital of norway. " * 3, "bread", "the ferry to the north, 1871 " * 20, "water?"]
PAIRS = [(q, t) for q in QUERIES for t in TEXTS]


@pytest.fixture(scope="module", params=ARCHITECTURES)
def reranker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Reranker:
    return resift.load(ARCHITECTURES[request.param](tmp_path_factory.mktemp("tiny")), precision="f32")


def test_batch_mates_and_order_do_not_matter(reranker: Reranker) -> None:
    together = np.array(reranker.score(PAIRS).values, float)
    assert np.std(together) > 0.01
    alone = [reranker.score([p]).values[0] for p in PAIRS]
    np.testing.assert_allclose(together, np.array(alone, float), atol=1e-4)
    shuffled = list(range(len(PAIRS)))
    random.Random(1).shuffle(shuffled)
    mixed = reranker.score([PAIRS[i] for i in shuffled]).values
    np.testing.assert_allclose(together[shuffled], np.array(mixed, float), atol=1e-4)


def test_threads_share_a_model(reranker: Reranker) -> None:
    expected = np.array(reranker.score(PAIRS[:6]).values, float)
    wrong: list[str] = []

    def work() -> None:
        try:
            np.testing.assert_allclose(np.array(reranker.score(PAIRS[:6]).values, float), expected, atol=1e-4)
        except (AssertionError, RuntimeError) as error:
            wrong.append(str(error))

    threads = [threading.Thread(target=work) for _ in range(64)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def poisoned(folder: Path, tensor: str, row: int | None, value: float) -> Path:
    """Put a value into a tensor, or into one row of it."""
    path = folder / "model.safetensors"
    tensors = safetensors.torch.load_file(path)
    tensors[tensor][slice(None) if row is None else row] = value
    safetensors.torch.save_file(tensors, path)
    return folder


def word(folder: Path, text: str) -> int:
    (ids,) = resift.load(folder).scorer.tokens.ids([text])
    return ids[0]


@pytest.mark.parametrize("precision", ["f32", "bf16"])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_poisoned_document_harms_no_neighbour(tmp_path: Path, precision: str, value: float) -> None:
    skip_without(precision)
    folder = cross_encoder(tmp_path, "bert")
    texts = ["a lamp", "bread and a lamp", "oslo", "water " * 80 + "bread"]
    clean = resift.load(folder, precision=precision).rerank("where is the lamp", texts)  # type: ignore[arg-type]
    name = "bert.embeddings.word_embeddings.weight"
    folder = poisoned(folder, name, word(folder, "bread"), value)
    ranking = resift.load(folder, precision=precision).rerank("where is the lamp", texts)  # type: ignore[arg-type]
    expected, found = ({c.document.id: c for c in r} for r in (clean, ranking))
    for i in ("1", "3"):
        assert found[i].score is None and "non_finite" in found[i].flags
    for i in ("0", "2"):
        ours, theirs = found[i].score, expected[i].score
        assert ours is not None and theirs is not None and "non_finite" not in found[i].flags
        assert ours.value == pytest.approx(theirs.value, abs=1e-6)
    assert [c.document.id for c in ranking][2:] == ["1", "3"]
    assert ranking.trace.reranked and ranking.trace.steps[-1].scored == 2


class HalfPrecision:
    """An engine whose outputs are fp16: 65,520 and more is infinite there."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.characters = engine, engine.characters
        self.name, self.precision = engine.name, "fp16"

    def run(self, batches: Sequence[Batch]) -> Iterator[tuple[Batch, tuple[FloatArray, ...]]]:
        for batch, outputs in self.engine.run(batches):
            with np.errstate(over="ignore"):
                yield batch, tuple(o.astype(np.float16).astype(np.float32) for o in outputs)


def test_what_overflows_is_scored_again_at_f32(tmp_path: Path) -> None:
    folder = poisoned(
        cross_encoder(tmp_path, "bert"), "classifier.bias", None, 65_520.0
    )  # rounds to infinity from here on
    exact = resift.load(folder, precision="f32").scorer
    assert isinstance(exact, CrossEncoderScorer)
    half = CrossEncoderScorer(exact.contract, exact.tokens, HalfPrecision(exact._engine), 0, exact=exact._engine)
    alone = CrossEncoderScorer(exact.contract, exact.tokens, HalfPrecision(exact._engine), 0)
    pairs = [(Query(q), Candidate(Document("d", t))) for q, t in PAIRS]
    found, lost = half.score(pairs), alone.score(pairs)
    assert 0 < sum("non_finite" in f for f in lost.flags) < len(PAIRS)
    for i, value in enumerate(exact.score(pairs).values):
        assert not found.flags[i] & {"non_finite"} and found.values[i] == pytest.approx(value, abs=32)
        if lost.values[i] is None:
            assert found.values[i] == value
        else:
            assert found.values[i] == lost.values[i]


def test_nothing_finite_leaves_the_order_alone(tmp_path: Path) -> None:
    folder = poisoned(cross_encoder(tmp_path, "bert"), "classifier.weight", None, torch.nan)
    ranking = resift.load(folder).rerank("lamp", ["a", "b"])
    assert not ranking.trace.reranked and ranking.trace.reason == "nothing to score"
    assert [c.document.id for c in ranking] == ["0", "1"]
