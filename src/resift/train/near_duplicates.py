"""Texts that say the same: equal but for letters and punctuation, or with nearly the same words."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

SIMILARITY = 0.8  # Jaccard similarity from which two sets of shingles are of the same text
_CEILING = 1 - SIMILARITY
_LEAST_WITHIN = 8  # shingles of a text that may lie within another
_WORD = re.compile(r"\w+")
# Scripts without spaces between words, whose texts are compared by pairs of letters.
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]")


def words_of(text: str) -> list[str]:
    """The words of a text without letter case, width and punctuation; pairs of letters where nothing parts words."""
    words: list[str] = []
    for word in _WORD.findall(unicodedata.normalize("NFKC", text).casefold()):
        if len(word) > 2 and _UNSPACED.search(word):
            words += (word[i : i + 2] for i in range(len(word) - 1))
        else:
            words.append(word)
    return words


def normal(text: str) -> str:
    """A text's words in their order: equal for texts that differ in letter case, punctuation and white space alone."""
    return " ".join(words_of(text))


def shingles(text: str, size: int = 1) -> frozenset[str]:
    """The runs of so many words of a text; the whole text where it is shorter; none where it has no word."""
    words = words_of(text)
    if not words:
        return frozenset()
    return frozenset(" ".join(words[i : i + size]) for i in range(max(1, len(words) - size + 1)))


def jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    """The share of the shingles of both that are in both, 0 to 1; 0 where one has none."""
    common = len(a & b)
    return common / (len(a) + len(b) - common) if common else 0.0


def groups(texts: Sequence[str]) -> list[int]:
    """A number per text: the same for texts of equal words, and along chains of nearly the same words.

    Texts without a word, such as "???", are the same where they are equal. Every pair of at least `SIMILARITY` is
    compared: such a pair shares one of the rarest words of both (prefix filtering; Chaudhuri, Ganti & Kaushik, 2006).
    The numbers are positions in `texts`, of the first of each group.
    """
    parents = list(range(len(texts)))

    def root(i: int) -> int:
        while parents[i] != i:
            parents[i] = parents[parents[i]]
            i = parents[i]
        return i

    for i, j in _pairs(texts):
        a, b = sorted((root(i), root(j)))
        parents[b] = a
    return [root(i) for i in range(len(texts))]


def _pairs(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Positions of texts that say the same, each with an earlier one; not every pair of a larger group is named."""
    first_of: dict[frozenset[str] | str, int] = {}
    distinct: list[tuple[int, frozenset[str]]] = []
    for i, text in enumerate(texts):
        words = shingles(text)
        first = first_of.setdefault(words or text.strip(), i)
        if first != i:
            yield first, i
        elif words:
            distinct.append((i, words))
    frequency = Counter(word for _, words in distinct for word in words)
    by_word: dict[str, list[int]] = defaultdict(list)
    for place, (i, words) in enumerate(distinct):
        rarest = sorted(words, key=lambda word: (frequency[word], word))
        prefix = rarest[: int(len(words) * _CEILING + 1e-9) + 1]
        others = {other for word in prefix for other in by_word[word]}
        for other in sorted(others):
            j, other_words = distinct[other]
            if jaccard(words, other_words) >= SIMILARITY:
                yield j, i
        for word in prefix:
            by_word[word].append(place)


def says_the_same(a: frozenset[str], b: frozenset[str]) -> bool:
    """Whether two sets of shingles are of nearly the same text, or one text is nearly all in the other.

    Of texts under eight shingles only the whole is compared: a few words are part of many texts.
    """
    smaller = min(len(a), len(b))
    within = smaller >= _LEAST_WITHIN and len(a & b) >= SIMILARITY * smaller
    return within or jaccard(a, b) >= SIMILARITY
