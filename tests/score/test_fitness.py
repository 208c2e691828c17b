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
    ranking = Index.of(PASSAGES[language]).search(PASSAGES[language][0], reranker=mini)
    assert not ranking.trace.reranked
    assert ranking.trace.reason.startswith(
        f"resift-mini-en reads en; the query and the texts are {language}: name another model, "
        "such as --model BAAI/bge-reranker-v2-m3, or resift-mini-en to rerank all the same"
    )
    assert ranking[0].document.text == PASSAGES[language][0]


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

    from resift.score.language_fit import misfit

    scorer = resift.load("resift-mini-en").scorer
    assert misfit(replace(scorer.contract, languages=()), scorer.tokens, "谁点亮了油灯", []) == ""
    assert misfit(scorer.contract, scorer.tokens, "lamp", []) == ""


ENGLISH = ["The keeper lit the lamp every evening.", "Refunds are paid within 14 days to the card that was used."]
QUERIES = {
    "DSGVO Konto löschen": "in another language",
    "Wie bekomme ich mein Geld zurück?": "in another language",
    "Wo ist meine Rechnung?": "de",
    "¿Cómo cancelo mi pedido?": "es",
    "Ai là người thắp đèn?": "vi",
    "谁点亮了油灯": "zh",
}


@pytest.mark.parametrize(("query", "tongue"), QUERIES.items())
def test_it_is_the_query_that_the_model_does_not_read(mini: Reranker, query: str, tongue: str) -> None:
    for ranking in (mini.rerank(query, ENGLISH), Index.of(ENGLISH).search(query, reranker=mini)):
        assert not ranking.trace.reranked
        assert f"reads en; the query is {tongue}: name another model, such as --model BAAI/" in ranking.trace.reason
    assert [c.document.text for c in mini.rerank(query, ENGLISH)] == ENGLISH


@pytest.mark.parametrize("language", sorted(PASSAGES))
def test_it_is_the_texts_that_the_model_does_not_read(mini: Reranker, language: str) -> None:
    ranking = mini.rerank("who lit the lamp?", PASSAGES[language])
    assert not ranking.trace.reranked and f"reads en; the texts are {language}: name" in ranking.trace.reason


def test_a_model_that_is_named_reranks_all_the_same() -> None:
    named, query = resift.load("resift-mini-en"), "Wo ist meine card?"
    for ranking in (named.rerank(query, ENGLISH), Index.of(ENGLISH).search(query, reranker=named)):
        assert ranking.trace.reranked
        assert "; reranked all the same, since resift-mini-en was named" in ranking.trace.reason
        assert "the query is de" in ranking.trace.reason


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("x", "x y"),
        ("E4021", "y"),
        ("", "iron man mark lxxxv"),
        ("iron man google drive", "king kong v godzilla"),
        ("naïve café", "Beyoncé"),
        ("great 👍", "🙂"),
        ("what does 東京 mean", "謝謝 means thank you"),
    ],
)
def test_too_little_tells_no_language(query: str, text: str) -> None:
    from resift.score.language_fit import misfit

    scorer = resift.load().scorer
    assert misfit(scorer.contract, scorer.tokens, query, [text]) == ""


def test_the_remedy_reads_what_is_at_hand() -> None:
    from resift.models.registry import reader_of, rows

    for languages in (["de"], ["de", "en"], ["", "en"], ["zh", "vi"], [""], []):
        row = rows()[reader_of(languages)]
        assert row.supported and row.commercial == "yes"
        assert all(language in row.languages or "multi" in row.languages for language in languages)


def test_english_vectors_have_no_say_in_other_languages() -> None:
    """Neither for a query in another language nor of passages in one."""
    texts = [*ENGLISH, "Người giữ ngọn hải đăng thắp đèn dầu vào mỗi buổi tối trên đảo."]
    index = Index.of(texts)
    german = index.search("Wie bekomme ich mein Geld zurück?", reranker=False)
    assert len(german) == 0  # no shared word
    reason = (
        "resift-static-en reads en and was not asked, since the query is in another language: name another, such as"
    )
    assert german.trace.reason.startswith(f"{reason} --embedder ")
    sources = {s.source for c in index.search("Wo ist der card?", reranker=False) for s in c.signals}
    assert sources == {"bm25", "weighted_rrf"}
    english = index.search("who lit the lamp?", reranker=False)
    assert sorted(c.document.text for c in english) == sorted(ENGLISH) and english.trace.reason == ""


@pytest.mark.parametrize("language", sorted(PASSAGES))
def test_nothing_found_says_why(mini: Reranker, language: str) -> None:
    for reranker in (False, mini):
        ranking = Index.of(PASSAGES[language]).search("refund", reranker=reranker)
        assert len(ranking) == 0 and f"most passages, since they are {language}" in ranking.trace.reason
        assert ranking.trace.reason.startswith("resift-static-en reads en") and "--embedder" in ranking.trace.reason


def test_what_both_stages_do_not_read_is_said_of_both(mini: Reranker) -> None:
    for reranker in (mini, Reranker(mini.scorer)):
        reason = Index.of(ENGLISH).search("Wo ist meine card?", reranker=reranker).trace.reason
        assert reason.startswith("resift-mini-en reads en; the query is de") and "--model BAAI/" in reason
        assert reason.count("; resift-static-en reads en and was not asked") == 1
