"""No text is in both parts of a split, every query is reported once, and neither ids nor order matter."""

import random
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resift.types import Query
from resift.worth.splits import splits

TEXTS = st.lists(st.sampled_from("abcdefgh").map(lambda c: f"what is {c}"), min_size=2, max_size=30)


def normal(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


@given(TEXTS, st.integers(0, 5))
def test_no_text_is_on_both_sides(texts: list[str], seed: int) -> None:
    variants = [(text, text.upper(), f"  {text} ", text.replace("a", "ａ"))[i % 4] for i, text in enumerate(texts)]
    queries = [Query(text, str(i)) for i, text in enumerate(variants)]
    parts = splits(queries, seed)
    if len({normal(text) for text in variants}) < 2:
        assert parts == []
        return
    assert (sum(part.report.astype(int) for part in parts) == 1).all()
    for part in parts:
        sides = [
            {normal(q.text) for q, mine in zip(queries, side, strict=True) if mine} for side in (part.tune, part.report)
        ]
        assert all(sides) and not sides[0] & sides[1]


@pytest.mark.parametrize(("count", "parts", "reported"), [(50, 5, 10), (199, 5, 40), (200, 1, 100), (501, 1, 250)])
def test_halves_and_folds(count: int, parts: int, reported: int) -> None:
    result = splits([Query(f"query {i}") for i in range(count)])
    assert len(result) == parts
    assert result[0].report.sum() in (reported, reported + 1)
    assert all((part.tune ^ part.report).all() for part in result)


def test_order_and_ids_change_nothing() -> None:
    texts = [f"query {i % 70}" for i in range(100)]
    shuffled = random.Random(3).sample(range(100), 100)
    first = splits([Query(text, str(i)) for i, text in enumerate(texts)])
    second = splits([Query(texts[i], f"x{i}") for i in shuffled])
    for a, b in zip(first, second, strict=True):
        assert (a.report[shuffled] == b.report).all()
    other = splits([Query(text) for text in texts], seed=1)
    assert any((a.report != b.report).any() for a, b in zip(first, other, strict=True))
