"""What kind of answer a question asks for, and whether a text has something of that kind; patterns are data."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from resift.features.analysed_text import AnalysedText

FORMS = ("date", "place", "number", "person", "reason", "steps", "definition")
_OTHERS = "en"  # the language whose patterns serve a query of which nothing is known

# Patterns of questions by language, in composed lower case; the first form that matches in the order of FORMS counts,
# so that "what is the year" asks for a date and not for a definition. In English a question word counts at the
# beginning, behind a comma or behind a preposition, so that "people who" and "even when" ask nothing.
_START = r"(?:^|[,;:.?!]\s*|^(?:since|from|until|by|to|of|for|at|in|with)\s+)"
_ASKS = {
    "en": {
        "date": _START + r"when\b|\b(?:what|which) (?:year|date|day|month|century|decade|time)\b|\bhow long ago\b",
        "place": _START
        + r"where\b|\b(?:what|which) (?:country|city|town|place|state|region|continent|county|province)\b",
        "number": r"\bhow (?:many|much|old|long|far|tall|high|big|large|deep|fast|often|heavy|wide)\b"
        r"|\bwhat (?:(?:is|was|are) the )?(?:number|percent|percentage|amount|age|population|distance|price|cost)\b",
        "person": _START + r"who(?:se|m)?\b",
        "reason": _START + r"why\b|\bwhat (?:causes?|caused|(?:is|was|are) the (?:reasons?|causes?))\b|\bhow come\b",
        "steps": r"\bhow (?:to|(?:do|can|could|should|would) (?:i|we|you|one))\b|\bsteps to\b",
        "definition": r"^\W*what(?:['’]s| is| are| was| were)\b|^\W*define\b|\bmeaning of\b|\bdefinition of\b"
        r"|\bwhat (?:does|do|did) .+ (?:mean|stand for)\b",
    },
    "vi": {
        "date": r"khi nào|lúc nào|bao giờ|mấy giờ|(?:năm|ngày|tháng|hôm|thời gian|thời điểm) (?:nào|mấy|bao nhiêu)",
        "place": r"ở đâu|tại đâu|từ đâu|nơi nào|chỗ nào|(?:nước|tỉnh|thành phố|quốc gia|huyện|vùng|địa phương) nào",
        "number": r"bao nhiêu|bao lâu|bao xa|\bmấy\b",
        "person": r"\bai\b|(?:người|nhân vật) nào",
        "reason": r"tại sao|vì sao|sao lại|lý do|lí do|nguyên nhân|do đâu",
        "steps": r"làm thế nào|làm sao|cách nào|cách để|cách làm|^\W*cách\b|phải làm gì|hướng dẫn",
        "definition": r"là gì|nghĩa là|là như thế nào|định nghĩa|thế nào là",
    },
    "zh": {
        "date": r"什么时候|什么时间|何时|几时|哪一?年|哪一?天|几月|几号|什么年代",
        "place": r"哪里|哪儿|何处|什么地方|在哪|哪一?个?(?:国家|城市|省|地方|国|市|州|县)",
        "number": r"多少|几[个只人次岁本年天名位种条]|多[大长高远久重]",
        "person": r"谁|哪位|哪个人|何人",
        "reason": r"为什么|为何|为啥|原因|何以",
        "steps": r"怎么(?!会|样)|怎样|如何|步骤|方法",
        "definition": r"什么是|是什么|什么意思|何谓|含义|定义|是啥",
    },
    "ja": {
        "date": r"いつ|何年|何月|何日|何時|何世紀",
        "place": r"どこ|何処|どの(?:国|県|都市|市|町|地方|州|場所)|何[県国市]",
        "number": r"いくつ|いくら|何[人個本回歳匹枚冊台%]|どれ(?:くらい|ぐらい|だけ|ほど)|何パーセント",
        "person": r"誰|だれ|何者|どなた",
        "reason": r"なぜ|何故|どうして|なんで|理由は",
        "steps": r"どうやって|どうすれば|方法|やり方|手順|仕方",
        "definition": r"とは|って何|何ですか|意味",
    },
}


class _Evidence(NamedTuple):
    """What stands in a text that answers: patterns of the text as it is, and words of the folded title and text."""

    patterns: tuple[str, ...] = ()
    words: str = ""


# Several patterns that each begin with what is rare are several times as fast as one with alternatives, and a space in
# front of words is three times as fast as a word boundary.
_YEAR = (r"(?:1\d|20)\d\d(?!\d)(?<!\d{5})", r"\d[/.-]\d{1,2}[/.-]\d\d")
_LISTED = r"(?m:^\s*(?:\d+[.)、]|[-*•・])\s*\S)"
# None of it is proof; a learned model weighs it.
_HAS = {
    "en": {
        "date": _Evidence(
            _YEAR,
            "january|february|march|april|june|july|august|september|october|november|december|may \\d+"
            "|century|centuries|yesterday|today|tomorrow|years? ago",
        ),
        "place": _Evidence((r" (?:in|at|near|from|to|of) (?:the )?[A-Z]", r"^(?:In|At|Near|From) (?:the )?[A-Z]")),
        "number": _Evidence(
            (r"\d",),
            "two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|dozens?|hundreds?|thousands?|millions?|billions?"
            "|half|once|twice",
        ),
        "reason": _Evidence((), "because|due to|since|as a result|caused? by|leads? to|in order to|reasons?|therefore"),
        "steps": _Evidence(
            (_LISTED,), "step \\d+|first|firstly|then|next|finally|click|select|press|install|make sure"
        ),
        "definition": _Evidence(
            (), "(?:is|are|was|were) (?:an?|the|one|any)|refers? to|means?|defined as|known as|stands? for"
        ),
    },
    "vi": {
        "date": _Evidence(_YEAR, "(?:ngày|tháng|năm|thế kỷ|thế kỉ) (?:\\d+|[ivx]+)|hôm qua|hôm nay"),
        "place": _Evidence((), "ở|tại|thuộc|tỉnh|thành phố|huyện|quận|xã|phường"),
        "number": _Evidence((r"\d",), "một|hai|ba|bốn|sáu|bảy|tám|chín|mười|trăm|nghìn|ngàn|triệu|tỷ|tỉ"),
        "reason": _Evidence((), "vì|do|bởi|nhờ|nguyên nhân|lý do|lí do|dẫn đến|nên"),
        "steps": _Evidence((_LISTED,), "bước|đầu tiên|trước tiên|sau đó|tiếp theo|cuối cùng"),
        "definition": _Evidence((), "là"),
    },
    "zh": {
        "date": _Evidence((*_YEAR, r"[\d一二三四五六七八九十]\s*[年月日号]|世纪|年代|昨[天日]|今[天日]|时期")),
        "place": _Evidence((r"位于|[省市县区州岛镇村]|国家",)),
        "number": _Evidence((r"[\d二两三四五六七八九十百千万亿]",)),
        "person": _Evidence((r"先生|女士|教授|博士|总统|主席|总理|皇帝|作家|导演|演员|·",)),
        "reason": _Evidence((r"因为|由于|所以|因此|导致|原因|为了",)),
        "steps": _Evidence((r"首先|然后|接着|最后|第[一二三]步|步骤|点击", _LISTED)),
        "definition": _Evidence((r"是(?:指|一|由)|指的是|称为|叫做|即",)),
    },
    "ja": {
        "date": _Evidence((*_YEAR, r"[\d一二三四五六七八九十]\s*[年月日]|世紀|年代|昨日|今日|時代")),
        "place": _Evidence((r"[県市町村区都府州島]|にある|位置|国",)),
        "number": _Evidence((r"[\d二三四五六七八九十百千万億兆]",)),
        "person": _Evidence((r"さん|氏|教授|博士|首相|大統領|天皇|将軍|選手|監督|・",)),
        "reason": _Evidence((r"ため|から|ので|理由|原因|によ[りる]",)),
        "steps": _Evidence((r"まず|次に|最後に|手順|してください|ましょう|クリック", _LISTED)),
        "definition": _Evidence((r"とは|である|を指す|のこと|の一種|です",)),
    },
}

_Test = Callable[[AnalysedText], bool]


class _Patterns(NamedTuple):
    asks: dict[str, re.Pattern[str]]
    has: dict[str, _Test]


def _names(document: AnalysedText) -> bool:
    """Whether a word that begins no sentence begins with a capital, and goes on in small letters."""
    words = document.text.split()
    return any(
        word[0].isupper() and word[1:2].islower() and before[-1] not in ".!?:\"”'"
        for before, word in zip(words, words[1:], strict=False)
    )


def _test(evidence: _Evidence) -> _Test:
    patterns = [re.compile(pattern).search for pattern in evidence.patterns]
    words = re.compile(rf" (?:{evidence.words})\b").search if evidence.words else None

    def test(document: AnalysedText) -> bool:
        if any(search(document.text) for search in patterns):
            return True
        return words is not None and words(f" {document.folded}") is not None

    return test


def _patterns() -> dict[str, _Patterns]:
    patterns = {}
    for language, asks in _ASKS.items():
        has: dict[str, _Test] = {form: _test(evidence) for form, evidence in _HAS[language].items()}
        has.setdefault("person", _names)
        patterns[language] = _Patterns({form: re.compile(pattern) for form, pattern in asks.items()}, has)
    return patterns


_LANGUAGES = _patterns()


def asked_form(query: AnalysedText) -> str:
    """The form of FORMS that a question has; "" where it has none, or its language has no patterns.

    A question in Han alone is tried as Chinese and then as Japanese.
    """
    language = query.language or _OTHERS
    text = query.text.lower()
    for name in ("zh", "ja") if language == "zh" else (language,):
        asks = _LANGUAGES[name].asks if name in _LANGUAGES else {}
        for form in FORMS:
            if form in asks and asks[form].search(text):
                return form
    return ""


def has_answer(form: str, document: AnalysedText) -> bool | None:
    """Whether a text has what a question of this form asks for; None where its language has no patterns."""
    language = _LANGUAGES.get(document.language or _OTHERS)
    return None if language is None else language.has[form](document)
