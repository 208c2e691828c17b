"""A useless reranker is not called worth it, an oracle is, and one that does harm is said to hurt."""

import numpy as np
import pytest

from resift.evaluate.statistics import Estimate
from resift.types import Query
from resift.worth.report import sentence
from resift.worth.reranked import ALONE, Option
from resift.worth.selection import stretch
from resift.worth.splits import splits
from resift.worth.tuning import Choice, Column, OutOfSample, Reranked, Tables, choose, choose_first, out_of_sample
from resift.worth.verdict import Verdict, Word, judge, more_queries, word_of

RUNS, SAMPLES = 200, 600
QUERIES = (60, 80, 150, 300)
OPTIONS = tuple(Option("model", depth, weight) for depth in (10, 30, 100) for weight in (0.5, 1.0, 2.0, ALONE))
FIRST_STAGES = 3


def verdict_of(gain: float, seed: int, queries: int, shared: float = 0.0) -> Verdict:
    """The verdict on a model whose options truly add `gain` to the first stage.

    A query is hard or easy; half of the queries are left as they are, as in real data, and the others change by luck,
    of which a part is that of the model and is `shared` by all options (a correlation), and the rest is each one's own.
    """
    rng = np.random.default_rng(seed)
    base = rng.beta(1.5, 1.5, queries)
    first = np.clip(base + rng.normal(0, 0.05, (FIRST_STAGES, queries)), 0, 1)
    luck = np.sqrt(1 - shared) * rng.normal(0, 0.15, (len(OPTIONS), queries))
    luck = (luck + np.sqrt(shared) * rng.normal(0, 0.15, queries)) * rng.integers(0, 2, queries)
    ms = np.outer([option.depth for option in OPTIONS], np.full(queries, 4.0))
    reranked = {f: Reranked(first[f] + gain + luck, ms) for f in range(FIRST_STAGES)}
    tables = Tables(first, OPTIONS, reranked)
    parts = splits([Query(f"query {i}") for i in range(queries)], seed)
    choices = [choose(tables, choose_first(first, part.tune), part.tune, 0.01) for part in parts]
    result = out_of_sample(tables, {f: first[f] for f in range(FIRST_STAGES)}, parts, choices)
    return judge(result, queries, factor=stretch(tables, parts, result, seed, 300), seed=seed, samples=SAMPLES)


def share(word: Word, gain: float, queries: int, shared: float = 0.0, runs: int = RUNS) -> float:
    return float(np.mean([verdict_of(gain, seed, queries, shared).word is word for seed in range(runs)]))


@pytest.mark.parametrize("queries", QUERIES)
def test_a_useless_reranker_is_not_worth_it(queries: int) -> None:
    """Twelve options of pure luck: the best of them looks good on the queries that chose it, and nowhere else."""
    assert share(Word.NOT_WORTH_IT, 0.0, queries) >= 0.95


def test_nor_is_one_whose_options_share_their_luck() -> None:
    assert share(Word.NOT_WORTH_IT, 0.0, 80, 0.8) >= 0.95


@pytest.mark.parametrize("queries", QUERIES)
def test_an_oracle_is_worth_it(queries: int) -> None:
    assert share(Word.WORTH_IT, 0.1, queries, runs=60) >= 0.95


@pytest.mark.parametrize("queries", QUERIES)
def test_one_that_does_harm_hurts(queries: int) -> None:
    assert share(Word.HURTS, -0.1, queries, runs=60) >= 0.95


def test_what_was_chosen_is_not_reported_on_the_queries_that_chose_it() -> None:
    """The same luck, reported where it was chosen, would be called worth it often: so it is the split that protects."""
    wrong = 0
    for seed in range(50):
        rng = np.random.default_rng(seed)
        luck = rng.normal(0, 0.15, (200, 60))
        gain = luck[np.argmax(luck.mean(axis=1))]
        low = gain.mean() - 1.96 * gain.std() / np.sqrt(60)
        wrong += low > 0
    assert wrong > 40


