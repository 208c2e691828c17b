import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import hatch_build
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resift.engine.maxsim import (
    Best,
    Documents,
    StackedVectors,
    TokenVectors,
    best_compiled,
    best_numpy,
    densest,
    maxsim,
    rounded,
)
from resift.engine.native.maxsim_library import HALVES, LEVELS, Kernel, open_kernel

ROOT = Path(__file__).parents[2]
Way = Callable[[np.ndarray, Documents], Best]


@pytest.fixture(scope="session")
def kernel(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Kernel:
    """Compiled from the source that is here, whatever is installed; or the one that --kernels names."""
    if folder := request.config.getoption("--kernels"):
        library = folder / "_maxsim.so"
    else:
        if not any(map(shutil.which, ("cc", "gcc", "clang"))):
            pytest.skip("there is no C compiler")
        library = tmp_path_factory.mktemp("kernel") / "_maxsim.so"
        assert hatch_build.compile_kernel(ROOT / hatch_build.FOLDER / "maxsim.c", library) == ""
    kernel = open_kernel(library)
    assert kernel
    return kernel


@pytest.fixture(scope="module", params=["numpy", *LEVELS.values()])
def way(request: pytest.FixtureRequest) -> Way:
    if request.param == "numpy":  # which needs no compiler
        return best_numpy
    kernel: Kernel = request.getfixturevalue("kernel")
    level = next(level for level, name in LEVELS.items() if name == request.param)
    if level > kernel.level:
        pytest.skip(f"the processor has no {request.param}")
    return lambda query, documents: best_compiled(kernel, query, documents, level)


def unit(rng: np.random.Generator, n: int, dims: int) -> np.ndarray:
    x = rng.normal(size=(n, dims)).astype(np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def tokens(rng: np.random.Generator, n: int, dims: int = 16) -> TokenVectors:
    return TokenVectors.quantized(unit(rng, n, dims), np.zeros((n, 2), np.int32))


def ragged(rng: np.random.Generator, lengths: list[int], dims: int) -> StackedVectors:
    values, scales = rounded(unit(rng, sum(lengths), dims))
    ends = np.cumsum(lengths)
    return StackedVectors(values, scales, ends - lengths, ends)


def similarities(query: np.ndarray, documents: StackedVectors) -> list[np.ndarray]:
    """Every cosine, in f64: (Q, length) of each document."""
    scales = 1.0 if documents.scales is None else documents.scales[:, None]
    values = documents.values.astype(np.float64) * scales
    similarity = query.astype(np.float64) @ values.T
    if documents.skip is not None:
        similarity[:, documents.skip] = -np.inf
    return [similarity[:, a:b] for a, b in zip(documents.starts, documents.ends, strict=True)]


def agrees(best: Best, query: np.ndarray, documents: StackedVectors) -> None:
    """The place is the best one for the query as it was rounded, the cosine is that of the place."""
    integers, factors = rounded(query)
    coarse = query if documents.scales is None else integers * factors[:, None]
    parts = zip(*best, similarities(coarse, documents), similarities(query, documents), strict=True)
    for place, cosine, rough, exact in parts:
        at = np.arange(len(query)), place
        np.testing.assert_allclose(rough[at], rough.max(axis=1), atol=2e-6)
        np.testing.assert_allclose(cosine, exact[at], atol=3e-5)


SHAPES = given(
    st.integers(0, 10_000),
    st.lists(st.integers(1, 40), min_size=1, max_size=12),
    st.sampled_from([1, 9, 16, 17, 32, 33, 70]),
    st.sampled_from([1, 6, 16, 20, 64, 100, 128]),
)


@settings(max_examples=40, deadline=None)
@SHAPES
def test_every_way_is_the_definition(way: Way, seed: int, lengths: list[int], asked: int, dims: int) -> None:
    rng = np.random.default_rng(seed)
    query, documents = unit(rng, asked, dims), ragged(rng, lengths, dims)
    agrees(way(query, documents), query, documents)


@settings(max_examples=20, deadline=None)
@SHAPES
def test_compiled_and_numpy_are_equal(kernel: Kernel, seed: int, lengths: list[int], asked: int, dims: int) -> None:
    rng = np.random.default_rng(seed)
    query, documents = unit(rng, asked, dims), ragged(rng, lengths, dims)
    for level in range(1, kernel.level + 1):
        for ours, reference in zip(
            best_compiled(kernel, query, documents, level), best_numpy(query, documents), strict=True
        ):
            np.testing.assert_array_equal(ours, reference)


@settings(max_examples=20, deadline=None)
@SHAPES
def test_half_precision_documents(kernel: Kernel, seed: int, lengths: list[int], asked: int, dims: int) -> None:
    rng = np.random.default_rng(seed)
    query, ends = unit(rng, asked, dims), np.cumsum(lengths)
    documents = StackedVectors(unit(rng, sum(lengths), dims).astype(np.float16), None, ends - lengths, ends)
    agrees(best_numpy(query, documents), query, documents)
    agrees(maxsim(query, np.ones(asked, np.float32) / asked, documents)[1:], query, documents)
    if kernel.level >= HALVES:
        agrees(best_compiled(kernel, query, documents), query, documents)


def test_ranges_overlap_and_come_in_any_order(way: Way) -> None:
    rng = np.random.default_rng(1)
    query, whole = unit(rng, 5, 32), ragged(rng, [60], 32)
    documents = replace(whole, starts=np.array([50, 0, 10, 10]), ends=np.array([60, 60, 11, 30]))
    agrees(way(query, documents), query, documents)


def test_skipped_rows_match_nothing(way: Way) -> None:
    rng = np.random.default_rng(2)
    query, documents = unit(rng, 7, 32), ragged(rng, [3, 30, 9], 32)
    documents = replace(documents, skip=rng.random(42) < 0.6)
    assert documents.skip is not None
    documents.skip[[0, 5, 41]] = False
    places, cosines = way(query, documents)
    agrees((places, cosines), query, documents)
    assert not documents.skip[documents.starts[:, None] + places].any()


def test_equal_rows_the_earliest_wins(way: Way) -> None:
    row = np.full((1, 16), 0.25, np.float32)
    documents = [TokenVectors.quantized(np.repeat(row, n, axis=0), np.zeros((n, 2), np.int32)) for n in (1, 7, 8, 21)]
    places, cosines = way(row, documents)
    assert not places.any()
    np.testing.assert_allclose(cosines, 1.0, atol=1e-6)


def test_a_memory_mapped_file_is_read_where_it_lies(way: Way, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    query, documents = unit(rng, 12, 128), ragged(rng, [20, 90, 4], 128)
    np.save(tmp_path / "tokens.npy", documents.values)
    mapped = replace(documents, values=np.load(tmp_path / "tokens.npy", mmap_mode="r"))
    for ours, reference in zip(way(query, mapped), way(query, documents), strict=True):
        np.testing.assert_array_equal(ours, reference)


def test_apart_and_in_one_array_are_equal() -> None:
    rng = np.random.default_rng(4)
    query, weights, apart = unit(rng, 9, 64), rng.random(9).astype(np.float32), [tokens(rng, n, 64) for n in (8, 1, 90)]
    ends = np.cumsum([len(d) for d in apart])
    together = StackedVectors(
        np.concatenate([d.values for d in apart]), np.concatenate([d.scales for d in apart]),
        np.array([0, *ends[:-1]]), ends,
    )  # fmt: skip
    for a, b in zip(maxsim(query, weights, apart), maxsim(query, weights, together), strict=True):
        np.testing.assert_array_equal(a, b)


def test_threads_give_what_one_gives(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    query, documents = unit(rng, 32, 128), ragged(rng, rng.integers(1, 300, 90).tolist(), 128)
    monkeypatch.setattr("resift.engine.maxsim._ALONE", 1 << 10)
    results = []
    for threads in (1, 2, 7, 400):
        monkeypatch.setattr("resift.engine.maxsim.cores", lambda threads=threads: threads)
        results.append(best_compiled(kernel, query, documents))
    for places, cosines in results[1:]:
        np.testing.assert_array_equal(places, results[0][0])
        np.testing.assert_array_equal(cosines, results[0][1])


def test_several_queries_at_once() -> None:
    rng = np.random.default_rng(6)
    queries, documents = [unit(rng, n, 32) for n in (3, 20, 11)], ragged(rng, [5, 40, 9, 1], 32)
    weights = np.zeros((34, 3), np.float32)
    for i, (a, b) in enumerate([(0, 3), (3, 23), (23, 34)]):
        weights[a:b, i] = 1 / (b - a)
    scores, _, _ = maxsim(np.concatenate(queries), weights, documents)
    for i, query in enumerate(queries):
        alone, _, _ = maxsim(query, np.full(len(query), 1 / len(query), np.float32), documents)
        np.testing.assert_allclose(scores[:, i], alone, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 40), st.sampled_from([16, 128, 384]))
def test_rounding_the_query_moves_a_cosine_by_no_more_than_its_step(seed: int, length: int, dims: int) -> None:
    rng = np.random.default_rng(seed)
    query, document = unit(rng, 9, dims), tokens(rng, length, dims)
    _, _, (cosines,) = maxsim(query, np.ones(9, np.float32), [document])
    exact = (query @ (document.values * document.scales[:, None]).T).max(axis=1)
    longest = np.linalg.norm(document.values * document.scales[:, None], axis=1).max()
    bound = np.abs(query).max(axis=1) / 127 / 2 * np.sqrt(dims) * longest  # Cauchy-Schwarz: half a step in each number
    assert (np.abs(cosines - exact) <= bound + 1e-6).all()


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    query, documents = unit(rng, 5, 16), [tokens(rng, n) for n in (3, 50, 1, 20)]
    once = best_numpy(query, documents)
    monkeypatch.setattr("resift.engine.maxsim._BLOCK", 8)
    for a, b in zip(once, best_numpy(query, documents), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_scale_too_few_is_refused() -> None:
    rng = np.random.default_rng(7)
    good, bad = tokens(rng, 3), tokens(rng, 5)
    bad = replace(bad, scales=bad.scales[:4])
    with pytest.raises(ValueError, match="one scale each"):
        maxsim(unit(rng, 2, 16), np.ones(2, np.float32), [good, bad])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"starts": np.array([0, -1])}, "within"),
        ({"ends": np.array([3, 9])}, "within"),
        ({"ends": np.array([0, 8])}, "without a token"),
        ({"skip": np.arange(8) < 3}, "without a token"),
        ({"values": np.zeros((8, 16), np.float32)}, "int8 or f16"),
        ({"values": np.zeros((8, 12), np.int8)}, "dimensions"),
        ({"scales": np.ones(7, np.float32)}, "one entry per row"),
        ({"skip": np.zeros(9, np.bool_)}, "one entry per row"),
    ],
)
def test_what_can_not_be_compared_is_refused(change: dict[str, np.ndarray], said: str) -> None:
    rng = np.random.default_rng(7)
    documents = replace(ragged(rng, [3, 5], 16), **change)
    with pytest.raises(ValueError, match=said):
        maxsim(unit(rng, 2, 16), np.ones(2, np.float32), documents)


