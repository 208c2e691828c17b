"""Every feature of the table against values that were worked out by hand."""

import math
from datetime import UTC, date, datetime
from typing import Any

import pytest

from resift.features import Statistics
from resift.features.table import TABLE
from resift.types import Document, Ranking, Signal
from tests.features.candidates import COLLECTION, NOW, STATISTICS, candidate, column, ranking, signal

# Ranks and scores of two lists: "a" has the first three candidates, "b" the second and the last.
LISTS = ranking(
    "q",
    candidate("1", signals=(signal("a", 1, 9.0),)),
    candidate("2", signals=(signal("a", 2, 5.0), signal("b", 2, 0.25))),
    candidate("3", signals=(signal("a", 3, 5.0),)),
    candidate("4", signals=(signal("b", 1, 0.5),)),
)
BOTH = {"sources": ("a", "b")}
RARE = math.log(1 + (8 - 1 + 0.5) / 1.5)  # of a word that one of eight documents has
FERRY = math.log(1 + (8 - 3 + 0.5) / 3.5)
DAY = 86_400.0
TITLED = ranking("red ferry", candidate("the harbour", "Red Ferry!"), candidate("red ferry", "ferry"), "red ferry")
WORDS = ranking(
    "red ferry harbour",
    "a red old ferry in the harbour",  # terms: red old ferri harbour
    "ferry harbour, red stone ferry",
    "harbour",
    "",
)