@pytest.mark.parametrize(
    ("value", "low", "high", "word"),
    [
        (0.03, 0.01, 0.05, Word.WORTH_IT),
        (0.01, 0.001, 0.019, Word.WORTH_IT),
        (0.009, 0.001, 0.017, Word.NOT_WORTH_IT),
        (0.004, -0.002, 0.009, Word.NOT_WORTH_IT),
        (0.0, 0.0, 0.0, Word.NOT_WORTH_IT),
        (-0.03, -0.05, -0.011, Word.HURTS),
        (-0.03, -0.05, -0.009, Word.NOT_WORTH_IT),
        (0.004, -0.007, 0.015, Word.NOT_WORTH_IT),
        (0.06, -0.009, 0.129, Word.NOT_WORTH_IT),
        (0.06, -0.011, 0.131, Word.UNKNOWN),
        (-0.03, -0.105, 0.045, Word.UNKNOWN),
    ],
)
def test_the_rule(value: float, low: float, high: float, word: Word) -> None:
    assert word_of(Estimate(value, low, high), 0.01) is word


@pytest.mark.parametrize("value", [-0.12, -0.02, -0.001, 0.0, 0.004, 0.0099, 0.01, 0.02, 0.2])
def test_the_half_width_that_is_asked_for_decides(value: float) -> None:
    """Whatever the mean: at the half width that the sentence names, just below it, there is a verdict."""
    verdict = judge(reported(np.tile([value - 1.2, value + 1.2], 50)), 100)
    assert verdict.word is Word.UNKNOWN and verdict.more > 0 and verdict.half_width >= 0.0699
    half = verdict.half_width * 0.999
    assert word_of(Estimate(value, value - half, value + half), 0.01) is not Word.UNKNOWN


def reported(gain: np.ndarray) -> OutOfSample:
    """A single option's gains over a first stage of 0."""
    zeros = np.zeros(len(gain))
    column = Column(gain, zeros)
    return OutOfSample(np.arange(len(gain)), zeros, zeros, column, column, {}, zeros)


def test_how_many_more_by_hand() -> None:
    """Half of the width takes four times as many; from 200 on only half of the queries are reported."""
    assert more_queries(Estimate(0.02, -0.02, 0.06), 40, 40, 0.02) == 120
    assert more_queries(Estimate(0.02, -0.04, 0.08), 100, 100, 0.02) == 1700
    assert more_queries(Estimate(0.0, -0.02, 0.02), 150, 300, 0.01) == 900
    assert more_queries(Estimate(0.02, -0.0201, 0.0601), 60, 60, 0.02) == 430  # 243 to report, so twice
    assert more_queries(Estimate(0.02, -0.0001, 0.0401), 60, 60, 0.02) == 6


def test_what_is_not_shown_is_not_worth_it_so_far() -> None:
    """Half-widths of 0.0343 show a gain of 0.049: (1.96 + 0.842) / 1.96 times as much, by the normal distribution."""
    gain = np.tile([0.195, -0.155], 50)
    verdict = judge(reported(gain), 100)
    half = (verdict.gain.high - verdict.gain.low) / 2
    assert verdict.word is Word.NOT_WORTH_IT and half == pytest.approx(0.0343, abs=0.002)
    assert verdict.visible == pytest.approx(0.049, abs=0.003) and verdict.more == 460  # 277 to report, so twice
    text = sentence(verdict, "nDCG@10", 0.01, OPTIONS[0], OPTIONS[0], "the ceiling is 0.9")
    assert text.startswith("not worth it so far: +0.020 [−0.01")
    assert "; no gain is shown, and 100 queries show one of 0.05 four times of five (about 460 more could show" in text
    assert text.endswith("could show +0.020); the ceiling is 0.9")
    assert judge(reported(gain - 0.02), 100).more == 0  # a mean of 0 is nothing that could be shown
    sure = judge(reported(np.tile([0.001, -0.001], 50)), 100)
    assert "so far" not in sentence(sure, "nDCG@10", 0.01, OPTIONS[0], OPTIONS[0], "")


