"""Where the terms of a query stand in its candidates: one pass over the documents serves all lexical features."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import repeat

import numpy as np
import numpy.typing as npt

from resift.features.analysed_text import AnalysedText

_FIRST = 0x100  # the character that stands for the query's first term
_OTHERS = repeat(" ")  # terms that the query does not have
_BORDER = "\n"  # the end of a title


class TermMatches:
    """The query's terms in each document, title first, then text.

    A document is written as a string with one character per term, so that "does this run of terms stand here" is a
    search in a string, and positions are one array for all documents.

    Attributes:
        terms: of the query, each once, in order: Q of them.
        sequence: the query, one character per term.
        coded: each document, one character per term, with a border behind the title.
        present: (n, Q) whether title or text has the term.
        in_title: (n, Q) whether the title has it.
        first: (n, Q) the position of its first occurrence, counted in terms; infinite where there is none.
        counts: (n,) how many of the document's terms the query has, repetitions included.

    """

    def __init__(self, query: AnalysedText, documents: Sequence[AnalysedText]) -> None:
        self.terms = tuple(dict.fromkeys(query.terms))
        codes = {term: chr(_FIRST + i) for i, term in enumerate(self.terms)}
        self.sequence = "".join(codes[term] for term in query.terms)
        self.coded = [_coded(document, codes) for document in documents]
        n, q = len(documents), len(self.terms)
        lengths = np.array([len(text) for text in self.coded], np.int64)
        data = "".join(self.coded).encode("utf-32-le", "surrogatepass")
        characters = np.frombuffer(data, np.uint32).astype(np.int64)
        places = np.flatnonzero(characters >= _FIRST)
        rows = np.repeat(np.arange(n), lengths)[places]
        columns, positions = characters[places] - _FIRST, places - (np.cumsum(lengths) - lengths)[rows]
        self.present, self.in_title = np.zeros((n, q), bool), np.zeros((n, q), bool)
        self.present[rows, columns] = True
        titles = np.array([len(document.title_terms) for document in documents], np.int64)
        inside = positions < titles[rows]
        self.in_title[rows[inside], columns[inside]] = True
        self.first = np.full((n, q), math.inf)
        np.minimum.at(self.first, (rows, columns), positions)
        self.counts = np.bincount(rows, minlength=n)
        self._rows, self._columns, self._positions = rows, columns, positions

    def occurrences(self) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
        """For each document the positions at which it has a term of the query, ascending, and which term it is."""
        ends = np.searchsorted(self._rows, np.arange(len(self.coded) + 1))
        for start, end in zip(ends[:-1], ends[1:], strict=True):
            yield self._positions[start:end], self._columns[start:end]


def _coded(document: AnalysedText, codes: dict[str, str]) -> str:
    text = "".join(map(codes.get, document.terms, _OTHERS))
    return "".join(map(codes.get, document.title_terms, _OTHERS)) + _BORDER + text if document.title_terms else text


def longest_run(sequence: str, coded: str) -> int:
    """The length of the longest part of `sequence` that stands in `coded`."""
    best = 0
    for start in range(len(sequence)):
        while start + best < len(sequence) and sequence[start : start + best + 1] in coded:
            best += 1
    return best


def smallest_window(positions: Sequence[int], terms: Sequence[int]) -> int:
    """The length, in terms, of the shortest part of a document that has each of `terms` at least once.

    Args:
        positions: ascending, at least one.
        terms: which term stands at each of them.

    """
    lacking, counts, best, left = len(set(terms)), dict.fromkeys(terms, 0), math.inf, 0
    for right, term in enumerate(terms):
        counts[term] += 1
        lacking -= counts[term] == 1
        while not lacking:
            best = min(best, positions[right] - positions[left] + 1)
            counts[terms[left]] -= 1
            lacking += counts[terms[left]] == 0
            left += 1
    return int(best)
