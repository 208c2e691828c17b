"""Measures of pairs: figures of scikit-learn and SciPy, intervals over queries, and a training that is led by one."""

import dataclasses
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics

from resift.errors import InputError
from resift.evaluate import Dataset
from resift.evaluate.statistics import estimates
from resift.train.neural.measures import PAIR_MEASURES, ListScores, Measures
from resift.train.neural.plan import make_plan
from resift.train.neural.ranking_lists import Judgement, RankingList, RankingLists, of_dataset
from resift.train.neural.run import train
from resift.train.neural.settings import TrainingSettings
from resift.types import Document, Query
from tests.train.neural import tiny

NAMES = ("Spearman", "Pearson", "AUC", "Accuracy", "F1")
SIZE = st.integers(2, 40)


def lists_of(labels: list[list[float]]) -> RankingLists:
    """A query with judged documents for each row, all of which the first stage brought."""
    made = tuple(
        RankingList(
            f"q{i}", tuple(f"d{j}" for j in range(len(row))),
            {j: Judgement(f"d{j}", label) for j, label in enumerate(row)},
        )
        for i, row in enumerate(labels)
    )  # fmt: skip
    return RankingLists("dev", made, "BM25")


def means(lists: RankingLists, scores: list[float], names: tuple[str, ...] = NAMES) -> dict[str, float]:
    values = np.array(scores, dtype=np.float64)
    measures = Measures.parse(names, logits=True)
    shares = measures.values(lists, ListScores(values, values))
    assert all(len(column) == len(lists.lists) for column in shares.values())
    averages = {name: float(column.mean()) for name, column in shares.items()}
    assert measures.means(lists, ListScores(values, values)) == pytest.approx(averages)
    return averages


@given(data=st.data(), size=SIZE)
def test_figures_are_those_of_scikit_learn_and_scipy(data: st.DataObject, size: int) -> None:
    grade = st.sampled_from([0.0, 1.0])
    labels = [0.0, 1.0, *data.draw(st.lists(grade, min_size=size, max_size=size))]
    score = st.sampled_from([-2.0, -0.5, 0.5, 1.0, 3.0])
    scores = [-0.5, 1.0, *data.draw(st.lists(score, min_size=size, max_size=size))]
    taken = [value > 0 for value in scores]
    assert means(lists_of([labels[:2], labels[2:]]), scores) == pytest.approx({
        "Spearman": stats.spearmanr(labels, scores).statistic,
        "Pearson": stats.pearsonr(labels, scores).statistic,
        "AUC": metrics.roc_auc_score(labels, scores),
        "Accuracy": metrics.accuracy_score(labels, taken),
        "F1": metrics.f1_score(labels, taken),
    })  # fmt: skip


def test_correlations_read_labels_between_0_and_1() -> None:
    labels = [[0.1, 0.4], [0.9, 0.7], [0.2]]
    assert means(lists_of(labels), [-3.0, 0.0, 8.0, 1.0, -2.0])["Spearman"] == pytest.approx(1.0)


def test_without_scores_the_first_stage_is_measured_by_its_order() -> None:
    lists = RankingLists("dev", (
        RankingList("q", ("a", "b", "c"), {0: Judgement("a", 0.0), 1: Judgement("b", 1.0), 3: Judgement("d", 0.0)}),
        RankingList("r", ("e",), {0: Judgement("e", 1.0)}),
    ), "BM25")  # fmt: skip
    labels, heights = [0.0, 1.0, 0.0, 1.0], [3.0, 2.0, 0.0, 1.0]
    assert Measures.parse(("Spearman", "AUC", "F1"), logits=True).means(lists) == pytest.approx({
        "Spearman": stats.spearmanr(labels, heights).statistic,
        "AUC": metrics.roc_auc_score(labels, heights),
        "F1": metrics.f1_score(labels, [1, 1, 0, 1]),
    })  # fmt: skip


def test_judged_documents_that_the_data_lack_are_missed_by_rankings_and_left_out_of_pairs() -> None:
    documents = [Document("a", "lamp oil"), Document("b", "ferry times"), Document("c", "bread")]
    qrels = {"q": {"a": 1, "b": 0, "gone": 1}, "r": {"c": 1}}
    data = Dataset.of([Query("lamp oil", "q"), Query("bread", "r")], documents, qrels)
    lists = of_dataset(data, 3)
    item = next(item for item in lists.lists if item.query == "lamp oil")
    assert [text for _, text, _ in item.labels] == ["lamp oil", "ferry times"] and len(item.grades) == 3
    measures = Measures.parse(["R@10", "AUC"], logits=False)
    pairs = measures.scored_pairs(lists)
    scores = measures.list_scores(lists, np.array([float(text != "ferry times") for _, text in pairs]))
    assert sorted(measures.values(lists, scores)["R@10"]) == [0.5, 1.0]
    assert measures.means(lists, scores)["AUC"] == 1.0


