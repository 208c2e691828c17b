"""The bundled multilingual model: golden scores, precisions, sizes, what it reads and what it refuses."""

import json
import unicodedata

import numpy as np
import pytest

import resift
from resift import Reranker
from resift.score.load import find_model

FOLDER = find_model("resift-mini-multi")
PASSAGES = {
    "vi": ("Thủ đô của Việt Nam là gì?", "Hà Nội là thủ đô của nước Việt Nam.", "Con mèo ngủ cả ngày trên ghế."),
    "zh": ("中国的首都是哪里？", "北京是中华人民共和国的首都。", "这只猫整天在椅子上睡觉。"),
    "ja": ("日本の首都はどこですか？", "東京は日本の首都である。", "猫は一日中椅子の上で寝ている。"),
    "ko": ("한국의 수도는 어디입니까?", "서울은 대한민국의 수도이다.", "고양이는 하루 종일 의자에서 잔다."),
    "th": ("เมืองหลวงของประเทศไทยคืออะไร", "กรุงเทพมหานครเป็นเมืองหลวงของประเทศไทย", "แมวนอนบนเก้าอี้ทั้งวัน"),
    "ar": ("ما هي عاصمة مصر؟", "القاهرة هي عاصمة جمهورية مصر العربية.", "تنام القطة طوال اليوم على الكرسي."),
    "de": ("Was ist die Hauptstadt von Österreich?", "Wien ist die Hauptstadt der Republik Österreich.",
           "Die Katze schläft den ganzen Tag auf dem Stuhl."),
    "fr": ("Quelle est la capitale de la France ?", "Paris est la capitale de la République française.",
           "Le chat dort toute la journée sur la chaise."),
    "ru": ("Какой город столица России?", "Москва является столицей Российской Федерации.",
           "Кошка весь день спит на стуле."),
    "across": ("Thủ đô của nước Pháp là gì?", "Paris is the capital of France.",
               "The cat sleeps on the chair all day."),
}  # fmt: skip


@pytest.fixture(scope="module")
def multi() -> Reranker:
    return resift.load("resift-mini-multi", precision="f32")


def test_golden_scores(multi: Reranker) -> None:
    golden = multi.contract.golden
    assert len(golden) >= 6
    scores = multi.score([(g.query, g.document) for g in golden])
    np.testing.assert_allclose(scores.values, [g.score for g in golden], atol=1e-4)


@pytest.mark.parametrize("language", PASSAGES)
def test_the_answer_comes_first(multi: Reranker, language: str) -> None:
    query, answer, other = PASSAGES[language]
    assert multi.rerank(query, [other, answer])[0].document.text == answer


def test_the_fast_precision_keeps_the_order(multi: Reranker) -> None:
    pairs = [(query, text) for query, answer, other in PASSAGES.values() for text in (answer, other)]
    fast = np.array(resift.load("resift-mini-multi").score(pairs).values, dtype=np.float64)
    exact = np.array(multi.score(pairs).values, dtype=np.float64)
    assert np.abs(fast - exact).max() < 0.02
    np.testing.assert_array_equal(fast[::2] > fast[1::2], exact[::2] > exact[1::2])


def test_it_fits_in_the_package() -> None:
    assert sum(f.stat().st_size for f in FOLDER.iterdir()) <= 72_000_000
    assert json.loads((FOLDER / "contract.json").read_text())["license"] == "MIT"


def test_decomposed_and_special_tokens_are_plain_text(multi: Reranker) -> None:
    query, answer, _ = PASSAGES["vi"]
    composed, decomposed = multi.score(
        [(query, answer), (unicodedata.normalize("NFD", query), unicodedata.normalize("NFD", answer))]
    ).values
    assert composed == decomposed
    tokens = multi.scorer.tokens  # type: ignore[attr-defined]
    assert not {0, 1, 2} & set(tokens.encode(["<s> </s> <pad> đèn"])[0].ids)


def test_a_script_whose_pieces_were_cut_is_read_by_characters(multi: Reranker) -> None:
    tokens = multi.scorer.tokens  # type: ignore[attr-defined]
    for text in ("தமிழ்நாடு", "საქართველო", "አማርኛ", "ភាសាខ្មែរ"):
        ids = tokens.encode([text])[0].ids
        assert ids.count(tokens.unknown) == 0 and len(ids) >= len(text) - 2
