"""Documents and queries as features need them: each text is normalised and cut into terms once."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from resift.text.analysis import Analyzer

_REMEMBERED = 2048  # documents; about 10 KB each at 100 words


@dataclass(frozen=True, slots=True)
class AnalysedText:
    """A query, or the title and text of a document.

    Attributes:
        title, text: in Unicode's composed form (NFC), so that equal texts give equal features however they are typed.
        folded: title and text, case-folded, with single spaces.
        title_terms, terms: of the title, and of the text.

    """

    title: str
    text: str
    folded: str
    title_terms: tuple[str, ...]
    terms: tuple[str, ...]


class TextReader:
    """Analyses texts; it remembers the latest 2,048, so that a document that comes again costs nothing.

    Safe to call from many threads.
    """

    def __init__(self, analyzer: Analyzer) -> None:
        self.analyzer = analyzer
        self.read = lru_cache(maxsize=_REMEMBERED)(self._read)

    def _read(self, title: str, text: str) -> AnalysedText:
        title, text = composed(title), composed(text)
        words = self.analyzer.words
        return AnalysedText(title, text, folded(f"{title} {text}"), tuple(words(title)), tuple(words(text)))


def composed(text: str) -> str:
    """The text in NFC."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def folded(text: str) -> str:
    """The text in compatibility form (NFKC), case-folded, with one space for all white space, none at the ends."""
    flat = " ".join(text.split())
    return flat.lower() if flat.isascii() else unicodedata.normalize("NFKC", flat).casefold()
