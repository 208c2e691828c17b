"""Hard negatives: which documents they are, what is left out, and what the report says."""

import dataclasses
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resift.errors import BrokenModel, InputError
from resift.retrieve.bm25 import BM25Retriever
from resift.train.data import examples_of, read_examples
from resift.train.examples import ExampleSet
from resift.train.mine import (
    Format,
    MineOptions,
    MiningResult,
    Sampling,
    kept_listings,
    lines,
    mine,
    rankers,
    retrievers,
)
from resift.train.mine.candidates import MinedCandidate, is_suspect, remaining
from resift.train.mine.report import area, histogram_lines, histogram_of, verdict_of
from resift.types import Document, ModelInfo, Pair, Query, ScoreKind, Scores

QUERY = "when does the ferry leave"
POSITIVE = "the ferry leaves at nine in the morning from the old harbour every single day of the week"
TEXTS = [
    "the ferry is blue and leaves nobody behind",
    "when the bread is baked Anna leaves",
    "does a ship leave when the sun sets",
    "the harbour is old",
    "bread is baked by Anna",
    "nothing to see here",
    "a tram leaves at ten",
]


class Axes:
    """An embedder by the counts of a few words."""

    name = "axes"
    words = ("ferry", "leave", "leaves", "bread", "harbour", "when", "tram", "ship")
    dims = len(words) + 1

    def embed(self, texts: Sequence[str], role: str) -> Any:
        vectors = np.array([[*(t.split().count(w) for w in self.words), 0.25] for t in texts], np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class ByTable:
    """A scorer that knows the scores of some texts; others have -5, and texts of None no score."""

    info = ModelInfo("table", ScoreKind.LOGIT)

    def __init__(self, scores: dict[str, float | None]) -> None:
        self.scores = scores

    def score(self, pairs: Sequence[Pair]) -> Scores:
        return Scores.of([self.scores.get(c.document.text, -5.0) for _, c in pairs], self.info)


def data(*more: str, label: float = 1) -> ExampleSet:
    rows = [{"query": QUERY, "document": POSITIVE, "label": label}]
    return examples_of([*rows, *({"query": QUERY, "document": text, "label": 0} for text in more)])


def corpus(*texts: str) -> list[Document]:
    return [Document(f"c{i}", text) for i, text in enumerate(texts or TEXTS)]


def negatives(result: MiningResult) -> set[str]:
    (query,) = result.examples.queries
    return {c.document.text for c in query.candidates if c.label == 0}


EASY = MineOptions(retrievers=("bm25",), relative_margin=None)


def test_the_hardest_by_bm25_become_negatives() -> None:
    result = mine(data(), corpus(), MineOptions(retrievers=("bm25",), relative_margin=None, negatives=2))
    documents = [*corpus(), Document("p", POSITIVE)]
    best = [c.document.text for c in BM25Retriever(documents).retrieve([Query(QUERY)], 8)[0]]
    assert negatives(result) == set([text for text in best if text != POSITIVE][:2])
    assert result.report.mined == 2
    assert result.report.judge == "bm25"
    (query,) = result.examples.queries
    assert {c.document.text: c.label for c in query.candidates}[POSITIVE] == 1.0


def test_what_shares_no_word_is_no_candidate_of_bm25() -> None:
    result = mine(data(), corpus(), EASY)
    assert "nothing to see here" not in negatives(result)
    assert result.report.short == 1


def test_two_retrievers_give_the_union_and_the_judge_scores_it_all() -> None:
    documents = corpus(*TEXTS, "does the, does the")  # of which the embedder knows no word

    def mined(*retrievers: str | Axes) -> MiningResult:
        options = MineOptions(
            retrievers, relative_margin=None, range_max=2, negatives=2 * len(retrievers), keep_suspects=True
        )
        return mine(data(), documents, options)

    result = mined("bm25", Axes())
    assert result.report.rankers == ("bm25", "axes")
    assert result.report.judge == "axes"
    by_words, by_vectors = negatives(mined("bm25")), negatives(mined(Axes()))
    assert by_words != by_vectors
    assert negatives(result) == by_words | by_vectors


def test_the_range_leaves_the_first_ranks_out() -> None:
    first = negatives(mine(data(), corpus(), MineOptions(("bm25",), negatives=1, relative_margin=None)))
    rest = negatives(mine(data(), corpus(), MineOptions(("bm25",), range_min=1, relative_margin=None)))
    everything = negatives(mine(data(), corpus(), EASY))
    assert rest == everything - first


def test_margins_and_limits_are_on_the_judges_scores() -> None:
    table: dict[str, float | None] = {POSITIVE: 2.0, TEXTS[0]: 1.95, TEXTS[1]: 1.5, TEXTS[2]: 0.5, TEXTS[6]: -1.0}
    scorer = ByTable(table)

    def mined(**limits: float | None) -> set[str]:
        return negatives(mine(data(), corpus(), MineOptions(("bm25",), **{"relative_margin": None, **limits}), scorer))  # type: ignore[arg-type]

    everything = mined()
    assert {TEXTS[0], TEXTS[1], TEXTS[2], TEXTS[6]} <= everything
    assert mined(relative_margin=0.05) == everything - {TEXTS[0]}
    assert mined(absolute_margin=0.6) == everything - {TEXTS[0], TEXTS[1]}
    assert mined(max_score=1.0) == everything - {TEXTS[0], TEXTS[1]}
    assert mined(min_score=0.0) == {TEXTS[0], TEXTS[1], TEXTS[2]}
    report = mine(data(), corpus(), MineOptions(("bm25",), relative_margin=0.05), scorer).report
    assert report.dropped == {"within_margin": 1}


def test_a_relative_margin_of_a_negative_score_is_below_it() -> None:
    at = [MinedCandidate(i, score=score) for i, score in enumerate((-1.9, -2.05, -2.2))]
    eligible, reasons = remaining(at, -2.0, [], MineOptions(relative_margin=0.05))
    assert [c.place for c in eligible] == [2]
    assert reasons == {"within_margin": 2}


def test_the_judges_scores_become_teacher_scores() -> None:
    scorer = ByTable({POSITIVE: 2.0, TEXTS[0]: 1.0, TEXTS[5]: None})
    result = mine(data(), corpus(), MineOptions(("bm25", Axes()), random=2), scorer)
    (query,) = result.examples.queries
    teachers = {c.document.text: c.teacher for c in query.candidates}
    assert teachers[POSITIVE] == 2.0
    assert teachers[TEXTS[0]] == 1.0
    assert teachers[TEXTS[3]] == -5.0
    assert result.report.dropped == {"without_a_score": 1}


def test_near_duplicates_of_a_positive_are_no_negatives() -> None:
    shouted = POSITIVE.upper() + "!"
    longer = POSITIVE + " and it comes back at six"
    result = mine(data(), corpus(*TEXTS, shouted, longer), MineOptions(("bm25",), relative_margin=None))
    assert not {shouted, longer} & negatives(result)
    assert result.report.dropped == {"near_duplicates_of_a_positive": 2}


def test_one_text_is_a_negative_once() -> None:
    result = mine(data(), corpus(*TEXTS, TEXTS[0]), EASY)
    assert result.report.dropped == {"repeated_texts": 1}


def test_what_all_rankers_put_above_the_positive_is_suspect() -> None:
    twin = "when does the ferry leave when does the ferry leave"
    options = MineOptions(("bm25", Axes()), relative_margin=None)
    result = mine(data(), corpus(*TEXTS, twin), options)
    assert twin not in negatives(result)
    assert result.report.suspect_count == 3  # the positive has many other words
    assert result.report.dropped == {"likely_false_negatives": 3}
    suspect = result.report.suspects[0]
    assert (suspect.query, suspect.positive, suspect.document, suspect.document_id) == (QUERY, POSITIVE, twin, "c7")
    assert suspect.ranks == {"bm25": 1, "axes": 1}
    kept = mine(data(), corpus(*TEXTS, twin), MineOptions(("bm25", Axes()), relative_margin=None, keep_suspects=True))
    assert twin in negatives(kept)
    assert any(twin in line for line in result.report.lines())


def test_one_ranker_alone_agrees_with_nobody() -> None:
    candidate = MinedCandidate(1, {"a": 1, "b": 1}, {"a": 2.0, "b": 2.0})
    assert is_suspect(candidate, {"a": 1.0, "b": 1.0})
    assert not is_suspect(candidate, {"a": 1.0})
    assert not is_suspect(candidate, {"a": 1.0, "b": 2.0})
    assert not is_suspect(MinedCandidate(1, {"a": 1}, {"a": 2.0, "b": 2.0}), {"a": 1.0, "b": 1.0})
    assert not is_suspect(MinedCandidate(1, {"a": 1, "b": 11}, {"a": 2.0, "b": 2.0}), {"a": 1.0, "b": 1.0})
    assert not is_suspect(MinedCandidate(1, {"a": 1, "b": 1}, {"a": 2.0, "b": 2.0}, judged=True), {"a": 1.0, "b": 1.0})


def test_judged_negatives_need_no_margin() -> None:
    scorer = ByTable({POSITIVE: 1.0, TEXTS[0]: 3.0, TEXTS[2]: 3.0})
    result = mine(data(TEXTS[0]), corpus(), MineOptions(("bm25",)), scorer)
    assert TEXTS[0] in negatives(result)
    assert TEXTS[2] not in negatives(result)


def test_random_negatives_are_listed_by_no_retriever() -> None:
    result = mine(data(), corpus(), MineOptions(("bm25",), negatives=0, random=2))
    listed = negatives(mine(data(), corpus(), EASY))
    assert negatives(result) and not negatives(result) & listed
    assert result.report.random == len(negatives(result))
    assert result.report.verdict == "unknown"


def test_drawing_follows_the_seed_alone() -> None:
    options = [
        MineOptions(("bm25",), negatives=2, relative_margin=None, sampling=Sampling.RANDOM, seed=s) for s in range(8)
    ]
    draws = [negatives(mine(data(), corpus(), o)) for o in options]
    assert draws[0] == negatives(mine(data(), corpus(), options[0]))
    assert len({frozenset(draw) for draw in draws}) > 1
    everything = negatives(mine(data(), corpus(), EASY))
    assert all(draw <= everything for draw in draws)


@settings(deadline=None, max_examples=15)
@given(st.permutations(TEXTS), st.integers(0, 3))
def test_the_order_of_the_corpus_changes_nothing(texts: list[str], seed: int) -> None:
    options = MineOptions(("bm25", Axes()), negatives=3, random=1, relative_margin=None, seed=seed)
    reference, other = mine(data(), corpus(), options), mine(data(), corpus(*texts), options)
    assert negatives(reference) == negatives(other)
    assert reference.report.auc == other.report.auc


def test_shards_and_blocks_give_the_same_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """Vectors are exact in any block; BM25 in shards ranks by the frequencies of its shard, but loses no document."""
    rng = random.Random(0)
    words = [*Axes.words, "old", "day", "nine", "blue"]
    documents = [Document(str(i), " ".join(rng.choices(words, k=6))) for i in range(60)]
    queries = ["ferry leaves", "bread harbour", "tram when ship"]
    asked = [np.array([3, 40], np.int64)] * 3
    silent = lambda *_: None  # noqa: E731
    whole = rankers.rank_by_vectors(Axes(), queries, documents, 60, asked, silent)
    lexical = rankers.rank_by_bm25(queries, documents, 60, asked, silent)
    monkeypatch.setattr(rankers, "_BLOCK", 7)
    monkeypatch.setattr(rankers, "_QUERIES", 2)
    monkeypatch.setattr(rankers, "_SHARD", 11)
    parts = rankers.rank_by_vectors(Axes(), queries, documents, 60, asked, silent)
    np.testing.assert_array_equal(whole.places, parts.places)
    np.testing.assert_allclose(whole.asked, parts.asked, rtol=1e-6)
    cosine = dict(zip(whole.places[0].tolist(), whole.values[0].tolist(), strict=True))
    np.testing.assert_allclose(whole.asked[0], [cosine[3], cosine[40]], rtol=1e-6)
    in_shards = rankers.rank_by_bm25(queries, documents, 60, asked, silent)
    for i in range(3):
        assert set(in_shards.places[i].tolist()) == set(lexical.places[i].tolist())
    expected = BM25Retriever(documents).retrieve([Query(q) for q in queries], 60)
    for i, ranking in enumerate(expected):
        assert lexical.places[i][: len(ranking)].tolist() == [int(c.document.id) for c in ranking]
        assert set(lexical.places[i][len(ranking) :].tolist()) <= {-1}


def test_it_is_mined_again_with_another_model() -> None:
    """Between epochs the model in training is the judge, over what was mined before."""
    first = mine(data(), corpus(), MineOptions(("bm25",), negatives=2, relative_margin=None))
    again = mine(first.examples, corpus(), MineOptions(("bm25",), negatives=2), ByTable({POSITIVE: 1.0, TEXTS[1]: 0.5}))
    assert TEXTS[1] in negatives(again)
    (hardest, *_) = negatives(first)
    doubtful = mine(first.examples, corpus(), MineOptions(("bm25",)), ByTable({POSITIVE: 1.0, hardest: 2.0}))
    assert hardest not in negatives(doubtful)  # it was mined, and judged by nobody


def test_queries_without_a_positive_or_a_negative_are_counted() -> None:
    rows = [
        {"query": QUERY, "document": POSITIVE, "label": 1},
        {"query": "bread", "document": TEXTS[4], "label": 0},
        {"query": "zzz", "document": "zzz", "label": 1},
    ]
    result = mine(examples_of(rows), corpus(), EASY)
    assert len(result.examples.queries) == 1
    assert result.report.left_out == {"without_a_positive": 1, "without_a_negative": 1}
    limited = mine(examples_of(rows[:1]), corpus(), MineOptions(("bm25",), relative_margin=None, limit=5))
    assert limited.report.left_out == {}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (MineOptions(retrievers=()), "at least one retriever"),
        (MineOptions(negatives=0), "no negatives to mine"),
        (MineOptions(range_min=5, range_max=5), "the ranks from 6 to 5 are none"),
        (MineOptions(negatives=7, range_max=3), "7 negatives can't come from 3 ranks of 2 retrievers"),
        (MineOptions(min_score=1, max_score=0), "exchange min and max"),
        (MineOptions(relative_margin=-0.1), "the relative margin is 0 or more"),
        (MineOptions(retrievers=("bm25", "bm25")), "bm25 is named twice"),
        (MineOptions(retrievers=(Axes(), Axes())), "an embedder comes twice"),
        (MineOptions(("bm25",), max_score=-1.0), r"no query of data got a negative \(above_max_score"),
    ],
)
def test_options_that_fit_nothing_are_refused(options: MineOptions, message: str) -> None:
    with pytest.raises(InputError, match=message):
        mine(data(), corpus(), options)