def test_no_documents() -> None:
    scores, places, cosines = maxsim(unit(np.random.default_rng(8), 2, 16), np.ones(2, np.float32), [])
    assert (scores.shape, places.shape, cosines.shape) == ((0,), (0, 2), (0, 2))


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
    place, gain = np.array([[5, 90, 91, 93, 6]], np.int32), np.array([[0.5, 0.4, 0.4, 0.4, 0.1]], np.float32)
    assert densest(place, gain, 10).tolist() == [[90, 93]]
    assert densest(place, gain, 1000).tolist() == [[5, 93]]
    assert densest(np.array([[7]], np.int32), np.array([[-0.1]], np.float32), 10).tolist() == [[7, 7]]
    assert densest(np.zeros((0, 4), np.int32), np.zeros((0, 4), np.float32), 10).shape == (0, 2)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 12), st.integers(1, 30))
def test_the_densest_stretch_is_its_definition(seed: int, n: int, asked: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    places = rng.integers(0, 40, (n, asked)).astype(np.int32)
    gains = (rng.integers(-2, 5, (n, asked)) / 8).astype(np.float32)  # eighths: sums are exact, ties are frequent
    for place, gain, (first, last) in zip(places, gains, densest(places, gains, width), strict=True):
        held = {int(a): float(gain[(place >= a) & (place < a + width)].clip(0).sum()) for a in place}
        best = min(a for a in held if held[a] == max(held.values()))
        assert (first, last) == (best, place[(place >= best) & (place < best + width)].max())
