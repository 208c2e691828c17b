"""The measures beside values computed by hand, and beside ir-measures and SciPy."""

import importlib.util
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from resift.measures import (
    average_precision,
    kendall_tau,
    ndcg,
    overlap,
    precision,
    recall,
    reciprocal_rank,
    success,
)

RANKING = ["a", "b", "c", "d", "e"]
GRADES = {"b": 3, "d": 1, "z": 2, "a": 0, "y": -1}  # z and y were not retrieved; c and e are not judged


def test_ndcg_by_hand() -> None:
    ideal = 3 / math.log2(2) + 2 / math.log2(3) + 1 / math.log2(4)
    assert ndcg(RANKING, GRADES) == pytest.approx((3 / math.log2(3) + 1 / math.log2(5)) / ideal)
    assert ndcg(RANKING, GRADES, 2) == pytest.approx((3 / math.log2(3)) / (3 + 2 / math.log2(3)))
    assert ndcg(["b", "z", "d"], GRADES) == 1
    assert ndcg(["y", "b", "z", "d"], GRADES) == ndcg(["c", "b", "z", "d"], GRADES)


def test_the_other_measures_by_hand() -> None:
    assert reciprocal_rank(RANKING, GRADES) == 1 / 2
    assert reciprocal_rank(RANKING, GRADES, 1) == 0
    assert recall(RANKING, GRADES) == pytest.approx(2 / 3) and recall(RANKING, GRADES, 2) == pytest.approx(1 / 3)
    assert precision(RANKING, GRADES, 2) == 1 / 2 and precision(RANKING, GRADES, 10) == 2 / 10
    assert success(RANKING, GRADES, 1) == 0 and success(RANKING, GRADES, 2) == 1
    assert average_precision(RANKING, GRADES) == pytest.approx((1 / 2 + 2 / 4) / 3)
    assert average_precision(RANKING, GRADES, 3) == pytest.approx((1 / 2) / 3)


def test_nothing_retrieved_and_nothing_relevant() -> None:
    for measure in (ndcg, reciprocal_rank, recall, precision, success, average_precision):
        assert measure([], {"a": 1}, 5) == 0
        assert measure(["a"], {"a": 0}, 5) == 0
        assert measure(["a"], {}, 5) == 0


def test_ties_go_by_the_order_of_the_ranking() -> None:
    assert reciprocal_rank(["a", "b"], {"b": 1}) == 1 / 2
    assert reciprocal_rank(["b", "a"], {"b": 1}) == 1


def test_what_can_not_be_measured_is_refused() -> None:
    for measure in (ndcg, reciprocal_rank, recall, precision, success, average_precision):
        with pytest.raises(ValueError, match="1 document or more; not at 0"):
            measure(["a"], {"a": 1}, 0)
        with pytest.raises(ValueError, match="each document once"):
            measure(["a", "b", "a"], {"a": 1}, 5)
    with pytest.raises(ValueError, match="3 scores can't be compared with 1"):
        kendall_tau([1, 2, 3], [1])


@pytest.mark.skipif(not importlib.util.find_spec("ir_measures"), reason="takes ir-measures")
@settings(max_examples=60, deadline=None)
@given(
    st.permutations("abcdefgh"), st.integers(0, 8), st.dictionaries(st.sampled_from("abcdefghxyz"), st.integers(0, 3))
)
def test_measures_are_those_of_ir_measures(order: list[str], retrieved: int, grades: dict[str, int]) -> None:
    import ir_measures
    from ir_measures import AP, RR, P, R, Success, nDCG

    ranking = order[: max(1, retrieved)]
    run = {"q": {document: float(len(ranking) - i) for i, document in enumerate(ranking)}}
    measured = ir_measures.pytrec_eval.calc_aggregate(
        [nDCG @ 10, nDCG @ 3, nDCG, RR, R @ 3, P @ 3, P @ 10, Success @ 3, AP, AP @ 3],
        {"q": grades or {"none": 0}},
        run,
    )
    ours = {
        nDCG @ 10: ndcg(ranking, grades),
        nDCG @ 3: ndcg(ranking, grades, 3),
        nDCG: ndcg(ranking, grades, None),
        RR: reciprocal_rank(ranking, grades),
        R @ 3: recall(ranking, grades, 3),
        P @ 3: precision(ranking, grades, 3),
        P @ 10: precision(ranking, grades, 10),
        Success @ 3: success(ranking, grades, 3),
        AP: average_precision(ranking, grades),
        AP @ 3: average_precision(ranking, grades, 3),
    }
    assert ours == pytest.approx(measured)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=12))
def test_tau_is_scipys(pairs: list[tuple[int, int]]) -> None:
    a, b = (np.array(x, float) for x in zip(*pairs, strict=True))
    if np.ptp(a) and np.ptp(b):
        assert kendall_tau(a, b) == pytest.approx(scipy.stats.kendalltau(a, b).statistic)
    else:
        assert kendall_tau(a, b) == 0


def test_tau_by_hand() -> None:
    assert kendall_tau([1, 2, 3], [1, 2, 3]) == 1 and kendall_tau([1, 2, 3], [3, 2, 1]) == -1
    assert kendall_tau([1, 2, 3, 4], [1, 3, 2, 4]) == pytest.approx(4 / 6)  # 5 pairs agree, 1 does not


def test_overlap_by_hand() -> None:
    assert overlap("abcd", "badc", 2) == 1
    assert overlap("abcd", "xaby", 2) == 1 / 2
    assert overlap("ab", "bxa", 10) == 1
    assert overlap("abcd", "dcba", 1) == 0
    assert overlap("", "ab", 3) == 0
