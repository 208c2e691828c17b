"""What holds for all texts and orders, and how fast features are beside reading the texts."""

import math
import random
import time
import unicodedata

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from resift.features import FeatureSet, Field, FieldKind, Statistics
from resift.features.analysed_text import TextReader
from resift.features.character_grams import shared_grams
from resift.features.term_matches import TermMatches, longest_run, smallest_window
from resift.text.analysis import Analyzer
from resift.types import Candidate, Document, Query, Ranking
from tests.features.candidates import NOW, STATISTICS, candidate, ranking, signal

FEATURES = FeatureSet.default(
    ["bm25", "m"],
    (Field("price", FieldKind.NUMBER), Field("day", FieldKind.DATE), Field("kind", FieldKind.CATEGORY, ("a", "b"))),
)
WORDS = st.sampled_from(
    "ferry harbour red the of who what 7 1912 E-12 my_name tiếng Việt năm 東京 什么 どこ Ünïcode naïve café".split()
)
TEXTS = st.lists(WORDS, max_size=12).map(" ".join)
SIGNALS = st.lists(
    st.tuples(st.sampled_from(["bm25", "m"]), st.integers(1, 9), st.none() | st.integers(-3, 3).map(float)), max_size=3
).map(lambda rows: tuple(signal(*row) for row in rows))
CANDIDATES = st.builds(
    lambda text, title, signals, price, kind: candidate(text, title, signals, price=price, kind=kind),
    TEXTS, TEXTS | st.just(""), SIGNALS, st.none() | st.integers(0, 5), st.sampled_from([None, "a", "c"]),
)  # fmt: skip
RANKINGS = st.builds(lambda query, candidates: ranking(query, *candidates), TEXTS, st.lists(CANDIDATES, max_size=6))


ANALYZERS = {
    (language, units): Analyzer(language, units)
    for language in ("english", "", "guess:english+russian")
    for units in ("bigrams", "bigrams+characters")
}


def values(of: Ranking, statistics: Statistics = STATISTICS) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return FEATURES.matrix(of, statistics, NOW).values


@given(RANKINGS, st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=50)
def test_the_order_of_candidates_changes_no_row(of: Ranking, rng: random.Random) -> None:
    order = list(range(len(of)))
    rng.shuffle(order)
    np.testing.assert_array_equal(values(of)[order], values(of.reordered(order)))


def decomposed(of: Ranking) -> Ranking:
    def nfd(text: str) -> str:
        return unicodedata.normalize("NFD", text)

    candidates = [
        Candidate(Document(c.document.id, nfd(c.document.text), nfd(c.document.title), c.document.metadata),
                  None, c.signals)
        for c in of
    ]  # fmt: skip
    return Ranking(Query(nfd(of.query.text)), tuple(candidates))


@given(RANKINGS)
@settings(deadline=None, max_examples=50)
def test_composed_and_decomposed_texts_have_the_same_features(of: Ranking) -> None:
    np.testing.assert_array_equal(values(of), values(decomposed(of)))


@given(RANKINGS)
@settings(deadline=None, max_examples=50)
def test_what_is_missing_is_never_a_number(of: Ranking) -> None:
    columns = dict(zip(FEATURES.names, values(of).T, strict=True))
    for i, c in enumerate(of):
        for source in ("bm25", "m"):
            there = [s for s in c.signals if s.source == source]
            assert math.isnan(columns[f"rank({source})"][i]) == (not there)
            assert math.isnan(columns[f"score({source})"][i]) == (not any(s.score for s in there))
        assert math.isnan(columns["number(price)"][i]) == (c.document.metadata["price"] is None)
        assert math.isnan(columns["category(kind)"][i]) == (c.document.metadata["kind"] != "a")
        assert math.isnan(columns["title_coverage"][i]) or c.document.title
        assert math.isnan(columns["age_days(day)"][i])
    assert not np.isinf(values(of)).any()


@given(RANKINGS)
@settings(deadline=None, max_examples=50)
def test_shares_lie_between_0_and_1(of: Ranking) -> None:
    columns = dict(zip(FEATURES.names, values(of).T, strict=True))
    for name in ("coverage", "idf_coverage", "title_coverage", "order", "adjacent", "run", "ngrams", "density",
                 "code_match", "place(price)"):  # fmt: skip
        there = columns[name][~np.isnan(columns[name])]
        assert ((there >= 0) & (there <= 1)).all(), name


