"""Every retriever that answers any query: k best, stable, each once; fusion by its formulas; embedders of length 1."""

from pathlib import Path

import numpy as np
import pytest

from resift import InputError
from resift.errors import UnknownFamily
from resift.index.passages import id_hash
from resift.measures import ndcg
from resift.protocols import Embedder, Retriever
from resift.retrieve.bm25 import BM25Retriever
from resift.retrieve.dense import DenseRetriever
from resift.retrieve.fuse import Hybrid, ReciprocalRank, WeightedSum
from resift.retrieve.hnsw import HnswRetriever, build_hnsw
from resift.score.load import load_embedder, load_scorer
from resift.types import Candidate, Document, Query, Ranking, Score, ScoreKind

TEXTS = ["a lamp shines", "bread and water", "the tower on the island", "a lamp shines", "the ferry sails", ""]


@pytest.fixture(scope="module", params=["resift-static-en", "resift-mini-en"])
def embedder(request: pytest.FixtureRequest) -> Embedder:
    return load_embedder(request.param, "f32")


def documents(texts: list[str]) -> list[Document]:
    return [Document(f"d{i}", t) for i, t in enumerate(texts)]


def ids(own: list[Document]) -> np.ndarray:
    return np.array([id_hash(d.id) for d in own], np.uint64)


@pytest.fixture(params=["dense", "hnsw", "rrf", "weighted_rrf", "weighted"])
def retriever(request: pytest.FixtureRequest, embedder: Embedder, tmp_path: Path) -> Retriever:
    own = documents(TEXTS)
    dense = DenseRetriever(own, embedder)
    if request.param == "dense":
        return dense
    if request.param == "hnsw":
        build_hnsw(tmp_path / "hnsw", dense.vectors, ids(own))
        return HnswRetriever(own, embedder, tmp_path / "hnsw", ids(own))
    fusions = [ReciprocalRank(), ReciprocalRank(10, [0.3, 0.7]), WeightedSum([0.3, 0.7])]
    (fusion,) = (f for f in fusions if f.name == request.param)
    return Hybrid([BM25Retriever(own), dense], fusion)


def test_the_contract(retriever: Retriever) -> None:
    asked = [Query("lamp light", "1"), Query("baking", "2"), Query("lamp light", "3")]
    for k in (1, 3, 10):
        found = retriever.retrieve(asked, k)
        assert [r.query for r in found] == asked
        for r in found:
            ids = [c.document.id for c in r]
            assert len(ids) == len(set(ids)) == min(k, len(TEXTS))
            values = [c.score.value for c in r if c.score]
            assert values == sorted(values, reverse=True) and len(values) == len(ids)
            assert all(c.signals[0].rank == c.rank == c.first_rank for c in r)
        assert [c.document.id for c in found[0]] == [c.document.id for c in found[2]]
    ids = [c.document.id for c in retriever.retrieve(asked, 10)[0]]
    assert ids.index("d0") < ids.index("d3") < ids.index("d1")  # duplicates tie, in order


def test_embedders_give_unit_vectors(embedder: Embedder) -> None:
    vectors = embedder.embed(TEXTS, "document")
    assert vectors.shape == (len(TEXTS), embedder.dims) and vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors[:-1], axis=1), 1, atol=1e-5)
    assert not vectors[-1].any()
    np.testing.assert_allclose(vectors[0], embedder.embed(TEXTS[:1], "document")[0], atol=1e-5)
    assert vectors[0] @ embedder.embed(["lamp"], "query")[0] > vectors[1] @ embedder.embed(["lamp"], "query")[0]


def test_a_graph_of_other_documents_or_damaged_is_refused(embedder: Embedder, tmp_path: Path) -> None:
    own = documents(TEXTS)
    build_hnsw(tmp_path / "hnsw", DenseRetriever(own, embedder).vectors, ids(own))
    with pytest.raises(InputError, match="holds 6 vectors, not 5"):
        HnswRetriever(own[:5], embedder, tmp_path / "hnsw", ids(own[:5]))
    with pytest.raises(InputError, match="damaged"):
        HnswRetriever(own, embedder, tmp_path / "nothing", ids(own))