def test_each_pair_is_scored_once() -> None:
    lists, measures = lists_of([[1.0, 0.0], [0.0, 1.0]]), Measures.parse(["AUC"], logits=True)
    pairs = measures.scored_pairs(lists)
    scores = measures.list_scores(lists, np.arange(4.0))
    assert len(pairs) == len(set(pairs)) == 4 and scores.judged.tolist() == scores.candidates.tolist()


def test_queries_without_a_positive_count_where_pairs_are_measured(tmp_path: Path) -> None:
    """Single pairs, as of duplicate questions: half of them are no duplicates."""
    rng = random.Random(0)
    queries = tuple(tiny.query(i, (tiny.candidate(rng, float(i % 2)),), f"{i} {rng.random()}") for i in range(200))
    examples = dataclasses.replace(tiny.examples(), queries=queries)
    settings = TrainingSettings(str(tmp_path), losses=("bce",), measures=("AUC", "nDCG@10"))
    plan = make_plan([examples], settings)
    labels = [label for item in plan.test.lists for _, _, label in item.labels]
    assert len(labels) == len(plan.test.lists) and {0.0, 1.0} == set(labels)
    values = plan.measures.values(plan.test)
    assert len(values["AUC"]) == len(labels) and len(values["nDCG@10"]) == sum(labels)
    ranked = make_plan([examples], dataclasses.replace(settings, measures=("nDCG@10",)))
    assert {label for item in ranked.test.lists for _, _, label in item.labels} == {1.0}


def test_intervals_cover_the_truth() -> None:
    """Of 200 samples of 60 queries with 4 pairs each, 95 % intervals of Spearman cover that of the population."""
    rng = np.random.default_rng(0)

    def sample(queries: int) -> tuple[RankingLists, np.ndarray]:
        labels = rng.integers(0, 3, (queries, 4)).astype(float)
        return lists_of(labels.tolist()), (labels + rng.normal(0, 1.5, labels.shape)).ravel()

    measures = Measures.parse(["Spearman"], logits=True)
    labels, scores = sample(20_000)
    truth = PAIR_MEASURES["spearman"].calculate(
        np.array([label for item in labels.lists for _, _, label in item.labels]), scores
    )
    covered = 0
    for _ in range(200):
        labels, scores = sample(60)
        (estimate,) = estimates(measures.values(labels, ListScores(scores, scores))["Spearman"][:, None], samples=1000)
        covered += estimate.low <= truth <= estimate.high
    assert 180 <= covered <= 199  # 190 are expected; three standard deviations are 9


def test_the_first_of_mixed_measures_decides_and_each_comes_once() -> None:
    measures = Measures.parse(["spearman", "MRR@10", "RR@10", "SPEARMAN", "hit-rate@1"], logits=True)
    assert measures.names == ("Spearman", "RR@10", "Success@1") and measures.first == "Spearman"


def test_what_says_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="take AUC"):
        Measures.parse(["F1"], logits=False)
    with pytest.raises(InputError, match="'speerman' is no measure.* measures of pairs are Pearson, Spearman"):
        Measures.parse(["speerman"], logits=True)
    with pytest.raises(InputError, match="all pairs of dev are alike"):
        Measures.parse(["AUC"], logits=True).check(lists_of([[1.0], [2.0]]), "bce")
    Measures.parse(["Spearman"], logits=True).check(lists_of([[1.0], [2.0]]), "bce")
    with pytest.raises(InputError, match="which lambda does not teach"):
        Measures.parse(["F1"], logits=True).check(lists_of([[1.0], [0.0]]), "lambda")


def test_a_training_is_led_by_a_correlation(tmp_path: Path) -> None:
    base = tiny.tiny_bert(tmp_path / "base")
    settings = TrainingSettings(
        str(base), losses=("bce",), measures=("Spearman", "accuracy", "nDCG@10"), candidates="given", epochs=8.0,
        learning_rate=1e-3, precision="f32", evaluations=3,
    )  # fmt: skip
    report = train(make_plan([tiny.examples(80)], settings), tmp_path / "out")
    assert [row.measure for row in report.comparisons] == ["Spearman", "Accuracy", "nDCG@10"]
    row = report.comparisons[0]
    assert row.trained > max(0.3, row.base, row.first_stage)
    assert max(value for _, value in report.dev[1:]) == dict(report.dev)[report.best_step] and report.out
