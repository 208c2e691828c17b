"""Words for lexical search: NFKC, case-folded, stemmed for one language; Han, Kana and Thai as overlapping pairs.

Offsets are those of the text as given, so that a match can be shown where it stands.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import cached_property
from typing import Any, NamedTuple

# Combining marks are no word characters for `re`; without them Hindi, Thai and decomposed Vietnamese fall apart.
_MARKS = (
    "\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u064b-\u065f\u0670\u0900-\u0963\u0966-\u0dff"
    "\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u3099\u309a"
)
_WORD = re.compile(rf"[^\W_](?:[^\W_]|[{_MARKS}])*")
_UNSPACED = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+")

# The list that Lucene's English analyser drops by default.
_STOP_WORDS = frozenset(
    "a an and are as at be but by for if in into is it no not of on or such "
    "that the their then there these they this to was will with".split()
)


class Term(NamedTuple):
    """One indexed unit and the characters of the original text that it stands for."""

    text: str
    start: int
    end: int


class Analyzer:
    """Text -> terms; `language` is the stemmer's ("english", or "" for none). Equal settings give equal terms."""

    def __init__(self, language: str = "english") -> None:
        self.language = language
        self._stems: dict[str, str] = {}

    @cached_property
    def _stemmer(self) -> Any:  # noqa: ANN401 - PyStemmer ships no types
        import Stemmer

        return Stemmer.Stemmer(self.language)

    def terms(self, text: str) -> Iterator[Term]:
        """Yield the terms of text in order, stop words left out."""
        for match in _WORD.finditer(text):
            word, at = match.group(), match.start()
            runs = list(_UNSPACED.finditer(word)) if not word.isascii() else []
            position = 0
            for run in runs:
                yield from self._word(word[position : run.start()], at + position)
                yield from _pairs(run.group(), at + run.start())
                position = run.end()
            yield from self._word(word[position:], at + position)

    def words(self, text: str) -> list[str]:
        """The terms' texts alone."""
        return [t.text for t in self.terms(text)]

    def _word(self, word: str, at: int) -> Iterator[Term]:
        if not word:
            return
        folded = unicodedata.normalize("NFKC", word).casefold()
        if self.language == "english" and folded in _STOP_WORDS:
            return
        yield Term(self._stem(folded), at, at + len(word))

    def _stem(self, word: str) -> str:
        if not self.language:
            return word
        stem = self._stems.get(word)
        if stem is None:
            stem = self._stems[word] = self._stemmer.stemWord(word)
        return stem


def _pairs(run: str, at: int) -> Iterator[Term]:
    """Overlapping pairs of characters; a single character stands alone."""
    if len(run) == 1:
        yield Term(unicodedata.normalize("NFKC", run), at, at + 1)
    for i in range(len(run) - 1):
        yield Term(unicodedata.normalize("NFKC", run[i : i + 2]), at + i, at + i + 2)