def test_data_without_positives_or_other_documents_are_refused() -> None:
    with pytest.raises(InputError, match="no query of data has a positive"):
        mine(data(label=0), corpus(), EASY)
    with pytest.raises(InputError, match="name others with --documents"):
        mine(data(), None, EASY)


@pytest.mark.parametrize("form", list(Format))
@pytest.mark.parametrize("scores", [False, True])
def test_each_format_is_read_again(tmp_path: Path, form: Format, scores: bool) -> None:
    scorer = ByTable({POSITIVE: 2.0, TEXTS[0]: 0.25}) if scores else None
    mined = mine(data(), corpus(), MineOptions(("bm25",), negatives=3, relative_margin=None), scorer)
    path = tmp_path / "mined.jsonl"
    path.write_bytes(b"".join(lines(mined.examples.queries, form, scores)))
    again = read_examples(path)

    def contents(examples: ExampleSet) -> Any:
        return [[(c.document.text, c.label, c.teacher) for c in q.candidates] for q in examples.queries]

    assert contents(again) == contents(mined.examples)
    assert not again.issues


def test_area_verdict_and_histogram() -> None:
    assert area([2, 3], [1, 2]) == (0.5 + 1 + 1 + 1) / 4
    assert area([], [1]) is None
    assert [verdict_of(a) for a in (None, 0.5, 0.6, 0.8, 0.98)] == [
        "unknown",
        "too hard",
        "too hard",
        "fine",
        "too easy",
    ]
    histogram = histogram_of([1.0, 1.0], [0.0, 0.5])
    assert histogram is not None
    assert (sum(histogram.positives), sum(histogram.negatives)) == (2, 2)
    text = histogram_lines(histogram)
    assert len(text) == 13
    assert text[1].split() == ["0.9167", "█" * 30, "2", "0"]
    assert histogram_of([], []) is None


