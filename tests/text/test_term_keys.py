"""The numbers of terms are those of the analyzer's terms, for any texts and however often they come."""

import random
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resift.text.analysis import Analyzer
from resift.text.term_keys import TermKeys, keys_of

# What is odd about texts: letters that fold to several, marks without a letter, white space beyond ASCII, lone halves
# of surrogate pairs, words of eight bytes and one more, and clauses that are too long to be remembered.
PARTS = st.sampled_from(
    [*"aI7_-'\n \x00\x1f\x85\xa0\u3000\u200dİıßǅﬁ½éσςЖक่々\u0301\u0307\u05bd\ud800🙂", "the", "running", "Fähren",
     "Feuerwehr", "straßenbahn", "pneumono" * 6, "東京タワーです", "我们的孩子们都喜欢吃苹果和香蕉" * 2, "กินข้าว",
     "это", "был", "и"]
)  # fmt: skip
TEXTS = st.lists(st.text() | st.lists(PARTS, max_size=12).map("".join) | st.lists(PARTS, max_size=8).map(" ".join))
SETTINGS = [
    ("english", "bigrams"), ("", "bigrams+characters"), ("guess:english+russian", "bigrams"), ("turkish", "bigrams"),
    ("english", "words-zh"), ("english", "words-ja"),
]  # fmt: skip


@cache
def made(language: str, units: str) -> tuple[Analyzer, TermKeys]:
    analyzer = Analyzer(language, units)
    return analyzer, TermKeys(analyzer)


def expected(analyzer: Analyzer, texts: list[str]) -> list[bytes]:
    return [keys_of(term.text for term in analyzer.terms(text)).tobytes() for text in texts]


@given(TEXTS, st.sampled_from(SETTINGS))
@settings(deadline=None)
def test_keys_are_those_of_the_terms_of_each_text(texts: list[str], of: tuple[str, str]) -> None:
    analyzer, term_keys = made(*of)
    assert term_keys.of(texts) == term_keys.of(texts) == expected(analyzer, texts)


@given(st.lists(PARTS, max_size=12).map("".join), st.sampled_from(SETTINGS))
@settings(deadline=None, max_examples=300)
def test_words_are_the_texts_of_terms_in_odd_texts_too(text: str, of: tuple[str, str]) -> None:
    analyzer, _ = made(*of)
    assert analyzer.words(text) == analyzer.words(text) == [term.text for term in analyzer.terms(text)]


def test_more_words_than_are_remembered_and_more_text_than_is_read_at_once() -> None:
    rng = random.Random(0)
    words = [f"w{i}" for i in range(170_000)]
    texts = [" ".join(words[at : at + 1000]) for at in range(0, len(words), 1000)]
    assert sum(map(len, texts)) > 1_000_000
    term_keys = TermKeys(Analyzer("", "bigrams"))
    for _ in range(2):
        assert term_keys.of(texts) == [keys_of(text.split()).tobytes() for text in texts]
        rng.shuffle(texts)


@pytest.mark.parametrize("texts", [[], [""], ["", "the", ""], ["lamp"]])
def test_texts_with_few_terms_or_none(texts: list[str]) -> None:
    analyzer, term_keys = made("english", "bigrams")
    assert term_keys.of(texts) == expected(analyzer, texts)