def test_below_fifty_queries_nothing_is_decided() -> None:
    result = verdict_of(0.2, 1, 30)
    assert result.word is Word.UNKNOWN and result.gain.low > 0 and result.more == 20
    text = sentence(result, "nDCG@10", 0.01, OPTIONS[0], OPTIONS[0], "")
    assert text.startswith("can't be known from 30 queries: +0.") and "about 20 more would do" in text
    assert text.endswith("no verdict is given below 50)")


def test_the_cheapest_that_is_good_enough_is_recommended() -> None:
    """Depth 30 is 0.004 below depth 100, which is less than half of 0.01; depth 10 is 0.02 below."""
    base = np.full((1, 60), 0.5)
    gains = {10: 0.03, 30: 0.046, 100: 0.05}
    values = np.stack([np.full(60, 0.5 + gains[o.depth] - (0.01 if o.weight != 1 else 0)) for o in OPTIONS])
    ms = np.outer([option.depth for option in OPTIONS], np.ones(60))
    choice = choose(Tables(base, OPTIONS, {0: Reranked(values, ms)}), 0, np.ones(60, bool), 0.01)
    assert OPTIONS[choice.enough] == Option("model", 30, 1.0) and OPTIONS[choice.best] == Option("model", 100, 1.0)
    verdict = Verdict(
        Word.WORTH_IT, Estimate(0.046, 0.03, 0.06), 120.4, Estimate(0.004, -0.001, 0.009), 280, 60, 60, 0.02
    )
    assert sentence(verdict, "nDCG@10", 0.01, OPTIONS[choice.enough], OPTIONS[choice.best], "") == (
        "worth it: +0.046 [+0.030, +0.060] nDCG@10 for +120 ms per query with model@30 >> blend(weight=1); depth 30 is "
        "enough (depth 100 adds +0.004 [−0.001, +0.009] for +280 ms)"
    )


def test_a_first_stage_has_to_be_better_by_more_than_luck() -> None:
    """A setting that is better on average by luck alone is not taken; one that is better on every query is."""
    base = np.full(60, 0.4)
    better, lucky = base + 0.01, base + np.tile([0.3, -0.28], 30)
    assert choose_first(np.stack([base, lucky]), np.ones(60, bool)) == 0
    assert choose_first(np.stack([base, lucky, better]), np.ones(60, bool)) == 2


@pytest.mark.parametrize(("cheap", "words"), [(0.0, "model@100"), (0.046, "model@30")])
def test_a_cheaper_option_has_to_pass_the_same_test(cheap: float, words: str) -> None:
    """Depth 30 looks as good as depth 100 where the queries tuned; on the others it gains `cheap` beside 0.05."""
    queries = 100
    rng = np.random.default_rng(1)
    options = (Option("model", 30, ALONE), Option("model", 100, ALONE))
    noise = rng.normal(0, 0.02, queries)
    first = np.full((1, queries), 0.5)
    values = np.stack([first[0] + cheap + noise, first[0] + 0.05 + noise])
    tables = Tables(first, options, {0: Reranked(values, np.outer([30.0, 100.0], np.ones(queries)))})
    parts = splits([Query(f"query {i}") for i in range(queries)])
    choices = [Choice(0, 1, 0, {("model", 30): 0, ("model", 100): 1})] * len(parts)
    verdict = judge(out_of_sample(tables, {0: first[0]}, parts, choices), queries)
    assert verdict.word is Word.WORTH_IT
    text = sentence(verdict, "nDCG@10", 0.01, options[verdict.dearer is None], options[1], "")
    assert f"with {words}" in text and ("depth 30 is enough" in text) == (cheap > 0)
    assert verdict.ms == (100 if cheap == 0 else 30)


def test_the_product_wins_a_tie_of_first_stages() -> None:
    assert choose_first(np.full((4, 9), 0.3), np.ones(9, bool)) == 0