def test_the_graph_finds_what_looking_at_everything_finds(embedder: Embedder, tmp_path: Path) -> None:
    words = "lamp tower bread water island ferry stone bridge winter night".split()
    chance = np.random.default_rng(0)
    own = documents([" ".join(chance.choice(words, 12)) for _ in range(600)])
    dense = DenseRetriever(own, embedder)
    build_hnsw(tmp_path / "hnsw", dense.vectors, ids(own))
    graph = HnswRetriever(own, embedder, tmp_path / "hnsw", ids(own))
    asked = [Query(" ".join(chance.choice(words, 3))) for _ in range(20)]
    found = zip(dense.retrieve(asked, 10), graph.retrieve(asked, 10), strict=True)
    shared = [len({c.document.id for c in a} & {c.document.id for c in b}) for a, b in found]
    assert sum(shared) / len(shared) >= 9.5


def test_vectors_of_another_shape_are_refused(embedder: Embedder) -> None:
    with pytest.raises(InputError, match="index again"):
        DenseRetriever(documents(TEXTS), embedder, np.zeros((len(TEXTS), 3), np.float32))
    with pytest.raises(InputError, match="don't fit"):
        DenseRetriever(documents(TEXTS), embedder, np.zeros((1, embedder.dims), np.float32))


def test_blocks_do_not_matter(embedder: Embedder, monkeypatch: pytest.MonkeyPatch) -> None:
    dense = DenseRetriever(documents(TEXTS), embedder)
    once = dense.retrieve([Query("lamp")], 6)[0]
    monkeypatch.setattr("resift.retrieve.dense._BLOCK", 2)
    assert [c.document.id for c in dense.retrieve([Query("lamp")], 6)[0]] == [c.document.id for c in once]


def test_static_models_score_no_pairs() -> None:
    with pytest.raises(UnknownFamily, match="scores no pairs"):
        load_scorer("resift-static-en")


def ranking(ids: str, values: list[float] | None = None) -> Ranking:
    scores = values or [float(len(ids) - i) for i in range(len(ids))]
    made = [Candidate(Document(i, i), Score(v, ScoreKind.BM25, "t")) for i, v in zip(ids, scores, strict=True)]
    return Ranking(Query("q"), tuple(made))


def test_reciprocal_rank_is_the_formula() -> None:
    scores = ReciprocalRank().combine([ranking("abc"), ranking("cd")])
    assert scores == pytest.approx({"a": 1 / 61, "b": 1 / 62, "c": 1 / 63 + 1 / 61, "d": 1 / 62})


def test_weighted_reciprocal_rank_is_the_formula() -> None:
    scores = ReciprocalRank(10, [0.8, 0.2]).combine([ranking("abc"), ranking("cd")])
    assert scores == pytest.approx({"a": 0.8 / 11, "b": 0.8 / 12, "c": 0.8 / 13 + 0.2 / 11, "d": 0.2 / 12})
    with pytest.raises(ValueError, match="weights"):
        ReciprocalRank(10, [])
    with pytest.raises(ValueError, match="fit"):
        ReciprocalRank(10, [1.0]).combine([ranking("a"), ranking("b")])


def test_weighted_sum_is_the_formula() -> None:
    scores = WeightedSum([1.0, 2.0]).combine([ranking("abc", [4.0, 3.0, 2.0]), ranking("cd", [7.0, 7.0])])
    assert scores == pytest.approx({"a": 1.0, "b": 0.5, "c": 2.0, "d": 2.0})
    with pytest.raises(ValueError, match="weights"):
        WeightedSum([0.0, 0.0])
    with pytest.raises(ValueError, match="fit"):
        WeightedSum([1.0]).combine([ranking("a"), ranking("b")])


@pytest.mark.parametrize("fusion", [WeightedSum, ReciprocalRank])
def test_weights_are_learned(fusion: type[WeightedSum] | type[ReciprocalRank]) -> None:
    good, bad = ranking("abcdef"), ranking("fedcba")
    fitted = fusion.fit([[bad, good]] * 3, [{"a": 2, "b": 1}] * 3)
    assert fitted.weights and fitted.weights[1] > fitted.weights[0]
    scores = fitted.combine([bad, good])
    assert ndcg(sorted(scores, key=lambda d: -scores[d]), {"a": 2, "b": 1}) == 1.0
    with pytest.raises(InputError, match="at least one query"):
        fusion.fit([], [])


def test_signals_of_every_retriever_stay() -> None:
    own = documents(TEXTS)
    hybrid = Hybrid([BM25Retriever(own), DenseRetriever(own, load_embedder("resift-static-en"))])
    best = hybrid.retrieve([Query("lamp shines")], 6)[0][0]
    assert [s.source for s in best.signals] == ["rrf", "bm25", "dense:resift-static-en"]
    assert best.score is not None and best.score.kind is ScoreKind.FUSED
