"""Splits leak nothing: no query of one part says the same as one of the other."""

import random
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resift.errors import InputError
from resift.train.data import examples_of, split_by_query
from resift.train.examples import ExampleSet
from resift.train.near_duplicates import SIMILARITY, groups, jaccard, normal, shingles, words_of


def of_queries(*texts: str) -> ExampleSet:
    return examples_of([{"query": text, "document": f"about {text}", "label": 1} for text in texts])


def texts(examples: ExampleSet) -> list[str]:
    return [query.query.text for query in examples.queries]


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("When does the ferry leave?", "when does the FERRY leave", True),
        ("ｆｅｒｒｙ times", "ferry times", True),
        ("when does the last ferry of the day leave", "when does the last ferry of the day leave then", True),
        ("the ferry", "the bread", False),
        ("渡轮什么时候出发", "渡轮什么时候出发？", True),
        ("渡轮什么时候出发", "面包是谁烤的", False),
        ("???", "???", True),
        ("???", "!!!", False),
    ],
)
def test_what_says_the_same(a: str, b: str, same: bool) -> None:
    assert (len(set(groups([a, b]))) == 1) is same


def test_shingles_and_their_similarity() -> None:
    assert words_of("The ferry's 9 渡轮什么") == ["the", "ferry", "s", "9", "渡轮", "轮什", "什么"]
    assert normal("The  Ferry, leaves!") == "the ferry leaves"
    assert shingles("a b c d", 3) == {"a b c", "b c d"}
    assert shingles("a b", 3) == {"a b"}
    assert shingles("!") == frozenset()
    assert jaccard(frozenset("abcd"), frozenset("bcde")) == 3 / 5
    assert jaccard(frozenset(), frozenset()) == 0


@given(
    st.lists(st.lists(st.sampled_from(string.ascii_lowercase[:8]), min_size=1, max_size=9).map(" ".join), max_size=25)
)
def test_every_pair_of_enough_common_words_is_in_one_group(queries: list[str]) -> None:
    numbers = groups(queries)
    sets = [shingles(query) for query in queries]
    for i in range(len(queries)):
        assert numbers[numbers[i]] == numbers[i] <= i
        for j in range(i):
            if jaccard(sets[i], sets[j]) >= SIMILARITY:
                assert numbers[i] == numbers[j]


WORDS = ["ferry", "bread", "anna", "nine", "harbour", "old", "blue", "when", "who", "does", "leave", "bake"]


@settings(deadline=None)
@given(
    st.lists(st.lists(st.sampled_from(WORDS), min_size=2, max_size=6).map(" ".join), min_size=2, max_size=40),
    st.integers(0, 5),
    st.sampled_from([0.1, 0.3, 0.5]),
)
def test_no_query_leaks(queries: list[str], seed: int, share: float) -> None:
    examples = of_queries(*queries)
    if len(set(groups(texts(examples)))) < 2:
        with pytest.raises(InputError, match="all say the same"):
            split_by_query(examples, share, seed)
        return
    split = split_by_query(examples, share, seed)
    train, dev = texts(split.train), texts(split.dev)
    assert train
    assert dev
    assert sorted(train + dev) == sorted(texts(examples))
    assert not {normal(text) for text in train} & {normal(text) for text in dev}
    for one in train:
        assert all(jaccard(shingles(one), shingles(other)) < SIMILARITY for other in dev)
    shuffled = list(queries)
    random.Random(seed).shuffle(shuffled)
    assert texts(split_by_query(of_queries(*shuffled), share, seed).dev) == dev


def test_the_share_and_the_seed() -> None:
    examples = of_queries(*(f"question {i} of {i * i}" for i in range(200)))
    split = split_by_query(examples, 0.2)
    assert len(split.dev.queries) == 40
    assert split.near_duplicates == 0
    assert texts(split.dev) != texts(split_by_query(examples, 0.2, seed=1).dev)
    assert split_by_query(of_queries("ferry at nine", "Ferry at nine!", "bread"), 0.5).near_duplicates == 1
    with pytest.raises(InputError, match="over 0 and under 1; not 1"):
        split_by_query(examples, 1.0)


def test_candidates_and_corpus_go_along() -> None:
    split = split_by_query(of_queries("ferry", "bread"), 0.5)
    assert split.train.detection == split.dev.detection
    assert [c.document.text for c in split.dev.queries[0].candidates] == [f"about {texts(split.dev)[0]}"]
