import threading
import unicodedata
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resift.errors import InputError, MissingExtra
from resift.text import segment
from resift.text.analysis import Analyzer, sample
from resift.text.language import guess, script, script_of
from resift.text.segment import LIBRARIES, segmenter
from resift.text.term_keys import TermKeys, keys_of

# Article 1 of the Universal Declaration of Human Rights, or its first sentence.
TEXTS = {
    "en": "All human beings are born free and equal in dignity and rights.",
    "de": "Alle Menschen sind frei und gleich an Würde und Rechten geboren.",
    "fr": "Tous les êtres humains naissent libres et égaux en dignité et en droits.",
    "es": "Todos los seres humanos nacen libres e iguales en dignidad y derechos.",
    "it": "Tutti gli esseri umani nascono liberi ed eguali in dignità e diritti. Essi sono dotati di ragione.",
    "pt": "Todos os seres humanos nascem livres e iguais em dignidade e em direitos. São dotados de razão.",
    "nl": "Alle mensen worden vrij en gelijk in waardigheid en rechten geboren. Zij zijn begiftigd met verstand.",
    "ro": "Toate ființele umane se nasc libere și egale în demnitate și în drepturi.",
    "tr": "Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar.",
    "vi": "Tất cả mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm và quyền.",
    "pl": "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw.",
    "cs": "Všichni lidé rodí se svobodní a sobě rovní co do důstojnosti a práv.",
    "sv": "Alla människor är födda fria och lika i värde och rättigheter. De är utrustade med förnuft.",
    "da": "Alle mennesker er født frie og lige i værdighed og rettigheder. De er udstyret med fornuft.",
    "fi": "Kaikki ihmiset syntyvät vapaina ja tasavertaisina arvoltaan ja oikeuksiltaan.",
    "hu": "Minden emberi lény szabadon születik és egyenlő méltósága és joga van.",
    "id": "Semua orang dilahirkan merdeka dan mempunyai martabat dan hak-hak yang sama.",
    "ru": "Все люди рождаются свободными и равными в своем достоинстве и правах.",
    "uk": "Всі люди народжуються вільними і рівними у своїй гідності та правах.",
    "bg": "Всички хора се раждат свободни и равни по достойнство и права, със разум и съвест.",
    "sr": "Сва људска бића рађају се слободна и једнака у достојанству и правима.",
    "el": "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα.",
    "ar": "يولد جميع الناس أحرارًا متساوين في الكرامة والحقوق.",
    "fa": "تمام افراد بشر آزاد به دنیا می‌آیند و از لحاظ حیثیت و حقوق با هم برابرند.",
    "ur": "تمام انسان آزاد اور حقوق و عزت کے اعتبار سے برابر پیدا ہوئے ہیں۔",
    "he": "כל בני האדם נולדו בני חורין ושווים בערכם ובזכויותיהם.",
    "hi": "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है।",
    "ta": "மனிதப் பிறிவியினர் சகலரும் சுதந்திரமாகவே பிறக்கின்றனர்.",
    "th": "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ",
    "ko": "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.",
    "zh": "人人生而自由，在尊严和权利上一律平等。",
    "ja": "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。",
}


@pytest.mark.parametrize(("code", "text"), TEXTS.items(), ids=list(TEXTS))
def test_every_language_is_guessed(code: str, text: str) -> None:
    assert guess(text) == code
    if code != "tr":  # Python's capitals are not the Turkish ones
        assert guess(text.upper()) == code
    assert script_of(code) == script(next(c for c in text if c.isalpha()))


@pytest.mark.parametrize("text", ["", " ", "42 + 1", "BM25", "🙂", "Zürich 2024 Zürich", "de"])
def test_unsure_is_empty(text: str) -> None:
    assert guess(text) in ("", "de" if "Z" in text else "")


def test_foreign_names_do_not_decide() -> None:
    assert guess("Что такое Python?") == "ru"
    assert guess("iPhone的电池") == "zh"
    assert guess("What does 東京 mean?") == "en"


