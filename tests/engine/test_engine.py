import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resift.engine.batching import Sequences, pack
from resift.engine.maxsim import TokenVectors, densest, maxsim
from resift.engine.openvino import OpenVINOEngine, openvino_model, openvino_ops


@given(st.lists(st.integers(1, 300), max_size=60), st.integers(1, 2000))
def test_packing_keeps_every_token_once(lengths: list[int], budget: int) -> None:
    ids = [list(range(1, n + 1)) for n in lengths]
    batches = pack(Sequences(ids, [[i % 2] * n for i, n in enumerate(lengths)]), pad=0, budget=budget)
    seen = [i for b in batches for i in b.rows]
    assert sorted(seen) == list(range(len(ids)))
    for b in batches:
        assert b.ids.shape[1] % 8 == 0
        assert b.ids.size <= budget or len(b.rows) == 1
        for j, i in enumerate(b.rows):
            assert b.ids[j][b.mask[j] == 1].tolist() == ids[i]
            assert set(b.segments[j][: len(ids[i])].tolist()) == {i % 2}
            assert not b.mask[j][len(ids[i]) :].any()


def unit(rng: np.random.Generator, n: int, dims: int) -> np.ndarray:
    x = rng.normal(size=(n, dims)).astype(np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def tokens(rng: np.random.Generator, n: int, dims: int = 16) -> TokenVectors:
    return TokenVectors.quantized(unit(rng, n, dims), np.zeros((n, 2), np.int32))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.lists(st.integers(1, 40), min_size=1, max_size=12), st.integers(1, 9))
def test_maxsim_is_its_definition(seed: int, lengths: list[int], asked: int) -> None:
    rng = np.random.default_rng(seed)
    query, weights = unit(rng, asked, 16), rng.random(asked).astype(np.float32)
    documents = [tokens(rng, n) for n in lengths]
    scores, places, cosines = maxsim(query, weights, documents)
    for i, d in enumerate(documents):
        values = d.values.astype(np.float64) * d.scales[:, None]
        similarity = query.astype(np.float64) @ values.T
        assert scores[i] == pytest.approx(float(weights @ similarity.max(axis=1)), abs=1e-4)
        np.testing.assert_allclose(cosines[i], similarity.max(axis=1), atol=1e-4)
        np.testing.assert_allclose(similarity[np.arange(asked), places[i]], similarity.max(axis=1), atol=1e-4)


def test_maxsim_in_blocks_equals_maxsim_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    query, weights, documents = unit(rng, 5, 16), np.ones(5, np.float32) / 5, [tokens(rng, n) for n in (3, 50, 1, 20)]
    once = maxsim(query, weights, documents)[0]
    monkeypatch.setattr("resift.engine.maxsim._BLOCK", 8)
    np.testing.assert_allclose(once, maxsim(query, weights, documents)[0], atol=1e-6)  # BLAS sums by shape


def test_rounding_to_int8_is_small() -> None:
    rng = np.random.default_rng(0)
    vectors = unit(rng, 200, 128)
    kept = TokenVectors.quantized(vectors, np.zeros((200, 2), np.int32))
    assert np.abs(kept.values * kept.scales[:, None] - vectors).max() < 0.5 / 127
    assert kept.values.dtype == np.int8


def test_a_zero_vector_stays_zero() -> None:
    kept = TokenVectors.quantized(np.zeros((1, 4), np.float32), np.zeros((1, 2), np.int32))
    assert not kept.values.any() and np.isfinite(kept.scales).all()


def test_the_densest_stretch() -> None:
    place, gain = np.array([5, 90, 91, 93, 6]), np.array([0.5, 0.4, 0.4, 0.4, 0.1], np.float32)
    assert densest(place, gain, 10) == (90, 93)
    assert densest(place, gain, 1000) == (5, 93)
    assert densest(np.array([7]), np.array([-0.1], np.float32), 10) == (7, 7)


def test_a_model_is_read_and_compiled_once_however_many_threads_begin() -> None:
    reads, running, threads = [0], [0], 8
    barrier = threading.Barrier(threads)

    def read() -> object:
        running[0] += 1
        reads[0] += 1
        assert running[0] == 1
        time.sleep(0.05)
        ops = openvino_ops()
        given = ops.parameter([-1, -1], np.int64, "input_ids")
        given.output(0).set_names({"input_ids"})
        graph = openvino_model([ops.convert(given, "f32").output(0)], [given])
        running[0] -= 1
        return graph

    engine = OpenVINOEngine(read, "f32")

    def first(_: int) -> list[np.ndarray]:
        barrier.wait()
        batches = pack(Sequences([[1, 2, 3]]), pad=0)
        return [outputs[0] for _, outputs in engine.run(batches)]

    with ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(first, range(threads)))
    assert reads == [1]
    assert all(np.array_equal(f[0][0][:3], [1, 2, 3]) for f in found)
