"""Measures are those of pytrec_eval and ir-measures, whatever the scores were, and ties follow the ranking."""

import math
import time

import ir_measures
import numpy as np
import pytest
import pytrec_eval

from resift import measures as formulas
from resift.errors import InputError
from resift.evaluate import named_measures
from resift.evaluate.evaluation import row_matrix

NAMES = ["nDCG@10", "RR@10", "RR", "R@100", "Success@10", "P@10", "AP", "AP@20", "nDCG", "P(rel=2)@5"]


def random_judgements(seed: int, queries: int, documents: int = 60) -> tuple[list[dict[int, int]], list[list[int]]]:
    rng = np.random.default_rng(seed)
    grades, rankings = [], []
    for _ in range(queries):
        judged = rng.choice(documents, rng.integers(1, 20), replace=False).tolist()
        grades.append({int(i): int(rng.integers(0, 4)) for i in judged} | {int(judged[0]): 1})
        rankings.append(rng.permutation(documents)[: rng.integers(0, documents)].tolist())
    return grades, rankings


def test_measures_equal_pytrec_eval_and_ir_measures() -> None:
    grades, rankings = random_judgements(1, 80)
    values = named_measures.calculate(named_measures.parse(NAMES), grades, row_matrix(rankings))
    qrels = {str(q): {str(i): g for i, g in judged.items()} for q, judged in enumerate(grades)}
    run = {str(q): {str(i): float(-rank) for rank, i in enumerate(r)} for q, r in enumerate(rankings) if r}
    theirs = {"nDCG@10": "ndcg_cut_10", "R@100": "recall_100", "Success@10": "success_10", "P@10": "P_10", "AP": "map"}
    trec = pytrec_eval.RelevanceEvaluator(
        qrels, {"ndcg_cut.10", "recall.100", "success.10", "P.10", "map", "recip_rank"}
    )
    by_query = trec.evaluate(run)
    for name, other in (theirs | {"RR": "recip_rank"}).items():
        expected = [by_query.get(str(q), {}).get(other, 0.0) for q in range(len(grades))]
        assert values[name] == pytest.approx(expected, abs=1e-6), name
    for metric in ir_measures.iter_calc([ir_measures.parse_measure(name) for name in NAMES], qrels, run):
        assert values[str(metric.measure)][int(metric.query_id)] == pytest.approx(metric.value, abs=1e-6)


def test_measures_equal_the_formulas() -> None:
    grades, rankings = random_judgements(2, 40)
    values = named_measures.calculate(named_measures.parse(NAMES[:7]), grades, row_matrix(rankings))
    for q, (judged, ranking) in enumerate(zip(grades, rankings, strict=True)):
        of_query, ids = {str(i): g for i, g in judged.items()}, [str(i) for i in ranking]
        expected = [
            formulas.ndcg(ids, of_query), formulas.reciprocal_rank(ids, of_query, 10),
            formulas.reciprocal_rank(ids, of_query), formulas.recall(ids, of_query, 100),
            formulas.success(ids, of_query, 10), formulas.precision(ids, of_query, 10),
            formulas.average_precision(ids, of_query),
        ]  # fmt: skip
        assert [values[name][q] for name in NAMES[:7]] == pytest.approx(expected, abs=1e-6)


def test_the_order_decides_in_every_measure() -> None:
    """By hand: the only relevant document is third of four, whatever its id is; ids never break a tie."""
    measures = named_measures.parse(["RR@10", "nDCG@10", "P@10", "AP", "Success@2", "R@3"])
    for ranking in ([5, 1, 9, 3], [1, 9, 3, 5], [9, 8, 1, 0]):
        relevant = ranking[2]
        values = named_measures.calculate(measures, [{relevant: 1}], row_matrix([ranking]))
        assert {name: value[0] for name, value in values.items()} == pytest.approx(
            {"RR@10": 1 / 3, "nDCG@10": 1 / math.log2(4), "P@10": 0.1, "AP": 1 / 3, "Success@2": 0, "R@3": 1}
        )


@pytest.mark.parametrize(
    ("name", "standard"),
    [
        ("MRR@10", "RR@10"), ("Hit-Rate@5", "Success@5"), ("hit_rate@5", "Success@5"), ("ndcg@3", "nDCG@3"),
        ("Recall@20", "R@20"), ("precision@5", "P@5"), ("MAP", "AP"), ("P(rel=2)@5", "P(rel=2)@5"),
    ],
)  # fmt: skip
def test_other_names(name: str, standard: str) -> None:
    assert [str(measure) for measure in named_measures.parse([name, standard])] == [standard]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nDGC@10", "'nDGC@10' is no measure; did you mean 'nDCG@10'"),
        ("nDCG@ten", "is no measure"),
        ("nDCG@10 + 1", "is no measure"),
        ("alpha_nDCG@10", "alpha_nDCG@10 can't be computed here: "),
    ],
)
def test_what_is_no_measure_is_refused(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        named_measures.parse([name])
    with pytest.raises(InputError, match="no measure was named"):
        named_measures.parse([])


def test_bounds_by_hand() -> None:
    grades = [{1: 2, 2: 1, 7: 1, 3: 0}]
    rankings = row_matrix([[5, 3, 2, 1, 6]])
    assert named_measures.recall_bound(grades, rankings)[0] == pytest.approx(2 / 3)
    assert named_measures.recall_bound(grades, rankings[:, :3])[0] == pytest.approx(1 / 3)
    assert named_measures.unjudged(grades, rankings)[0] == pytest.approx(2 / 5)
    assert named_measures.best_order(grades, rankings, 4).tolist() == [[1, 2, 5, 3, 6]]
    assert named_measures.best_order(grades, rankings, 2).tolist() == [[5, 3, 2, 1, 6]]
    short = row_matrix([[4], [2, 1]])
    assert named_measures.best_order([{4: 1}, {1: 1}], short, 2).tolist() == [[4, -1], [1, 2]]


def test_a_hundred_thousand_judged_pairs_take_seconds() -> None:
    rng = np.random.default_rng(0)
    rankings = np.argsort(rng.random((1000, 100)), axis=1).astype(np.int32)
    grades = [dict(enumerate(rng.integers(0, 3, 100).tolist())) for _ in range(1000)]
    began = time.process_time()
    named_measures.calculate(named_measures.parse(named_measures.DEFAULT), grades, rankings)
    assert time.process_time() - began < 3  # 0.4 where this was written