@given(st.text("abc", max_size=8), st.lists(st.text("abcd", max_size=20), max_size=5), st.integers(1, 4))
@settings(deadline=None)
def test_shared_runs_of_characters_are_those_of_sets(query: str, texts: list[str], n: int) -> None:
    def grams(text: str) -> set[str]:
        return {text[i : i + n] for i in range(len(text) - n + 1)}

    counts, whole = shared_grams(query, texts, n)
    assert whole == len(grams(query))
    assert counts.tolist() == [len(grams(query) & grams(text)) for text in texts]


@given(TEXTS, st.lists(st.tuples(TEXTS | st.just(""), TEXTS), max_size=5))
@settings(deadline=None)
def test_matches_are_those_that_a_search_in_lists_finds(query: str, texts: list[tuple[str, str]]) -> None:
    analyzer = ANALYZERS["english", "bigrams"]
    wanted = analyzer.words(query)
    matches = TermMatches(wanted, TextReader(analyzer).read(texts))
    lists = [
        ([*analyzer.words(title), ""] if analyzer.words(title) else [], analyzer.words(text)) for title, text in texts
    ]
    assert matches.terms == tuple(dict.fromkeys(wanted))
    for i, (title, text) in enumerate(lists):
        document = title + text
        codes = {term: matches.sequence[wanted.index(term)] for term in wanted}
        assert matches.coded[i] == "".join("\n" if term == "" else codes.get(term, " ") for term in document)
        assert matches.counts[i] == sum(term in wanted for term in document)
        assert matches.present[i].tolist() == [term in document for term in matches.terms]
        assert matches.in_title[i].tolist() == [term in title for term in matches.terms]
        assert matches.first[i].tolist() == [
            document.index(term) if term in document else math.inf for term in matches.terms
        ]
    places = [[(p, matches.terms.index(t)) for p, t in enumerate(a + b) if t in wanted] for a, b in lists]
    assert [list(zip(p.tolist(), t.tolist(), strict=True)) for p, t in matches.occurrences()] == places


@given(st.text("abc", max_size=6), st.text("abc ", max_size=15))
def test_the_longest_run_is_that_of_all_runs(query: str, text: str) -> None:
    runs = [query[i:j] for i in range(len(query)) for j in range(i + 1, len(query) + 1)]
    assert longest_run(query, text) == max((len(run) for run in runs if run in text), default=0)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12))
def test_the_smallest_window_is_that_of_all_windows(terms: list[int]) -> None:
    windows = [(i, j) for i in range(len(terms)) for j in range(i, len(terms)) if set(terms[i : j + 1]) == set(terms)]
    assert smallest_window(range(len(terms)), terms) == min(j - i + 1 for i, j in windows)


@given(st.text() | TEXTS, st.sampled_from(sorted({language for language, _ in ANALYZERS})))
@settings(deadline=None)
def test_words_are_the_texts_of_terms(text: str, language: str) -> None:
    for units in ("bigrams", "bigrams+characters"):
        analyzer = ANALYZERS[language, units]
        assert analyzer.words(text) == analyzer.words(text) == [term.text for term in analyzer.terms(text)]


def test_all_features_cost_a_few_times_what_finding_the_terms_costs() -> None:
    """200 candidates of 100 words and over 50 features; a ratio, since machines differ."""
    rng = random.Random(1)
    vocabulary = ["".join(rng.choices("abcdefghijklmnop", k=rng.randint(2, 9))) for _ in range(3000)]
    texts = [" ".join(rng.choices(vocabulary, k=100)) for _ in range(200)]
    statistics = Statistics.of([Document(str(i), text) for i, text in enumerate(texts)])
    candidates = (candidate(text, signals=(signal("bm25", i, 1.0 / i),)) for i, text in enumerate(texts, 1))
    of = ranking("how many " + " ".join(rng.choices(vocabulary, k=8)), *candidates)
    analyzer = Analyzer.from_signature(statistics.signature)

    def seconds(run: object) -> float:
        began = time.process_time()
        assert callable(run)
        run()
        return time.process_time() - began

    def fresh() -> None:
        statistics.reader.remembered.clear()
        values(of, statistics)

    fresh()  # stems are known, as after the first queries
    terms = min(seconds(lambda: [sum(1 for _ in analyzer.terms(text)) for text in texts]) for _ in range(5))
    assert min(seconds(fresh) for _ in range(5)) < terms  # 0.4 where this was written
    assert min(seconds(lambda: values(of, statistics)) for _ in range(5)) < terms / 2  # 0.15: the texts are remembered
