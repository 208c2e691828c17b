"""The terms of many texts at once, as numbers: how texts that nobody has read before are read quickly.

To look up 20,000 words in a dictionary takes most of the time of reading them, because each waits for memory at several
places. Here a word is a number from the beginning, and a table of two arrays, which NumPy reads at once, has its term.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, pairwise

import numpy as np
import numpy.typing as npt

from resift.text.analysis import Analyzer, spaced

_SLOT_BITS, _MOST_PIECES = 18, 150_000  # 4 MB; a fuller table is slower
_LONGEST = 40  # bytes of a piece that is remembered; a clause of Chinese hardly comes again
_BATCH = 1_000_000  # characters that are read at once, which bounds memory
_EIGHT = 8  # bytes of a key, and those of a piece that are read at once
_FACTOR, _HALF = np.uint64(0x9E3779B97F4A7C15), np.uint64(32)  # odd and without pattern: 2^64 / the golden ratio
_MASKS = np.array([(1 << 8 * count) - 1 for count in range(_EIGHT + 1)], np.uint64)  # keep the first bytes of eight

Keys = npt.NDArray[np.int64]
_Stemmers = tuple[tuple[str, str], ...]  # script, stemmer
_Places = npt.NDArray[np.int64]
_Hashes = npt.NDArray[np.uint64]


def keys_of(terms: Iterable[str]) -> Keys:
    """A number for each term, not 0; two are equal where the terms are, in this process alone.

    They are Python's hashes: two different terms may have one, among a million terms once in forty million times.
    """
    return np.fromiter(map(hash, terms), np.int64)


class TermKeys:
    """Gives texts' terms as `keys_of` gives them; not safe to call from several threads at once."""

    def __init__(self, analyzer: Analyzer) -> None:
        self._analyzer = analyzer
        self._tables: dict[_Stemmers, _Table] = {}

    def of(self, texts: Sequence[str]) -> list[bytes]:
        """The keys of `Analyzer.words` of each text, 8 bytes (int64) for each term."""
        if self._analyzer.units == "words-vi":  # whose terms lie within no pieces
            return [keys_of(self._analyzer.words(text)).tobytes() for text in texts]
        by_stemmers: dict[_Stemmers, list[int]] = {}
        for i, text in enumerate(texts):
            by_stemmers.setdefault(tuple(self._analyzer.stemmers_for(text).items()), []).append(i)
        keys = [b""] * len(texts)
        for stemmers, members in by_stemmers.items():
            for batch in _batches(texts, members):
                for i, of_text in zip(batch, self._read([texts[i] for i in batch], stemmers), strict=True):
                    keys[i] = of_text
        return keys

    def _read(self, texts: Sequence[str], stemmers: _Stemmers) -> list[bytes]:
        encoded = [spaced(text) for text in texts]
        data = b" ".join((b"", *encoded, b" " * _EIGHT))
        inside = np.frombuffer(data, np.uint8) != ord(" ")
        edges = np.flatnonzero(inside[1:] != inside[:-1]) + 1
        starts, ends = edges[::2], edges[1::2]  # of pieces
        if stemmers not in self._tables:
            self._tables[stemmers] = _Table()
        table, hashes = self._tables[stemmers], _hashes(data, starts, ends)
        known, first = table.look_up(hashes)
        counts = (first != 0).astype(np.int64)  # of the terms of each piece
        new = [*self._terms(data, starts[~known], ends[~known], stemmers)]
        counts[~known] = [len(terms) for terms in new]
        keys = np.repeat(first, counts)
        keys[np.repeat(~known, counts)] = keys_of(chain.from_iterable(new))
        before = np.concatenate(([0], np.cumsum(counts)))  # terms before each piece, and all
        some = counts > 0
        first[some] = keys[before[:-1][some]]
        learned = ~known & (counts < 2) & (hashes != 0)
        table.add(hashes[learned], first[learned])
        pieces = np.searchsorted(starts, np.cumsum([len(text) + 1 for text in encoded]))  # up to the end of each text
        ends_of_texts, all_keys = before[pieces] * _EIGHT, keys.tobytes()
        return [all_keys[start:end] for start, end in pairwise((0, *ends_of_texts.tolist()))]

    def _terms(self, data: bytes, starts: _Places, ends: _Places, stemmers: _Stemmers) -> Iterator[tuple[str, ...]]:
        """The terms of each of some pieces of data."""
        stemmer_of, terms_of = dict(stemmers), self._analyzer.terms_of
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            yield terms_of(data[start:end].decode("utf-8", "surrogatepass"), stemmer_of)


