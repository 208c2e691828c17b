import pytest
from hypothesis import given
from hypothesis import strategies as st

from resift.text.analysis import Analyzer
from resift.text.clean import clean
from resift.text.sentences import widen
from resift.text.windows import windows


@given(st.text())
def test_cleaning_keeps_length_and_good_characters(text: str) -> None:
    cleaned = clean(text)
    assert len(cleaned) == len(text) and clean(cleaned) == cleaned
    cleaned.encode("utf-8")
    assert all(a == b for a, b in zip(text, cleaned, strict=True) if a.isprintable() and not "\ud800" <= a <= "\udfff")


def test_what_is_cleaned() -> None:
    assert clean("a\x00b\ud800c\x1bd\te\nf\r") == "a�b�c�d\te\nf\r"


@given(st.text())
def test_terms_lie_where_they_say(text: str) -> None:
    last = 0
    for term in Analyzer("").terms(text):
        assert 0 <= term.start < term.end <= len(text) and term.start >= last - 1
        assert term.text
        last = term.end


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The ferries were sailing", ["ferri", "were", "sail"]),
        ("snake_case and CamelCase", ["snake", "case", "camelcas"]),
        ("東京都の天気", ["東京", "京都", "都の", "の天", "天気"]),
        ("東", ["東"]),
        ("ราคา", ["รา", "าค", "คา"]),
        ("Tiếng Việt", ["tiếng", "việt"]),
        ("ＦＵＬＬ width", ["full", "width"]),
        ("हिन्दी", ["हिन्दी"]),
        ("BM25模型v2", ["bm25", "模型", "v2"]),
        ("STRASSE straße", ["strass", "strass"]),
    ],
)
def test_words_of_many_languages(text: str, words: list[str]) -> None:
    assert Analyzer().words(text) == words


def test_decomposed_and_composed_vietnamese_are_one() -> None:
    import unicodedata

    assert Analyzer().words(unicodedata.normalize("NFD", "tiếng")) == Analyzer().words("tiếng")


@given(st.integers(0, 2000), st.integers(2, 300), st.data())
def test_windows_cover_and_overlap(length: int, size: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(0, size - 1))
    found = windows(length, size, overlap)
    assert found[0][0] == 0 and found[-1][1] == length
    assert all(0 <= end - start <= size for start, end in found)
    assert all(a[1] - b[0] >= overlap for a, b in zip(found, found[1:], strict=False))
    if length > size:
        assert len(found) == 1 + -(-(length - size) // (size - overlap))


def test_windows_refuse_a_senseless_overlap() -> None:
    with pytest.raises(ValueError, match="overlap"):
        windows(10, 4, 4)


@given(st.text(st.sampled_from("ab. \n?"), min_size=1, max_size=900), st.data())
def test_widening_only_grows(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    left, right = widen(text, start, end)
    assert text[start:end].strip() in text[left:right]
    assert start - left <= 200 and right - end <= 200


def test_widening_stops_at_sentences() -> None:
    text = "One is first. Puffins breed on cliffs here. Three is last."
    start = text.index("breed")
    assert text[slice(*widen(text, start, start + 5))] == "Puffins breed on cliffs here."
