"""Documents and queries as features need them: each text is normalised and cut into terms once."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import islice
from threading import Lock

from resift.text.analysis import Analyzer
from resift.text.language import guess
from resift.text.term_keys import TermKeys

BORDER = bytes(8)  # between the terms of a title and those of the text; the key 0 is that of no term
_REMEMBERED = 2048  # documents; about 3 KB each at 100 words
_GUESSED = 200  # characters; twice as many cost twice the time and change few guesses


class AnalysedText:
    """A query, or the title and text of a document; what not every feature set reads is computed when it is asked for.

    Attributes:
        title, text: in Unicode's composed form (NFC), so that equal texts give equal features however they are typed.
        keys: of the terms of title and text, as `keys_of` gives them, with a border behind a title that has any.
        title_terms, terms: how many terms the title has, and both together.

    """

    def __init__(self, title: str, text: str, title_keys: bytes, keys: bytes) -> None:
        self.title, self.text = title, text
        self.keys = title_keys + BORDER + keys if title_keys else keys
        self.title_terms, self.terms = len(title_keys) // 8, (len(title_keys) + len(keys)) // 8

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

    Attributes:
        analyzer: what cuts texts into terms.
        remembered: the latest texts, by title and text, the latest last.

    """

    def __init__(self, analyzer: Analyzer) -> None:
        self.analyzer = analyzer
        self.remembered: dict[tuple[str, str], AnalysedText] = {}
        self._keys = TermKeys(analyzer)
        self._lock = Lock()

    def read(self, texts: Sequence[tuple[str, str]]) -> list[AnalysedText]:
        """Analyse queries or documents, each with its title, which may be empty; together they cost least."""
        with self._lock:
            known = {text: self.remembered.pop(text) for text in dict.fromkeys(texts) if text in self.remembered}
            new = [text for text in dict.fromkeys(texts) if text not in known]
            self.remembered |= known
            self.remembered |= zip(new, self._analysed(new), strict=True)
            analysed = [self.remembered[text] for text in texts]
            for text in [*islice(self.remembered, max(0, len(self.remembered) - _REMEMBERED))]:
                del self.remembered[text]
        return analysed

    def _analysed(self, texts: Sequence[tuple[str, str]]) -> Iterator[AnalysedText]:
        titles = [_composed(title).strip() for title, _ in texts]
        bodies = [_composed(text).strip() for _, text in texts]
        keys = self._keys.of([*titles, *bodies])
        return map(AnalysedText, titles, bodies, keys[: len(texts)], keys[len(texts) :])


def folded(text: str) -> str:
    """The text in compatibility form (NFKC), case-folded, with one space for all white space, none at the ends."""
    # No white space is printable but the ASCII space, and to ask is faster than to split.
    flat = text.strip() if text.isprintable() and "  " not in text else " ".join(text.split())
    return flat.lower() if flat.isascii() else unicodedata.normalize("NFKC", flat).casefold()


def _composed(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFC", text)