@given(st.text())
def test_guessing_never_fails(text: str) -> None:
    code = guess(text)
    assert code == "" or (len(code) == 2 and script_of(code))


@pytest.mark.parametrize(
    ("texts", "signature"),
    [
        ([], "resift-1/english/bigrams"),
        (["BM25", "42"], "resift-1/english/bigrams"),
        ([TEXTS["en"]], "resift-1/english/bigrams"),
        ([TEXTS["de"]], "resift-1/german/bigrams"),
        ([TEXTS["vi"]], "resift-1/none/bigrams"),
        ([TEXTS["ja"], TEXTS["zh"]], "resift-1/english/bigrams+characters"),
        ([TEXTS["en"]] * 9 + [TEXTS["ja"]], "resift-1/english/bigrams"),
        ([TEXTS["en"]] * 8 + [TEXTS["ja"]], "resift-1/english/bigrams+characters"),
        ([TEXTS["ru"]], "resift-1/english+russian/bigrams"),
        ([TEXTS["ru"], TEXTS["de"], TEXTS["el"]], "resift-1/german+greek+russian/bigrams"),
        ([TEXTS["de"]] * 9 + [TEXTS["en"]], "resift-1/german/bigrams"),
        ([TEXTS["de"]] * 8 + [TEXTS["en"]] * 2, "resift-1/guess:german/bigrams"),
        ([TEXTS["pl"], TEXTS["cs"]], "resift-1/none/bigrams"),
    ],
)
def test_fitting_a_collection(texts: Sequence[str], signature: str) -> None:
    found = Analyzer.fitting(texts).signature
    assert found == signature
    again = Analyzer.from_signature(found)
    assert again.signature == found
    for text in texts:
        assert again.words(text) == Analyzer.fitting(texts).words(text)


def test_sample_is_spread_and_small() -> None:
    assert list(sample(3)) == [0, 1, 2] and list(sample(0)) == []
    assert len(sample(1_000_000)) <= 500 and sample(1_000_000)[-1] > 990_000


def test_stems_are_those_of_the_language() -> None:
    assert Analyzer("german").words("Häuser der Häusern") == ["haus", "der", "haus"]
    assert Analyzer("english+russian").words("the running книгами книга") == ["run", "книг", "книг"]
    assert Analyzer("").words("the running") == ["the", "running"]


def test_guessing_per_text() -> None:
    analyzer = Analyzer("guess:english")
    assert "haus" in analyzer.words("Das sind die Häuser der Stadt")
    assert "was" in analyzer.words("Was ist das für ein Haus?")  # no stop word outside English
    assert analyzer.words("What was running?") == ["what", "run"]
    assert analyzer.words("running") == ["run"]  # unsure: as English
    assert "running" in analyzer.words("Tiếng Việt running")


def test_turkish_capitals() -> None:
    assert Analyzer("").words("İstanbul ISPARTA") == ["istanbul", "isparta"]


def test_signatures_that_cannot_be_met() -> None:
    for signature in ("", "resift-0/english/bigrams", "resift-1", "resift-1/english/words-zh@rjieba-0.0.1"):
        with pytest.raises(InputError, match="index the documents again"):
            Analyzer.from_signature(signature)
    for bad in (("klingon", ""), ("english", "words-th"), ("english", "")):
        with pytest.raises(InputError, match="there are"):
            Analyzer(*bad)


@pytest.mark.parametrize(
    ("language", "text", "words"),
    [
        ("zh", "中国的民法典", ["中国", "的", "民法典"]),
        ("ja", "東京都の天気", ["東京", "都", "の", "天気"]),
        ("vi", "Bác sĩ  có thể.", ["Bác sĩ", "có thể", "."]),
        ("vi", unicodedata.normalize("NFD", "Bác sĩ có thể"), ["Bác sĩ", "có thể"]),
    ],
)
def test_segmenters(language: str, text: str, words: list[str]) -> None:
    found = [" ".join(unicodedata.normalize("NFC", text[a:b]).split()) for a, b in segmenter(language)(text)]
    assert found == [unicodedata.normalize("NFC", w) for w in words]


