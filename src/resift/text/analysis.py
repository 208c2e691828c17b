"""Words for lexical search: NFKC, case-folded, stemmed in their language; Han, Kana and Thai as overlapping pairs.

Offsets are those of the original text, so that a match can be shown in it.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import NamedTuple

from resift.errors import InputError
from resift.text.language import guess, script, script_of
from resift.text.segment import LIBRARIES, library, segmenter

# Combining marks are no word characters for `re`; without them words of Hindi, Thai and decomposed Vietnamese break up.
_MARKS = (
    "\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u064b-\u065f\u0670\u0900-\u0963\u0966-\u0dff"
    "\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ece\u102b-\u103e\u17b4-\u17d3\u3099\u309a"
)
_WORD = re.compile(rf"[^\W_](?:[^\W_]|[{_MARKS}])*")
# ASCII that is in no word becomes a space; the bytes of all other characters stay as they are.
_SPACED = bytes(byte if byte > 127 or chr(byte).isalnum() else ord(" ") for byte in range(256))
_LONGEST_KNOWN, _MOST_KNOWN = 40, 200_000  # a clause of Chinese hardly comes again; pieces whose terms are remembered
# Thai, Lao, Burmese, Khmer, Kana, Han with its repetition mark.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff]+"
)
_VERSION = "resift-1"  # raise it when a change gives other terms for the same settings
_GUESS = "guess:"
_UNITS = ("bigrams", "bigrams+characters", *(f"words-{language}" for language in LIBRARIES))
_SAMPLE = 500  # texts whose languages stand for those of a collection
_ALONE = 0.9  # share of a script's texts from which on its commonest language counts as the only one

# Snowball's stemmers, by the code of the language; where a stemmer's script is not Latin, it is named below.
_STEMMERS = {
    "ar": "arabic", "da": "danish", "de": "german", "el": "greek", "en": "english", "es": "spanish", "fi": "finnish",
    "fr": "french", "hi": "hindi", "hu": "hungarian", "hy": "armenian", "id": "indonesian", "it": "italian",
    "nl": "dutch", "pt": "portuguese", "ro": "romanian", "ru": "russian", "sr": "serbian", "sv": "swedish",
    "ta": "tamil", "tr": "turkish",
}  # fmt: skip
_SCRIPT_OF = {
    "arabic": "arabic", "armenian": "hy", "greek": "el", "hindi": "hi", "nepali": "hi", "persian": "arabic",
    "russian": "cyrillic", "serbian": "cyrillic", "tamil": "ta", "yiddish": "he",
}  # fmt: skip
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


def sample(count: int) -> range:
    """Positions of up to 500 of a collection's texts, evenly spread, on which an analyzer is fitted."""
    return range(0, count, -(-count // _SAMPLE) or 1)


class Analyzer:
    """Text -> terms. Equal settings give equal terms, and documents and queries need the same settings.

    Args:
        language: the stemmers, at most one per script: "english", "english+russian", "" for none. English also drops
            Lucene's stop words. With "guess:" in front, the language of each text is guessed; the named stemmers then
            serve texts whose language is unsure and words of another script than the text's.
        units: of text without spaces. "bigrams": overlapping pairs of characters. "bigrams+characters":
            each Han and Kana character alone as well, best for Chinese and Japanese. "words-zh", "words-ja": a
            segmenter's words instead (see `resift.text.segment`). "words-vi": bigrams, and Vietnamese words beside
            their syllables. The last three need the extra named after the language.

    Raises:
        InputError: no stemmer or unit is called so.
        MissingExtra: the segmenter's library is not installed.

    """

    def __init__(self, language: str = "english", units: str = "bigrams") -> None:
        import Stemmer

        names = sorted(filter(None, language.removeprefix(_GUESS).split("+")))
        if unknown := set(names) - set(Stemmer.algorithms()):
            raise InputError(
                f"no stemmer is called {min(unknown)!r}; there are {', '.join(sorted(Stemmer.algorithms()))}"
            )
        if units not in _UNITS:
            raise InputError(f"text can't be cut into {units!r}; there are {', '.join(_UNITS)}")
        self.language = (_GUESS if language.startswith(_GUESS) else "") + "+".join(names)
        self.units = units
        self._guesses = language.startswith(_GUESS)
        self._fixed: dict[str, str] = {_SCRIPT_OF.get(name, "latin"): name for name in names}
        self._stem_of: dict[str, Callable[[str], str]] = {}
        self._known: dict[tuple[tuple[str, str], ...], _Known] = {}
        self._segmented = units.removeprefix("words-") if units.startswith("words-") else ""
        self._segment = segmenter(self._segmented) if self._segmented else None

    @classmethod
    def fitting(cls, texts: Iterable[str]) -> Analyzer:
        """The analyzer for a collection, by the guessed languages of its texts; those of `sample` are enough.

        A script in which nine texts of ten are of one language is stemmed in that language always, in queries too, so
        that a wrong guess, which is likeliest for a short query, does no harm. Where languages of one script mix, the
        language is guessed per text: there, one stemmer for all lost 0.023 nDCG@10 (six languages of XQuAD), while
        guessing per text in a collection of one language lost up to 0.003. Without any hint the stemmer for Latin words
        is English, which is also right for the foreign words in most other scripts. Where more than a tenth of the
        texts are Chinese or Japanese, their characters are terms beside the pairs: this measured best for them, also
        against segmenters (docs/languages.md), but it is worse for a few foreign names in English text.
        """
        by_script: dict[str, Counter[str]] = {}
        for text in texts:
            if code := guess(text):
                by_script.setdefault(script_of(code), Counter())[_STEMMERS.get(code, "")] += 1
        names = [] if "latin" in by_script else ["english"]
        mixed = False
        for stemmers in by_script.values():
            name, count = stemmers.most_common(1)[0]
            mixed = mixed or count < _ALONE * stemmers.total()
            names.append(name)
        texts_guessed = sum(c.total() for c in by_script.values())
        others = texts_guessed - by_script.get("han", Counter()).total()
        units = "bigrams" if others >= _ALONE * texts_guessed else "bigrams+characters"
        return cls((_GUESS if mixed else "") + "+".join(filter(None, names)), units)

    @property
    def signature(self) -> str:
        """The settings that determine terms, such as "resift-1/english/bigrams"; an index on disk stores it.

        It has the versions of a segmenter's libraries, but not of a stemmer, because new versions change few stems.
        """
        versions = f"@{library(self._segmented)}" if self._segmented else ""
        return f"{_VERSION}/{self.language or 'none'}/{self.units}{versions}"

    @classmethod
    def from_signature(cls, signature: str) -> Analyzer:
        """The analyzer that has this signature.

        Raises:
            InputError: no analyzer of this version of Resift and of the installed libraries has it.
            MissingExtra: the segmenter's library is not installed.

        """
        version, language, units = (*signature.split("/"), "", "")[:3]
        if version == _VERSION and language:
            analyzer = cls("" if language == "none" else language, units.partition("@")[0])
            if analyzer.signature == signature:
                return analyzer
        raise InputError(
            f"terms of {signature!r} can't be made again with what is installed: index the documents again"
        )

    def terms(self, text: str) -> Iterator[Term]:
        """Yield the terms of text in order, stop words left out."""
        stemmers = self.stemmers_for(text)
        if self._segmented == "vi":
            yield from self._compounds(text, stemmers)
        else:
            yield from self._plain(text, 0, len(text), stemmers)

    def words(self, text: str) -> list[str]:
        """The terms' texts alone; faster, because the terms of a word that comes again are known."""
        if self._segmented == "vi":
            return [t.text for t in self.terms(text)]
        stemmers = self.stemmers_for(text)
        known = self._known.setdefault(tuple(stemmers.items()), _Known(self, stemmers))
        pieces = spaced(text).decode("utf-8", "surrogatepass").split()
        return [*chain.from_iterable(map(known.__getitem__, pieces))]

    def terms_of(self, piece: str, stemmers: Mapping[str, str]) -> tuple[str, ...]:
        """The texts of the terms of a piece of `spaced` text; one in ASCII, which most are, is a word."""
        if not piece.isascii():
            return tuple(term.text for term in self._plain(piece, 0, len(piece), stemmers))
        term, name = piece.lower(), stemmers.get("latin", "")
        return () if name == "english" and term in _STOP_WORDS else (self._stem(term, name),)

    def stemmers_for(self, text: str) -> Mapping[str, str]:
        """Script -> the name of its stemmer in this text."""
        if not self._guesses or not (code := guess(text)):
            return self._fixed
        return {**self._fixed, script_of(code): _STEMMERS.get(code, "")}

    def _plain(self, text: str, start: int, end: int, stemmers: Mapping[str, str]) -> Iterator[Term]:
        for match in _WORD.finditer(text, start, end):
            word, at = match.group(), match.start()
            runs = list(_UNSPACED.finditer(word)) if not word.isascii() else []
            position = 0
            for run in runs:
                yield from self._word(word[position : run.start()], at + position, stemmers)
                yield from self._run(run.group(), at + run.start())
                position = run.end()
            yield from self._word(word[position:], at + position, stemmers)

    def _word(self, word: str, at: int, stemmers: Mapping[str, str]) -> Iterator[Term]:
        if not word:
            return
        term = _fold(word)
        name = stemmers.get("latin" if word.isascii() else script(term[0]), "")
        if name == "english" and term in _STOP_WORDS:
            return
        yield Term(self._stem(term, name), at, at + len(word))

    def _run(self, run: str, at: int) -> Iterator[Term]:
        """Han, Kana, Thai: the segmenter's words, or overlapping pairs; a single character stands alone."""
        if self._segment is not None and self._segmented != "vi":
            ranges = list(self._segment(run))
        else:
            ranges = [(i, i + 2) for i in range(len(run) - 1)] or [(0, len(run))]
            if (
                self.units == "bigrams+characters" and len(run) > 1 and run[0] > "\u3000"
            ):  # not Thai: its letters say little
                ranges = sorted([*ranges, *((i, i + 1) for i in range(len(run)))])
        for start, end in ranges:
            yield Term(_fold(run[start:end]), at + start, at + end)

    def _compounds(self, text: str, stemmers: Mapping[str, str]) -> Iterator[Term]:
        """All syllables, and before its first syllable each word that has several."""
        assert self._segment is not None
        for start, end in self._segment(text):
            parts = list(self._plain(text, start, end, stemmers))
            if len(parts) > 1 and not _UNSPACED.search(text, start, end):
                yield Term(" ".join(t.text for t in parts), parts[0].start, parts[-1].end)
            yield from parts

    def _stem(self, word: str, name: str) -> str:
        if not name:
            return word
        if name not in self._stem_of:
            import Stemmer

            self._stem_of[name] = Stemmer.Stemmer(name, 0).stemWord  # its cache costs more time than it saves
        return self._stem_of[name](word)


class _Known(dict[str, tuple[str, ...]]):
    """The terms of pieces of text by the same stemmers; those of the first 200,000 short ones are remembered."""

    def __init__(self, analyzer: Analyzer, stemmers: Mapping[str, str]) -> None:
        self._analyzer, self._stemmers = analyzer, stemmers

    def __missing__(self, piece: str) -> tuple[str, ...]:
        terms = self._analyzer.terms_of(piece, self._stemmers)
        if len(piece) <= _LONGEST_KNOWN and len(self) < _MOST_KNOWN:
            self[piece] = terms
        return terms


def spaced(text: str) -> bytes:
    """A text in UTF-8 with spaces for ASCII that is in no word: what then lies between white space are its pieces.

    The terms of a text are those of its pieces, but for words of Vietnamese. Finding words by a regular expression
    takes several times as long.
    """
    if text.isascii():  # elsewhere the marks behind a letter have a say in how it is folded
        text = text.lower()
    return text.encode("utf-8", "surrogatepass").translate(_SPACED)


def _fold(word: str) -> str:
    """NFKC and case-folded, without the dot that folding leaves over the i of a Turkish capital."""
    if word.isascii():
        return word.lower()
    return unicodedata.normalize("NFKC", word).casefold().replace("i\u0307", "i")
