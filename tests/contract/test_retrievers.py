"""One suite over every Retriever: best first, stable ties, signals, k."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resift import InputError
from resift.protocols import Retriever
from resift.retrieve.bm25 import BM25Retriever
from resift.retrieve.topk import best
from resift.types import Document, Query, ScoreKind

WORDS = st.sampled_from("lamp tower bread water island ferry".split())
TEXTS = st.lists(st.lists(WORDS, max_size=6).map(" ".join), max_size=12)


def retriever(texts: list[str]) -> Retriever:
    return BM25Retriever([Document(f"d{i}", t) for i, t in enumerate(texts)])


@settings(max_examples=100, deadline=None)
@given(TEXTS, WORDS, st.integers(1, 14))
def test_best_first_and_each_once(texts: list[str], query: str, k: int) -> None:
    (ranking,) = retriever(texts).retrieve([Query(query)], k)
    ids = [c.document.id for c in ranking]
    assert len(ids) == len(set(ids)) <= k
    values = [c.score.value for c in ranking if c.score]
    assert values == sorted(values, reverse=True) and len(values) == len(ids)
    assert {c.document.id for c in ranking} <= {f"d{i}" for i, t in enumerate(texts) if query in t}
    if k >= len(texts):
        assert len(ids) == sum(query in t for t in texts)
    for c in ranking:
        assert c.signals[0].rank == c.rank == c.first_rank and c.signals[0].score == c.score
        assert c.score is not None and c.score.kind is ScoreKind.BM25


def test_ties_go_by_position() -> None:
    (ranking,) = retriever(["bread", "lamp", "lamp", "lamp", "lamp"]).retrieve([Query("lamp")], 3)
    assert [c.document.id for c in ranking] == ["d1", "d2", "d3"]


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0]), max_size=30), st.integers(1, 10))
def test_selection_equals_sorting(values: list[float], k: int) -> None:
    expected = sorted(range(len(values)), key=lambda i: (-values[i], i))[:k]
    assert best(np.array(values, np.float32), k).tolist() == expected


def test_several_queries_in_order() -> None:
    found = retriever(["lamp", "bread"]).retrieve([Query("bread", "1"), Query("lamp", "2"), Query("zebra", "3")], 5)
    assert [[c.document.id for c in r] for r in found] == [["d1"], ["d0"], []]
    assert [r.query.id for r in found] == ["1", "2", "3"]


def test_no_documents_and_no_words() -> None:
    assert retriever([]).retrieve([Query("lamp")], 5)[0].candidates == ()
    assert retriever(["", "the of"]).retrieve([Query("lamp")], 5)[0].candidates == ()
    with pytest.raises(InputError, match="empty"):
        retriever(["lamp"]).retrieve([Query(" ")], 5)


def test_scores_equal_the_formula() -> None:
    texts = ["lamp lamp tower", "lamp bread water island ferry", "bread"]
    (ranking,) = retriever(texts).retrieve([Query("lamp")], 5)
    mean, n, containing, k1, b = sum(len(t.split()) for t in texts) / 3, 3, 2, 1.5, 0.75
    idf = np.log(1 + (n - containing + 0.5) / (containing + 0.5))
    expected = [
        idf * f / (f + k1 * (1 - b + b * length / mean)) for f, length in ((2, 3), (1, 5))
    ]  # Lucene leaves the constant factor k1 + 1 out
    assert [c.score.value for c in ranking if c.score] == pytest.approx(expected, rel=1e-5)