SIGNALS: list[tuple[str, dict[str, Any], Ranking, list[float | None]]] = [
    ("score", {"source": "a"}, LISTS, [9.0, 5.0, 5.0, None]),
    ("rank", {"source": "b"}, LISTS, [None, 2.0, None, 1.0]),
    ("gap_to_best", {"source": "a"}, LISTS, [0.0, 4.0, 4.0, None]),
    ("gap_to_next", {"source": "a"}, LISTS, [4.0, None, None, None]),
    ("gap_to_next", {"source": "b"}, LISTS, [None, None, None, 0.25]),
    ("z", {"source": "b"}, LISTS, [None, -1.0, None, 1.0]),
    ("z", {"source": "a"}, ranking("q", *LISTS.candidates[1:]), [0.0, 0.0, None]),
    ("lists", BOTH, LISTS, [1.0, 2.0, 1.0, 1.0]),
    ("best_rank", BOTH, LISTS, [1.0, 2.0, 3.0, 1.0]),
    ("reciprocal_ranks", BOTH, LISTS, [round(x, 5) for x in (1 / 61, 2 / 62, 1 / 63, 1 / 61)]),
    ("rank_spread", BOTH, LISTS, [None, 0.0, None, None]),
    ("overlap", BOTH, LISTS, [0.5] * 4),  # one document of two is in both; the shorter list has two
    ("overlap", {**BOTH, "depth": 1}, LISTS, [0.0] * 4),
]
LEXICAL: list[tuple[str, dict[str, Any], Ranking, list[float | None]]] = [
    ("coverage", {}, WORDS, [1.0, 1.0, round(1 / 3, 5), 0.0]),
    ("coverage", {}, ranking("of the", "of the"), [None]),  # stop words are no terms
    ("idf_coverage", {}, ranking("lamp ferry", "ferry"), [round(FERRY / (RARE + FERRY), 5)]),
    ("idf_coverage", {}, ranking("zebra ferry", "zebra"), [round(RARE / (RARE + FERRY), 5)]),
    ("title_coverage", {}, TITLED, [1.0, 0.5, None]),
    ("title_exact", {}, TITLED, [1.0, 0.0, None]),
    ("title_terms", {}, TITLED, [2.0, 1.0, None]),
    ("proximity", {}, WORDS, [0.75, 1.0, None, None]),
    ("order", {}, WORDS, [1.0, round(1 / 3, 5), None, None]),  # only ferry stands before harbour
    ("adjacent", {}, WORDS, [0.5, 0.5, 0.0, 0.0]),
    ("run", {}, WORDS, [round(2 / 3, 5), round(2 / 3, 5), round(1 / 3, 5), 0.0]),
    ("run", {}, ranking("red ferry", candidate("ferry", "red")), [0.5]),  # no run goes on from title to text
    ("exact", {}, ranking("Red FERRY?", "the red  ferry", "red ferryman", "ferry red"), [1.0, 0.0, 0.0]),
    ("exact", {}, ranking("東京", "大東京都"), [1.0]),  # without spaces there are no borders of words
    ("exact", {}, ranking("?!", "?!"), [None]),
    ("ngrams", {}, ranking("abcd", "xabcx", "abcd", "bcd", ""), [0.5, 1.0, 0.5, 0.0]),
    ("ngrams", {"n": 2}, ranking("abab", "ba"), [0.5]),
    ("ngrams", {}, ranking("ab", "ab"), [None]),
    ("ngrams", {"n": 2}, ranking("bc", candidate("ca", "ab"), "b c"), [0.0, 0.0]),
    ("density", {}, WORDS, [0.75, 0.8, 1.0, None]),
    ("first_match", {}, ranking("ferry", "old red ferry", "lamp", "ferry"), [2.0, None, 0.0]),
    ("code_match", {}, ranking("error E-1042 in my_module", "E-1042", "e-1042 my_module", "E-10421", "error"),
     [0.5, 1.0, 0.0, 0.0]),
    ("code_match", {}, ranking("an error", "error"), [None]),
    ("query_codes", {}, ranking("fix src/a.py of v2.1 for 12 getItem", ""), [3.0]),
    ("query_terms", {}, ranking("the red red ferry", "x", "y"), [3.0, 3.0]),
    ("query_characters", {}, ranking(" ab c ", "x"), [4.0]),
    ("terms", {}, TITLED, [3.0, 3.0, 2.0]),
    ("characters", {}, TITLED, [11.0, 9.0, 9.0]),
    ("language_match", {}, ranking("what is the ferry", "it is the red one", "là của và các những", "xyz", "東京です"),
     [1.0, 0.0, None, 0.0]),
    ("language_match", {}, ranking("東京", "東京です"), [None]),  # Japanese in Han alone looks like Chinese
]  # fmt: skip
FORMS: list[tuple[str, dict[str, Any], Ranking, list[float | None]]] = [
    ("asks", {"form": "number"}, ranking("how many ferries are there", "x"), [1.0]),
    ("asks", {"form": "date"}, ranking("how many ferries are there", "x"), [0.0]),
    (
        "answers",
        {"form": "number"},
        ranking("how many ferries are there", "there are 7", "there are some"),
        [1.0, -1.0],
    ),
    ("answers", {"form": "date"}, ranking("how many ferries are there", "in 1999"), [0.0]),
    ("answers", {"form": "date"}, ranking("when did it sink", "в 1912 году она утонула"), [None]),
]
METADATA: list[tuple[str, dict[str, Any], Ranking, list[float | None]]] = [
    ("number", {"field": "price"}, ranking("q", candidate(price=3), candidate(price="2.5"), candidate(price=True), "x"),
     [3.0, 2.5, 1.0, None]),
    ("log", {"field": "clicks"}, ranking("q", candidate(clicks=0), candidate(clicks=99), candidate(clicks=-99), "x"),
     [0.0, round(math.log(100), 5), -round(math.log(100), 5), None]),
    ("place", {"field": "price"}, ranking("q", candidate(price=1), candidate(price=5), candidate(price=5), "x"),
     [0.0, 0.75, 0.75, None]),
    ("place", {"field": "price"}, ranking("q", candidate(price=1), "x"), [None, None]),
    ("age_days", {"field": "day"}, ranking(
        "q", candidate(day=NOW - DAY), candidate(day=(NOW + DAY) * 1000), candidate(day="2023-11-14"),
        candidate(day=date(2023, 11, 14)), candidate(day=datetime.fromtimestamp(NOW, UTC)), "x",
    ), [1.0, -1.0, 0.9259259, 0.9259259, 0.0, None]),
    ("recency", {"field": "day", "half_life_days": 2},
     ranking("q", candidate(day=NOW - 4 * DAY), candidate(day=NOW + DAY), "x"), [0.25, 1.0, None]),
    ("category", {"field": "kind", "categories": ("red", "blue", "7")},
     ranking("q", candidate(kind="Blue"), candidate(kind="red"), candidate(kind=7), candidate(kind="green"), "x"),
     [1.0, 0.0, 2.0, None, None]),
]  # fmt: skip
GOLDEN = [*SIGNALS, *LEXICAL, *FORMS, *METADATA]


@pytest.mark.parametrize(
    ("name", "parameters", "of", "values"), GOLDEN, ids=[f"{i}-{g[0]}" for i, g in enumerate(GOLDEN)]
)
def test_values_by_hand(name: str, parameters: dict[str, Any], of: Ranking, values: list[float | None]) -> None:
    assert column(name, of, **parameters) == [None if v is None else pytest.approx(v, abs=2e-5) for v in values]


def test_every_feature_has_a_value_by_hand() -> None:
    assert {name for name, *_ in GOLDEN} == set(TABLE)


def test_signals_without_a_score_or_of_several_stages() -> None:
    last = candidate("1", signals=(signal("m", 4, 1.0), signal("m", 2, 3.0), Signal("m", 0)))
    assert column("score", ranking("q", last), source="m") == [3.0]  # the last one that has a score
    assert column("rank", ranking("q", last), source="m") == [None]  # ranks count from 1
    assert column("score", ranking("q", candidate("1", signals=(Signal("run", 1),))), source="run") == [None]


