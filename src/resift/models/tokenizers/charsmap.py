"""SentencePiece's table of characters: which sequences become which others, as compiled into a .model file.

The table is a trie of UTF-8 in a double array (Darts-clone): a unit's label is its lowest byte, a child's place is its
parent's offset xor the label, and a unit with a leaf has its value at the offset itself. Values are places in a block
of strings that end with NUL. SentencePiece takes the longest sequence at each place (normalizer.cc).
`tokenizers.normalizers.Precompiled` does not: it asks for the shortest one per grapheme, and drops what is left of it,
such as the second mark of a decomposed "ế".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from resift.models.tokenizers.text_steps import Substitution

Places = npt.NDArray[np.int64]
_RUNS = 10_000  # how many runs of characters are remembered
_LEAF, _LABEL = 0x100, 0x800000FF


class Charsmap:
    """The table; the 225,000 sequences of nmt_nfkc are never listed, since units share what is behind them.

    Args:
        content: `precompiled_charsmap` of a .model file.

    Attributes:
        alone: characters that become something else, whatever is behind them.
        first: those that begin a longer sequence.
        behind: those that such a sequence goes on with.

    Raises:
        ValueError: the table is damaged.

    """

    def __init__(self, content: bytes) -> None:
        size = int.from_bytes(content[:4], "little")
        if size % 4 or not 0 < size <= len(content) - 4:
            raise ValueError(f"its trie has {size} bytes, the table {len(content)}")
        units = np.frombuffer(content[4 : 4 + size], "<u4").astype(np.int64)
        self._offsets = (units >> 10) << ((units & 0x200) >> 6)
        self._units, self._places = units.tolist(), self._offsets.tolist()
        self._strings = content[4 + size :]
        self.alone, self.first, self.behind, nodes = _characters(units, self._offsets)
        self._check(units, nodes)

    def _check(self, units: Places, nodes: Places) -> None:
        """Every value begins a character of a string that ends.

        Raises:
            ValueError: one does not.

        """
        leaves = nodes[(units[nodes] & _LEAF) != 0]
        places = leaves ^ self._offsets[leaves]
        values = units[places[places < len(units)]] & 0x7FFFFFFF
        self._strings.decode()
        bytes_ = np.frombuffer(self._strings, np.uint8)
        if len(values) < len(leaves) or (len(values) and values.max() > self._strings.rfind(b"\0")):
            raise ValueError("it points behind its end")
        if ((bytes_[values] & 0xC0) == 0x80).any():
            raise ValueError("it points into a character")

    def changed(self, text: str) -> str:
        """What a text becomes: the longest sequence at each place, from left to right."""
        parts, content, at = [], text.encode("utf-8", "replace"), 0
        while at < len(content):
            end, value = self._longest(content, at)
            if end == at:
                end = at + _length(content[at])
                parts.append(content[at:end])
            else:
                parts.append(self._strings[value : self._strings.index(b"\0", value)])
            at = end
        return b"".join(parts).decode()

    def _longest(self, content: bytes, at: int) -> tuple[int, int]:
        """Where the longest sequence from a place on ends, and its value; that place itself where there is none."""
        units, places = self._units, self._places
        end, value, base = at, 0, places[0]
        for i in range(at, len(content)):
            node = base ^ content[i]
            if node >= len(units) or units[node] & _LABEL != content[i]:
                break
            base = node ^ places[node]
            if units[node] & _LEAF:
                end, value = i + 1, units[base] & 0x7FFFFFFF
        return end, value


def _length(byte: int) -> int:
    """How many bytes a character takes whose first one is this."""
    return 1 if byte < 0xC0 else 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4


def _characters(units: Places, offsets: Places) -> tuple[set[str], set[str], set[str], Places]:
    """The characters of all sequences (alone, first of longer ones, behind the first), and the units behind each."""
    children = _Children(units, offsets)
    nodes, points = children.characters(np.zeros(1, np.int64))
    alone = points[(units[nodes] & _LEAF) != 0]
    first = points[children.counts(nodes) > 0]
    seen, behind = np.zeros(len(units), bool), set[int]()
    while len(nodes):
        seen[nodes] = True
        nodes, points = children.characters(np.unique(nodes))
        behind.update(points.tolist())
        nodes = nodes[~seen[nodes]]
    return _texts(alone), _texts(first), _texts(behind), np.flatnonzero(seen)


def _texts(points: Iterable[int]) -> set[str]:
    return {chr(point) for point in points}


class _Children:
    """Goes from units to their children, all at once: units are sorted by the offset that their parent must have."""

    def __init__(self, units: Places, offsets: Places) -> None:
        self._offsets = offsets
        labels = units & 0xFF
        places = np.flatnonzero((labels > 0) & (units < 0x80000000))
        bases = places ^ labels[places]
        order = np.argsort(bases, kind="stable")
        self._places, self._bases, self._labels = places[order], bases[order], labels

    def counts(self, nodes: Places) -> Places:
        """How many children each unit has."""
        bases = nodes ^ self._offsets[nodes]
        return np.searchsorted(self._bases, bases, "right") - np.searchsorted(self._bases, bases, "left")

    def bytes(self, nodes: Places) -> tuple[Places, Places]:
        """All children, and for each which of the nodes is its parent."""
        counts = self.counts(nodes)
        parents = np.repeat(np.arange(len(nodes)), counts)
        begins = np.searchsorted(self._bases, nodes ^ self._offsets[nodes], "left")
        within = np.arange(len(parents)) - np.repeat(np.cumsum(counts) - counts, counts)
        return self._places[begins[parents] + within], parents

    def characters(self, nodes: Places) -> tuple[Places, Places]:
        """The units one character on, and the code points of these characters."""
        places, _ = self.bytes(nodes)
        lead = self._labels[places]
        left = np.select([lead < 0xC0, lead < 0xE0, lead < 0xF0], [0, 1, 2], 3)
        points = lead & np.select([left == 0, left == 1, left == 2], [0x7F, 0x1F, 0x0F], 0x07)
        whole_places, whole_points = [], []
        while len(places):
            whole_places.append(places[left == 0])
            whole_points.append(points[left == 0])
            places, points, left = (a[left > 0] for a in (places, points, left))
            places, parents = self.bytes(places)
            points, left = points[parents] << 6 | self._labels[places] & 0x3F, left[parents] - 1
        return np.concatenate(whole_places or [places]), np.concatenate(whole_points or [points])


def charsmap_step(table: Charsmap, whole: Iterable[str] = ()) -> Substitution | None:
    """The change that the table makes to a text; None where it makes none.

    Args:
        table: of a file.
        whole: texts that stay as they are.

    """
    longest_first = sorted(whole, key=len, reverse=True)
    runs: dict[str, str] = {}

    def change(run: str) -> str:
        if run not in runs:
            if len(runs) >= _RUNS:
                runs.clear()
            runs[run] = run if run in longest_first else table.changed(run)
        return runs[run]

    patterns = [*map(re.escape, longest_first), *_patterns(table)]
    return Substitution(re.compile("|".join(patterns)), change) if patterns else None


def _patterns(table: Charsmap) -> Iterator[str]:
    """What the table can change: a sequence of several characters, or one."""
    if table.first:
        yield f"[{_class(table.first)}][{_class(table.behind)}]+"
    if table.alone:
        yield f"[{_class(table.alone)}]"


def _class(characters: Iterable[str]) -> str:
    """The inside of a class of a regular expression."""
    ranges: list[list[int]] = []
    for point in sorted(map(ord, characters)):
        if ranges and point == ranges[-1][1] + 1:
            ranges[-1][1] = point
        else:
            ranges.append([point, point])
    return "".join(f"\\U{a:08x}-\\U{b:08x}" for a, b in ranges)
