import math
from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resift.errors import KindError, NonFiniteScore
from resift.types import Candidate, Document, Judgement, Query, Ranking, Score, ScoreKind, Scores, Signal


def scored(id_: str, value: float | None, stage: int = 0, first: int | None = None) -> Candidate:
    score = None if value is None else Score(value, ScoreKind.BM25, "test", stage)
    return Candidate(Document(id_, id_), score, (Signal("first", first),) if first else ())


values = st.one_of(st.none(), st.floats(-5, 5, allow_nan=False), st.sampled_from([0.0, 1.0]))


@given(st.lists(st.tuples(values, st.integers(0, 2))))
def test_sorting_is_a_stable_permutation(rows: list[tuple[float | None, int]]) -> None:
    given_ = [scored(str(i), v, stage) for i, (v, stage) in enumerate(rows)]
    ranking = Ranking.from_scores(Query("q"), given_)
    assert sorted(c.document.id for c in ranking) == sorted(c.document.id for c in given_)
    assert [c.rank for c in ranking] == list(range(1, len(rows) + 1))
    keys = [(-c.score.stage, -c.score.value) if c.score else (math.inf, 0.0) for c in ranking]
    assert keys == sorted(keys)
    for a, b, key_a, key_b in zip(ranking, ranking.candidates[1:], keys, keys[1:], strict=False):
        if key_a == key_b:
            assert int(a.document.id) < int(b.document.id)


def test_ties_go_to_the_first_rank() -> None:
    ranking = Ranking.from_scores(Query("q"), [scored("late", 1.0, first=2), scored("early", 1.0, first=1)])
    assert [c.document.id for c in ranking] == ["early", "late"]
    assert [c.first_rank for c in ranking] == [1, 2]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_scores_are_finite(value: float) -> None:
    with pytest.raises(NonFiniteScore):
        Score(value, ScoreKind.LOGIT, "m")
    with pytest.raises(NonFiniteScore):
        Scores((Judgement(value),), ScoreKind.LOGIT, "m")


def test_kinds_and_stages_are_never_compared() -> None:
    logit = Score(1.0, ScoreKind.LOGIT, "m")
    with pytest.raises(KindError):
        _ = logit < Score(0.5, ScoreKind.PROBABILITY, "m")
    with pytest.raises(KindError):
        _ = logit >= Score(0.5, ScoreKind.LOGIT, "m", stage=1)
    assert logit > Score(0.5, ScoreKind.LOGIT, "other")
    with pytest.raises(KindError):
        Ranking.from_scores(Query("q"), [Candidate(Document("a", ""), logit), scored("b", 1.0)])


@pytest.mark.parametrize("other", [3, 0.5, None, "high"], ids=repr)
def test_a_score_is_compared_with_scores_alone(other: object) -> None:
    score = Score(1.0, ScoreKind.LOGIT, "m")
    comparisons = (score.__lt__, score.__le__, score.__gt__, score.__ge__)
    for compare in comparisons:
        with pytest.raises(KindError, match=f"not with {type(other).__name__}; compare its number: score.value"):
            compare(other)  # type: ignore[arg-type]
    assert score != other and score.value > 0.5


def test_a_logit_becomes_a_probability_once() -> None:
    probability = Score(-745.0, ScoreKind.LOGIT, "m").to_probability()
    assert 0 < probability.value < 1e-300
    assert Score(0.0, ScoreKind.LOGIT, "m").to_probability().value == 0.5
    with pytest.raises(KindError):
        probability.to_probability()


def test_records_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        Query("q").text = "other"  # type: ignore[misc]


def test_an_order_is_a_permutation() -> None:
    ranking = Ranking.unscored(Query("q"), [Document("a", ""), Document("b", "")])
    assert [c.document.id for c in ranking.reordered([1, 0])] == ["b", "a"]
    with pytest.raises(ValueError, match="permutation"):
        ranking.reordered([0, 0])


def test_a_candidates_probability() -> None:
    logit, document = Score(0.0, ScoreKind.LOGIT, "m"), Document("a", "")
    assert Candidate(document, logit).probability == 0.5
    assert Candidate(document, logit.to_probability()).probability == 0.5  # what is one already is not converted again
    fused = Score(1.3, ScoreKind.FUSED, "blend", 2)
    history = (
        Signal("bm25", 1, Score(9.0, ScoreKind.BM25, "bm25")),
        Signal("m", 1, Score(-800.0, ScoreKind.LOGIT, "m")),
    )
    assert Candidate(document, fused, history).probability == 0.0
    for score in (None, fused, Score(0.9, ScoreKind.COSINE, "m")):
        with pytest.raises(KindError, match="no logit and no probability"):
            _ = Candidate(document, score, history[:1]).probability
