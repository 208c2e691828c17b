"""Optional word segmentation for Chinese, Japanese and Vietnamese, each by an installed library (extras zh, ja, vi).

All run offline, their dictionaries inside their wheels.
"""

from __future__ import annotations

import importlib
import re
import threading
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any

from resift.errors import MissingExtra

Segmenter = Callable[[str], Iterable[tuple[int, int]]]

# Language, which is also the name of the extra -> the name of the function, and the packages that determine words.
LIBRARIES = {
    "zh": ("word segmentation of Chinese", ("rjieba",)),
    "ja": ("word segmentation of Japanese", ("sudachipy", "sudachidict_small")),
    "vi": ("word segmentation of Vietnamese", ("underthesea",)),
}
_SUDACHI_LIMIT = 12_000  # characters: Sudachi refuses more than 49,149 bytes
_CLUSTER = re.compile("\\S[\u0300-\u036f]*")


@cache
def segmenter(language: str) -> Segmenter:
    """A function from a text to the character ranges of its words, in order; made once per language.

    Ranges don't overlap and together hold every character that is no white space. Safe to call from many threads.

    Args:
        language: "zh", "ja" or "vi".

    Raises:
        MissingExtra: the language's library is not installed.
        ValueError: there is no segmenter for the language.

    """
    if language not in LIBRARIES:
        raise ValueError(f"no word segmenter for {language!r}; there are {', '.join(LIBRARIES)}")
    return {"zh": _chinese, "ja": _japanese, "vi": _vietnamese}[language]()


def joined(text: str, language: str) -> str:
    """The text's words with spaces between and "_" within, as for PhoBERT: "thủ đô Hà Nội" gives "thủ_đô Hà_Nội".

    Raises:
        MissingExtra: the language's library is not installed.

    """
    return joined_places(text, language)[0]


def joined_places(text: str, language: str) -> tuple[str, list[int]]:
    """The same, and the position in `text` of each character; a space or "_" has that of the next character."""
    parts: list[str] = []
    places: list[int] = []
    for start, end in segmenter(language)(text):
        for i, part in enumerate(re.finditer(r"\S+", text[start:end])):
            if parts:
                parts.append("_" if i else " ")
                places.append(start + part.start())
            parts.append(part.group())
            places += range(start + part.start(), start + part.end())
    return "".join(parts), places


def library(language: str) -> str:
    """The libraries of a segmenter with their versions, on which its words depend, such as "rjieba-0.2.2"."""
    for module in LIBRARIES[language][1]:
        _load(module, language)
    from importlib.metadata import version

    return "+".join(f"{name}-{version(name)}" for name in LIBRARIES[language][1])


def _load(module: str, language: str) -> Any:  # noqa: ANN401 - the libraries ship no types
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtra(LIBRARIES[language][0], language) from error


def _chinese() -> Segmenter:
    tokenize = _load("rjieba", "zh").tokenize

    def segment(text: str) -> Iterator[tuple[int, int]]:
        # Lone surrogates have no UTF-8; one character for one keeps the offsets.
        for _, start, end in tokenize(text.encode("utf-8", "replace").decode()):
            yield start, end

    return segment


def _japanese() -> Segmenter:
    sudachi = _load("sudachipy", "ja")
    _load("sudachidict_small", "ja")
    dictionary = sudachi.Dictionary(dict="small")
    thread = threading.local()  # a Sudachi tokenizer must not be used by two threads

    def segment(text: str) -> Iterator[tuple[int, int]]:
        if not hasattr(thread, "tokenizer"):
            thread.tokenizer = dictionary.tokenizer(mode=sudachi.SplitMode.A, fields=set())
        safe = text.encode("utf-8", "replace").decode()
        for at in range(0, len(safe), _SUDACHI_LIMIT):
            for morpheme in thread.tokenizer.tokenize(safe[at : at + _SUDACHI_LIMIT]):
                if morpheme.begin() < morpheme.end():
                    yield at + morpheme.begin(), at + morpheme.end()

    return segment


def _vietnamese() -> Segmenter:
    word_tokenize = _load("underthesea", "vi").word_tokenize
    lock = threading.Lock()  # it loads its model into a global at the first call

    def segment(text: str) -> Iterator[tuple[int, int]]:
        # It returns words without places: count characters other than white space, composed as in its words.
        letters, places, last = [], [], 0
        for cluster in _CLUSTER.finditer(text.encode("utf-8", "replace").decode()):
            characters = unicodedata.normalize("NFC", cluster.group())
            letters += [text[last : cluster.start()], characters]
            places += [cluster.span()] * len(characters)
            last = cluster.end()
        with lock:
            words = word_tokenize("".join(letters), use_token_normalize=False)
        lengths = [len("".join(word.split())) for word in words]
        if sum(lengths) != len(places):  # it changed the text, so each syllable is a word
            yield from (match.span() for match in re.finditer(r"\S+", text))
            return
        at = end = 0
        for length in lengths:
            start = max(places[at][0], end) if length else end
            at += length
            # A word can end between a letter and a mark that does not compose; the mark stays with its letter.
            if length and places[at - 1][1] > start:
                end = places[at - 1][1]
                yield start, end

    return segment
