"""Where the terms of a query stand in its candidates: one pass over the documents serves all lexical features."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from resift.features.analysed_text import BORDER, AnalysedText
from resift.text.term_keys import keys_of

_FIRST = 0x100  # the character that stands for the query's first term
_OTHER, _BORDER = ord(" "), ord("\n")  # stand for a term that the query does not have, and for the end of a title


class TermMatches:
    """The query's terms in each document, title first, then text.

    Attributes:
        terms: of the query, each once, in order: Q of them.
        sequence: the query, one character per term.
        present: (n, Q) whether title or text has the term.
        in_title: (n, Q) whether the title has it.
        first: (n, Q) the position of its first occurrence, counted in terms; infinite where there is none.
        counts: (n,) how many of the document's terms the query has, repetitions included.

    """

    def __init__(self, query_terms: Sequence[str], documents: Sequence[AnalysedText]) -> None:
        self.terms = tuple(dict.fromkeys(query_terms))
        characters = {term: chr(_FIRST + i) for i, term in enumerate(self.terms)}
        self.sequence = "".join(characters[term] for term in query_terms)
        n, q = len(documents), len(self.terms)
        self._keys = np.frombuffer(b"".join(document.keys for document in documents), np.int64)
        lengths = np.array([len(document.keys) // 8 for document in documents], np.int64)
        self._ends = np.cumsum(lengths)
        self._starts = self._ends - lengths
        self._places, columns = _places(keys_of(self.terms), self._keys)
        rows = np.searchsorted(self._ends, self._places, side="right")
        positions = self._places - self._starts[rows]
        self.present, self.in_title = np.zeros((n, q), bool), np.zeros((n, q), bool)
        self.present[rows, columns] = True
        titles = np.array([document.title_terms for document in documents], np.int64)
        inside = positions < titles[rows]
        self.in_title[rows[inside], columns[inside]] = True
        self.first = np.full((n, q), math.inf)
        np.minimum.at(self.first, (rows, columns), positions)
        self.counts = np.bincount(rows, minlength=n)
        self._rows, self._columns, self._positions = rows, columns, positions

    @cached_property
    def coded(self) -> list[str]:
        """Each document, one character per term, with one more behind a title, so that to find terms is to search."""
        characters = np.full(len(self._keys), _OTHER, np.dtype("<u4"))
        characters[self._keys == np.frombuffer(BORDER, np.int64)] = _BORDER
        characters[self._places] = self._columns + _FIRST
        text = characters.tobytes().decode("utf-32-le", "surrogatepass")
        return [text[start:end] for start, end in zip(self._starts.tolist(), self._ends.tolist(), strict=True)]

    def occurrences(self) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
        """For each document the positions at which it has a term of the query, ascending, and which term it is."""
        ends = np.searchsorted(self._rows, np.arange(len(self._ends) + 1))
        for start, end in zip(ends[:-1], ends[1:], strict=True):
            yield self._positions[start:end], self._columns[start:end]


def _places(
    wanted: npt.NDArray[np.int64], keys: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Where any of the wanted keys stands, ascending, and which of them it is there."""
    places = np.flatnonzero(np.isin(keys, wanted))
    order = np.argsort(wanted)
    return places, order[np.searchsorted(wanted, keys[places], sorter=order)]


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
