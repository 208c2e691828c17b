"""The MTEB adapter in MTEB itself, over its offline mock tasks."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import resift
from resift import Reranker
from tests.checkpoints import cross_encoder

mteb = pytest.importorskip("mteb", reason="mteb is not installed (extra mteb)")

from mteb.mocks.mock_tasks.reranking import MockRerankingTask  # noqa: E402 - behind importorskip
from sentence_transformers import CrossEncoder  # noqa: E402

from resift.adapters.mteb import MTEBCrossEncoder  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::ResourceWarning")
BATCHES = (
    [{"text": ["a lamp", "a lamp"]}, {"text": ["bread"]}],
    [{"text": ["the lamp is lit"]}, {"text": ["", "bread"]}],
)


def results(model: Any, folder: Path) -> dict[str, float]:
    task = MockRerankingTask()
    result = mteb.evaluate(model, [task], cache=None, prediction_folder=folder, show_progress_bar=False)
    (scores,) = result.task_results[0].scores["test"]
    return {name: value for name, value in scores.items() if isinstance(value, float)}


def test_the_mock_reranking_task_runs(mini: Reranker, tmp_path: Path) -> None:
    model = MTEBCrossEncoder(mini)
    assert isinstance(model, mteb.CrossEncoderProtocol)
    scores = results(model, tmp_path)
    assert 0 < scores["ndcg_at_10"] <= 1 and 0 < scores["map_at_1000"] <= 1
    meta = model.mteb_model_meta
    assert meta.name == "resift/resift-mini-en" and meta.revision == mini.info.fingerprint and meta.is_cross_encoder


def test_figures_are_those_of_the_cross_encoder_itself(tmp_path: Path) -> None:
    folder = cross_encoder(tmp_path / "ce", "bert")
    ours = results(MTEBCrossEncoder(resift.load(folder, precision="f32")), tmp_path / "ours")
    theirs = results(CrossEncoder(str(folder), device="cpu"), tmp_path / "theirs")
    assert ours == pytest.approx(theirs, nan_ok=True)


def test_scores_come_in_order_and_what_cannot_be_scored_is_last(mini: Reranker) -> None:
    values = MTEBCrossEncoder(mini).predict(*BATCHES)
    assert values.dtype == np.float64 and values.shape == (3,) and values[1] == -np.inf
    pairs = [("a lamp", "the lamp is lit"), ("bread", "bread")]
    np.testing.assert_allclose(values[[0, 2]], mini.score(pairs).values, atol=1e-6)
    with pytest.raises(ValueError, match="zip"):
        MTEBCrossEncoder(mini).predict(BATCHES[0], BATCHES[1][:1])
