import pytest

import resift
from resift import Index, Reranker

PASSAGES = {
    "zh": ["灯塔的看守人每天晚上点亮油灯。", "面包在烤箱里烤二十分钟。"],
    "vi": [
        "Người giữ ngọn hải đăng thắp đèn dầu vào mỗi buổi tối trên đảo.",
        "Bánh mì được nướng trong lò hai mươi phút.",
    ],
    "de": ["Der Wärter des Leuchtturms zündete jeden Abend die Lampe an und ging dann nicht mehr aus dem Haus."] * 2,
    "ja": ["灯台の番人は毎晩ランプに火をともした。", "パンはオーブンで二十分焼きます。"],
}


@pytest.mark.parametrize("language", sorted(PASSAGES))
def test_other_languages_are_noticed(mini: Reranker, language: str) -> None:
    ranking = Index.of(PASSAGES[language]).search(PASSAGES[language][0][:20], reranker=mini)
    assert not ranking.trace.reranked
    assert f"these texts are {language}" in ranking.trace.reason and "resift-mini-en reads en" in ranking.trace.reason
    assert len(ranking) == 2


@pytest.mark.parametrize("query", ["lamp", "who lit the lamp?", "getUserById()", "E4021", "naïve café"])
def test_english_is_judged(mini: Reranker, query: str) -> None:
    texts = [
        "The keeper lit the lamp every evening.",
        "def getUserById(id): return users[id]",
        "Error E4021: no lamp in the café",
    ]
    ranking = Index.of(texts).search(query, reranker=mini)
    assert ranking.trace.reranked and not ranking.trace.reason


def test_a_foreign_query_over_english_passages(mini: Reranker) -> None:
    ranking = Index.of(["The keeper lit the lamp.", "Bread is baked."]).search("谁点亮了油灯", reranker=mini)
    assert not ranking.trace.reranked and "zh" in ranking.trace.reason


def test_models_without_languages_judge_anything() -> None:
    from dataclasses import replace

    from resift.score.fitness import misfit

    scorer = resift.load("resift-mini-en").scorer
    assert misfit(replace(scorer.contract, languages=()), scorer.tokens, "谁点亮了油灯", []) == ""
    assert misfit(scorer.contract, scorer.tokens, "lamp", []) == ""
