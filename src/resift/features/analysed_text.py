"""Documents and queries as features need them: each text is normalised and cut into terms once."""

from __future__ import annotations

import unicodedata
from functools import cached_property, lru_cache

from resift.text.analysis import Analyzer
from resift.text.language import guess

_REMEMBERED = 2048  # documents; about 10 KB each at 100 words
_GUESSED = 200  # characters; twice as many cost twice the time and change few guesses


class AnalysedText:
    """A query, or the title and text of a document; what not every feature set reads is computed when it is asked for.

    Attributes:
        title, text: in Unicode's composed form (NFC), so that equal texts give equal features however they are typed.
        title_terms, terms: of the title, and of the text.

    """

    def __init__(self, title: str, text: str, analyzer: Analyzer) -> None:
        self.title, self.text = _composed(title).strip(), _composed(text).strip()
        self.title_terms, self.terms = tuple(analyzer.words(self.title)), tuple(analyzer.words(self.text))

    @cached_property
    def folded(self) -> str:
        """Title and text as `folded` gives them."""
        return folded(f"{self.title} {self.text}")

    @cached_property
    def language(self) -> str:
        """The code of the text's language, "" where there is no sign of it."""
        return guess(self.text[:_GUESSED] or self.title)


class TextReader:
    """Analyses texts; it remembers the latest 2,048, so that a document that comes again costs nothing.

    Safe to call from many threads.
    """

    def __init__(self, analyzer: Analyzer) -> None:
        self.read = lru_cache(maxsize=_REMEMBERED)(lambda title, text: AnalysedText(title, text, analyzer))


def folded(text: str) -> str:
    """The text in compatibility form (NFKC), case-folded, with one space for all white space, none at the ends."""
    flat = " ".join(text.split())
    return flat.lower() if flat.isascii() else unicodedata.normalize("NFKC", flat).casefold()


def _composed(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFC", text)