def test_the_report_is_json() -> None:
    report = mine(data(), corpus(), EASY).report
    value = json.loads(json.dumps(report.as_json({"seed": 0})))
    assert value["kind"] == "mining"
    assert value["mined"] == report.mined
    assert value["rule"].startswith("too easy where")


class Counting(Axes):
    """`Axes` that counts documents, and is interrupted at a text."""

    def __init__(self, stop: str = "") -> None:
        self.stop, self.documents = stop, list[str]()

    def embed(self, texts: Sequence[str], role: str) -> Any:
        if self.stop and self.stop in texts:
            raise KeyboardInterrupt
        self.documents += texts if role == "document" else []
        return super().embed(texts, role)


def test_interrupted_mining_goes_on_from_what_was_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rankers, "_BLOCK", 2)
    monkeypatch.setattr(kept_listings, "_PAUSE", 0.0)
    options = MineOptions(retrievers=("bm25", Counting()), relative_margin=None, negatives=3)
    whole = mine(data(), corpus(), options)
    store = retrievers.corpus_of(data(), corpus())
    last = store[len(store) - 1].text
    with pytest.raises(KeyboardInterrupt):
        mine(data(), corpus(), dataclasses.replace(options, retrievers=("bm25", Counting(last))), keep=tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(rankers, "build_matrix", None)  # BM25 is not asked again
        again = Counting()
        result = mine(data(), corpus(), dataclasses.replace(options, retrievers=("bm25", again)), keep=tmp_path)
    assert len(again.documents) <= 2 and last in again.documents
    assert result.examples == whole.examples
    assert dataclasses.replace(result.report, seconds=0.0) == dataclasses.replace(whole.report, seconds=0.0)
    other = Counting()
    wider = dataclasses.replace(options, retrievers=("bm25", other), range_max=3)
    assert mine(data(), corpus(), wider, keep=tmp_path).report.queries == 1
    assert len(other.documents) == len(store)  # another width is another list


def test_what_the_judge_said_is_not_asked_again(tmp_path: Path) -> None:
    class Judge(ByTable):
        asked = 0

        def score(self, pairs: Sequence[Pair]) -> Scores:
            self.asked += len(pairs)
            return super().score(pairs)

    judge = Judge({POSITIVE: 3.0})
    first = mine(data(), corpus(), EASY, judge, keep=tmp_path)
    asked = judge.asked
    again = mine(data(), corpus(), EASY, judge, keep=tmp_path)
    assert asked > 0 and judge.asked == asked and again.examples == first.examples


def test_a_broken_list_is_named(tmp_path: Path) -> None:
    mine(data(), corpus(), EASY, keep=tmp_path)
    (path,) = tmp_path.glob("*.npz")
    path.write_bytes(b"torn")
    with pytest.raises(BrokenModel, match="delete it, and mine again"):
        mine(data(), corpus(), EASY, keep=tmp_path)