@pytest.mark.parametrize(
    ("units", "text", "words"),
    [
        ("bigrams", "東京都", ["東京", "京都"]),
        ("bigrams+characters", "東京都", ["東", "東京", "京", "京都", "都"]),
        ("bigrams+characters", "人々", ["人", "人々", "々"]),
        ("bigrams+characters", "東", ["東"]),
        ("bigrams+characters", "ราคา", ["รา", "าค", "คา"]),
        ("words-zh", "中国的民法典 running", ["中国", "的", "民法典", "run"]),
        ("words-ja", "東京都の天気", ["東京", "都", "の", "天気"]),
        ("words-vi", "Bác sĩ là 東京都", ["bác sĩ", "bác", "sĩ", "là", "東京", "京都"]),
    ],
)
def test_units(units: str, text: str, words: list[str]) -> None:
    analyzer = Analyzer("english", units)
    assert analyzer.words(text) == words
    assert TermKeys(analyzer).of([text, "", text]) == [keys_of(words).tobytes(), b"", keys_of(words).tobytes()]


MIXED = st.text(
    st.sampled_from("東京のカナ民法典เป็นกำBácsĩo\u0301 \u3000\n.,-Ab1²①㍿\U00020bb7\ud800🙂İ가"), max_size=40
)


@pytest.mark.parametrize("language", LIBRARIES)
@settings(deadline=None)
@given(text=st.one_of(MIXED, st.text()))
def test_segments_cover_the_text(language: str, text: str) -> None:
    last = 0
    for start, end in segmenter(language)(text):
        assert last <= start < end <= len(text)
        assert not text[last:start].strip()
        last = end
    assert not text[last:].strip()


@pytest.mark.parametrize("units", ["bigrams", "bigrams+characters", "words-zh", "words-ja", "words-vi"])
@pytest.mark.parametrize("language", ["", "english", "guess:english+russian"])
@settings(deadline=None, max_examples=30)
@given(text=st.one_of(MIXED, st.text()))
def test_terms_lie_where_they_say(language: str, units: str, text: str) -> None:
    analyzer = Analyzer(language, units)
    last = 0
    for term in analyzer.terms(text):
        assert 0 <= last <= term.start < term.end <= len(text)
        assert term.text
        last = term.start
    assert analyzer.words(text) == Analyzer(language, units).words(text)


def test_long_japanese_is_cut_for_sudachi() -> None:
    text = "東京都の天気" * 6000
    assert sum(end - start for start, end in segmenter("ja")(text)) == len(text)


@pytest.mark.parametrize("language", LIBRARIES)
def test_segmenters_in_threads(language: str) -> None:
    text = "東京都の天気と中国的民法典 Bác sĩ báo tin " * 20
    alone, found = list(segmenter(language)(text)), []
    threads = [threading.Thread(target=lambda: found.append(list(segmenter(language)(text)))) for _ in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert found == [alone] * 6


@pytest.mark.parametrize("language", LIBRARIES)
def test_a_missing_library_is_named(language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(name: str) -> None:
        raise ModuleNotFoundError(name)

    segment.segmenter.cache_clear()
    monkeypatch.setattr(segment.importlib, "import_module", nothing)
    library = {"zh": "rjieba", "ja": "sudachipy", "vi": "underthesea"}[language]
    with pytest.raises(MissingExtra, match=f"needs what is not installed: pip install .*{library}"):
        Analyzer(units=f"words-{language}")
    segment.segmenter.cache_clear()


def test_no_segmenter() -> None:
    with pytest.raises(ValueError, match="zh, ja, vi"):
        segmenter("th")
