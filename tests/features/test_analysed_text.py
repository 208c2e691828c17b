"""Texts as features see them: which are remembered, and how they are folded."""

from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from resift.features.analysed_text import TextReader, folded
from resift.text.analysis import Analyzer
from resift.text.term_keys import keys_of

REMEMBERED = 2048


def texts(*numbers: int) -> list[tuple[str, str]]:
    return [(f"title {i}", f"ferry {i}") for i in numbers]


def test_a_text_that_comes_again_is_not_read_again() -> None:
    reader = TextReader(Analyzer())
    first, second, again = reader.read(texts(1, 2, 1))
    assert first is again and first is not second
    assert reader.read(texts(3, 2))[1] is second


def test_the_texts_that_came_last_are_remembered() -> None:
    reader = TextReader(Analyzer())
    oldest, newer = reader.read(texts(0, 1))
    reader.read(texts(*range(2, REMEMBERED)))
    assert reader.read(texts(0))[0] is oldest  # and so it is not the oldest any more
    reader.read(texts(REMEMBERED))
    assert len(reader.remembered) == REMEMBERED
    assert reader.read(texts(0))[0] is oldest
    assert reader.read(texts(1))[0] is not newer


def test_more_texts_at_once_than_are_remembered() -> None:
    reader = TextReader(Analyzer())
    read = reader.read(texts(*range(REMEMBERED + 10)))
    assert [document.text for document in read] == [text for _, text in texts(*range(REMEMBERED + 10))]
    assert len(reader.remembered) == REMEMBERED


def test_terms_of_title_and_text() -> None:
    titled, untitled = TextReader(Analyzer()).read([("The Red Lamp", "ferries of the harbour"), ("of", "lamp")])
    assert (titled.title_terms, titled.terms) == (2, 4)
    assert titled.keys == keys_of(["red", "lamp"]).tobytes() + bytes(8) + keys_of(["ferri", "harbour"]).tobytes()
    assert (untitled.title_terms, untitled.terms, untitled.keys) == (0, 1, keys_of(["lamp"]).tobytes())


def test_many_threads_read_what_one_reads() -> None:
    batches = [texts(*range(start, start + 50)) for start in range(0, 1000, 25)]
    alone, shared = TextReader(Analyzer()), TextReader(Analyzer())
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(shared.read, batches))
    assert [[d.keys for d in documents] for documents in read] == [[d.keys for d in alone.read(b)] for b in batches]


@given(st.text() | st.text("a \t\n\x1f\x85\xa0\u2028\u3000\u200bÉ"))
def test_folding_leaves_one_space_for_white_space(text: str) -> None:
    assert folded(text) == folded(" ".join(text.split()))
    assert folded(text.replace(" ", "\n")) == folded(text)
