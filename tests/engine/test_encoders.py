"""Formulas of the encoders at real sizes, against the libraries that define them."""

import numpy as np
import pytest
import torch
from transformers import GteConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.deberta_v2.modeling_deberta_v2 import make_log_bucket_position

from resift.engine.graphs.deberta import buckets
from resift.engine.graphs.jinabert import alibi_slopes
from resift.engine.graphs.rope import frequencies
from tests.references import jinabert


@pytest.mark.parametrize(("count", "limit"), [(256, 512), (32, 512), (16, 64), (256, 24528)])
def test_buckets_are_debertas_to_the_last_position(count: int, limit: int) -> None:
    distance = np.arange(-limit + 1, limit)
    theirs = make_log_bucket_position(torch.from_numpy(distance), count, limit).to(torch.long).numpy()
    assert buckets(distance, count, limit).tolist() == theirs.tolist()
    assert (buckets(distance, 0, limit) == distance).all()


@pytest.mark.parametrize("heads", [1, 2, 6, 8, 12, 16, 20])
def test_slopes(heads: int) -> None:
    np.testing.assert_allclose(alibi_slopes(heads), jinabert.slopes(heads), rtol=1e-12)


@pytest.mark.parametrize("kind", ["linear", "dynamic"])
def test_scaled_frequencies(kind: str) -> None:
    rope = {"rope_type": kind, "rope_theta": 10_000.0, "factor": 4.0}
    config = GteConfig(hidden_size=768, num_attention_heads=12, max_position_embeddings=8192, rope_parameters=rope)
    theirs, scale = ROPE_INIT_FUNCTIONS[kind](config, device="cpu", seq_len=8192)
    assert scale == 1.0
    np.testing.assert_allclose(frequencies(64, 10_000.0, rope), theirs.numpy(), rtol=1e-5)
