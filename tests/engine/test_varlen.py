"""Classifiers without padding give the logits that they give with it; here on the CPU, attention text by text."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from resift.engine import varlen
from resift.engine.batching import Batch, Sequences, groups, pack
from resift.engine.torch import TorchEngine, read_classifier
from tests.checkpoints import cross_encoder, edited

LENGTHS = [3, 40, 17, 40, 1, 64, 8, 29]


def batches(segmented: bool) -> list[Batch]:
    rng = np.random.default_rng(7)
    ids = [rng.integers(5, 60, n).tolist() for n in LENGTHS]
    segments = [[int(i > n // 2) for i in range(n)] for n in LENGTHS] if segmented else None
    return pack(Sequences(ids, segments), pad=0, budget=128)


def both_ways(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Logits with padding, and joined, of the same rows."""
    given = batches(json.loads((folder / "config.json").read_text())["model_type"] in ("bert", "electra"))
    padded = np.concatenate([logits for _, (logits,) in TorchEngine(folder, "f32").run(given)])
    model, _ = read_classifier(folder, torch.float32, varlen.register())
    with torch.inference_mode():
        joined = varlen.logits(model.eval(), given).numpy()
    return padded, joined


@pytest.mark.parametrize("kind", varlen.MODEL_TYPES)
def test_padding_makes_no_difference(kind: str, tmp_path: Path) -> None:
    padded, joined = both_ways(cross_encoder(tmp_path, kind))
    np.testing.assert_allclose(joined, padded, atol=2e-5)
    assert len(joined) == len(LENGTHS) and np.std(joined) > 1e-3


def test_modernbert_pooled_by_mean_and_with_short_local_windows(tmp_path: Path) -> None:
    folder = edited(cross_encoder(tmp_path, "modernbert"), classifier_pooling="mean", local_attention=8)
    padded, joined = both_ways(folder)
    np.testing.assert_allclose(joined, padded, atol=2e-5)
    wide = both_ways(edited(folder, local_attention=64))[1]
    assert np.abs(wide - joined).max() > 1e-3  # the window counts


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 40_000), max_size=12))
def test_groups_keep_every_batch_in_order(sizes: list[int]) -> None:
    batches = [
        Batch([0], [n], np.zeros((1, n), np.int64), np.ones((1, n), np.int64), np.zeros((1, n), np.int64))
        for n in sizes
    ]
    calls = list(groups(batches, 65_536, lambda batch: int(batch.mask.sum())))
    assert [b for call in calls for b in call] == batches
    assert all(sum(b.mask.sum() for b in call[:-1]) < 65_536 for call in calls)
    assert all(sum(b.mask.sum() for b in call) >= 65_536 for call in calls[:-1])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="takes a CUDA device")
@pytest.mark.parametrize("kind", varlen.MODEL_TYPES)
def test_on_a_gpu(kind: str, tmp_path: Path) -> None:
    folder = cross_encoder(tmp_path, kind)
    exact = np.concatenate([logits for _, (logits,) in TorchEngine(folder, "f32").run(batches(False))])
    fast = np.concatenate([logits for _, (logits,) in TorchEngine(folder, "fp16").run(batches(False))])
    assert np.abs(fast - exact).max() < 0.05 * np.ptp(exact)