class _Table:
    """What is known of short pieces of text, by their hashes: the key of the only term, or 0 where there is none.

    A hash table with open addressing: an entry stands at the slot that its hash names, or at the first free one behind.
    """

    def __init__(self) -> None:
        self._hashes = np.zeros(1 << _SLOT_BITS, np.uint64)  # 0 where a slot is free
        self._keys = np.zeros(1 << _SLOT_BITS, np.int64)
        self._count = 0

    def look_up(self, hashes: _Hashes) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
        """Which of the pieces are known, and their keys, 0 where they are not."""
        slots = self._slots(hashes)
        known = (self._hashes[slots] == hashes) & (hashes != 0)
        return known, np.where(known, self._keys[slots], 0)

    def add(self, hashes: _Hashes, keys: npt.NDArray[np.int64]) -> None:
        """Remember pieces; a full table forgets all others first."""
        if self._count + len(hashes) > _MOST_PIECES:
            self._hashes[:] = 0
            self._count, hashes, keys = 0, hashes[:_MOST_PIECES], keys[:_MOST_PIECES]
        self._count += len(hashes)
        while len(hashes):  # of several that want one free slot, one gets it
            slots = self._slots(hashes)
            self._hashes[slots] = hashes
            self._keys[slots] = keys
            left = self._hashes[slots] != hashes
            hashes, keys = hashes[left], keys[left]

    def _slots(self, hashes: _Hashes) -> _Places:
        """Where each hash stands, or the free slot where it would."""
        slots = (hashes >> np.uint64(64 - _SLOT_BITS)).astype(np.int64)
        wrong = np.arange(len(hashes))
        while len(wrong):
            there = self._hashes[slots[wrong]]
            wrong = wrong[(there != hashes[wrong]) & (there != 0)]
            slots[wrong] = (slots[wrong] + 1) % (1 << _SLOT_BITS)
        return slots


def _hashes(data: bytes, starts: _Places, ends: _Places) -> _Hashes:
    """(P,) 64-bit hashes of pieces of data, 0 for those that are longer than 40 bytes; 7 bytes follow the last one.

    Those of pieces of up to eight bytes differ always.
    """
    eight = np.ndarray((len(data) - _EIGHT + 1,), "<u8", data, strides=(1,))  # the eight bytes from each place on
    lengths = ends - starts
    hashes = np.zeros(len(starts), np.uint64)
    at = np.flatnonzero(lengths <= _LONGEST)
    for begin in range(0, _LONGEST, _EIGHT):
        at = at[lengths[at] > begin]
        part = eight[starts[at] + begin] & _MASKS[np.minimum(lengths[at] - begin, _EIGHT)]
        mixed = (hashes[at] ^ part) * _FACTOR
        hashes[at] = (mixed ^ (mixed >> _HALF)) * _FACTOR
    return hashes


def _batches(texts: Sequence[str], members: Iterable[int]) -> Iterator[list[int]]:
    """Yield the members in order, those of a million characters together."""
    batch: list[int] = []
    characters = 0
    for i in members:
        if batch and characters + len(texts[i]) > _BATCH:
            yield batch
            batch, characters = [], 0
        batch.append(i)
        characters += len(texts[i])
    if batch:
        yield batch