QUESTIONS = [
    ("When did the ferry sink?", "date", "It sank in 1912.", "It sank."),
    ("in what year did the ferry sink", "date", "That was on 3 May 1912", "It sank."),
    ("where is the harbour", "place", "It is in the North of Norway.", "it is far away."),
    ("which country has the most ferries", "place", "These are from Greece", "we do not know"),
    ("how old is the harbour", "number", "It is two hundred years old", "It is very old"),
    ("what is the population of Oslo", "number", "It has 700,000 people", "It has many people"),
    ("who built the ferry", "person", "It was built by Anna Berg.", "It was built of steel."),
    ("why did the ferry sink", "reason", "It sank because of ice", "It sank at night"),
    ("what causes rust", "reason", "Rust is caused by water", "Rust is red"),
    ("how to fix a lamp", "steps", "First unplug it, then open it", "A lamp is broken"),
    ("how do I fix a lamp", "steps", "1. unplug\n2. open", "A lamp is broken"),
    ("what is a ferry", "definition", "A ferry is a ship", "Ferries carry cars"),
    ("what does GPU stand for", "definition", "GPU stands for a processor", "GPUs compute"),
    (
        "người ta xây cầu này khi nào",
        "date",
        "Cầu này được xây năm 1912 và là của thành phố",
        "Cầu này là của chúng ta",
    ),
    ("hội nghị của họ ở đâu", "place", "Hội nghị của họ được tổ chức tại Hà Nội", "Hội nghị của họ rất dài"),
    ("thành phố này có bao nhiêu người", "number", "Có ba triệu người đang sống", "Có nhiều người đang sống"),
    ("ai là người xây cầu này", "person", "Cầu được xây bởi Nguyễn Văn An trong nhiều năm", "Cầu được xây bởi các thợ"),
    ("tại sao nước biển mặn", "reason", "Nước mặn vì có muối từ các con sông", "Nước mặn có muối từ các con sông"),
    ("làm thế nào để nấu phở", "steps", "Đầu tiên nấu nước, sau đó cho thịt vào", "Phở có nước và thịt của bò"),
    (
        "blockchain là gì",
        "definition",
        "Blockchain là một sổ cái của nhiều người",
        "Blockchain có những sổ cái của người",
    ),
    ("这座桥什么时候建成", "date", "建成于1912年", "它很长"),
    ("东京在哪里", "place", "位于日本", "很大"),
    ("有多少人", "number", "有三百人", "有很多人"),
    ("谁写了这本书", "person", "鲁迅先生写的", "写得好"),
    ("为什么海水是咸的", "reason", "因为有盐", "有盐"),
    ("如何做饭", "steps", "首先洗米", "米饭好吃"),
    ("什么是区块链", "definition", "区块链是一种账本", "区块链很新"),
    ("橋はいつできましたか", "date", "1912年にできた", "とても長い"),
    ("東京はどこですか", "place", "日本の関東にある", "おおきい"),
    ("人口はどれくらいですか", "number", "三百万です", "とてもおおい"),
    ("誰がこの本を書きましたか", "person", "夏目さんが書いた", "おもしろい本だ"),
    ("なぜ海はしょっぱいのか", "reason", "塩があるから", "塩がある"),
    ("ご飯の作り方とやり方を教えて", "steps", "まず米を洗う", "ご飯はおいしい"),
    ("ブロックチェーンとは", "definition", "台帳の一種である", "あたらしい"),
]


@pytest.mark.parametrize(("question", "form", "answer", "other"), QUESTIONS)
def test_forms_of_questions_and_what_answers_them(question: str, form: str, answer: str, other: str) -> None:
    assert column("asks", ranking(question, "x"), form=form) == [1.0]
    assert column("answers", ranking(question, answer, other), form=form) == [1.0, -1.0]


@pytest.mark.parametrize(
    "question", ["ferry timetable", "people who built ferries", "even when it rains", "wer ist das"]
)
def test_what_asks_nothing(question: str) -> None:
    forms = ("date", "place", "number", "person", "reason", "steps", "definition")
    assert [column("asks", ranking(question, "x"), form=form) for form in forms] == [[0.0]] * 7


def test_no_idf_is_made_up_without_statistics() -> None:
    assert column("idf_coverage", WORDS, Statistics.empty()) == [None] * 4
    assert column("coverage", WORDS, Statistics.empty())[0] == 1.0


def test_statistics_count_documents_and_not_occurrences() -> None:
    statistics = Statistics.of([Document("a", "ferry ferry", "ferry"), Document("b", "ferry"), Document("c", "lamp")])
    assert (statistics.documents, dict(statistics.frequencies)) == (3, {"ferri": 2})
    assert STATISTICS.documents == len(COLLECTION)
