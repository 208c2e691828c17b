"""SentencePiece's table of characters: which sequences become which others, as compiled into a .model file.

The table is a trie of UTF-8 in a double array (Darts-clone): a unit's label is its lowest byte, a child's place is its
parent's offset xor the label, and a unit with a leaf has its value at the offset itself. Values are places in a block
of strings that end with NUL. SentencePiece takes the longest sequence at each place (normalizer.cc).
`tokenizers.normalizers.Precompiled` does not: it asks for the shortest one per grapheme, and drops what is left of it,
such as the second mark of a decomposed "ế".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from resift.models.tokenizers.text_steps import Substitution


def read_charsmap(content: bytes) -> dict[str, str]:
    """Every sequence of the table, and what it becomes.

    Raises:
        ValueError: the table is damaged.

    """
    size = int.from_bytes(content[:4], "little")
    if size % 4 or not 0 < size <= len(content) - 4:
        raise ValueError(f"its trie has {size} bytes, the table {len(content)}")
    units, strings = np.frombuffer(content[4 : 4 + size], "<u4"), content[4 + size :]
    table = {}
    for key, value in _leaves(units):
        if value >= len(strings):
            raise ValueError(f"it points at byte {value} of {len(strings)}")
        table[key.decode()] = strings[value : strings.index(b"\0", value)].decode()
    return table


def _leaves(units: npt.NDArray[np.uint32]) -> Iterable[tuple[bytes, int]]:
    """Keys and values of a double array, one length of keys after another."""
    offsets = (units >> 10) << ((units & 0x200) >> 6)
    nodes, keys = np.zeros(1, np.int64), [b""]
    labels = np.arange(1, 256)
    while len(nodes):
        base = nodes ^ offsets[nodes].astype(np.int64)
        leaf = (units[nodes] & 0x100) != 0
        for i in np.flatnonzero(leaf):
            yield keys[i], int(units[base[i]] & 0x7FFFFFFF)
        children = base[:, None] ^ labels
        inside = children < len(units)
        is_child = inside & ((units[np.where(inside, children, 0)] & 0x800000FF) == labels)
        parents, columns = np.nonzero(is_child)
        if len(parents) > _MOST:
            raise ValueError("its trie has a circle")
        nodes = children[parents, columns]
        keys = [keys[p] + bytes((int(c) + 1,)) for p, c in zip(parents, columns, strict=True)]


def charsmap_step(table: Mapping[str, str], whole: Iterable[str] = ()) -> Substitution:
    """The change that the table makes: the longest sequence at each place, from left to right.

    Args:
        table: see `read_charsmap`.
        whole: texts that stay as they are.

    """
    longest = max(map(len, table), default=1)
    kept_whole = {text: text for text in whole}
    runs: dict[str, str] = dict(kept_whole)

    def change(run: str) -> str:
        if run not in runs:
            if len(runs) > _RUNS:
                runs.clear()
                runs.update(kept_whole)
            runs[run] = "".join(_changed(run, table, longest))
        return runs[run]

    first = {key[0] for key in table if len(key) > 1}
    behind = {character for key in table for character in key[1:]}
    alone = {key for key in table if len(key) == 1}
    patterns = [re.escape(text) for text in sorted(kept_whole, key=len, reverse=True)]
    if first:
        patterns.append(f"[{_class(first)}][{_class(behind)}]+")
    if alone:
        patterns.append(f"[{_class(alone)}]")
    return Substitution(re.compile("|".join(patterns)), change)


_MOST = 1_000_000  # sequences of one length; units share what is behind them, so that the array does not bound it
_RUNS = 10_000  # how many runs of characters are remembered


def _changed(run: str, table: Mapping[str, str], longest: int) -> Iterable[str]:
    at = 0
    while at < len(run):
        length = next((n for n in range(min(longest, len(run) - at), 0, -1) if run[at : at + n] in table), 0)
        yield table[run[at : at + length]] if length else run[at]
        at += length or 1


def _class(characters: Iterable[str]) -> str:
    """The inside of a class of a regular expression."""
    points = sorted(map(ord, characters))
    ranges: list[list[int]] = []
    for point in points:
        if ranges and point == ranges[-1][1] + 1:
            ranges[-1][1] = point
        else:
            ranges.append([point, point])
    return "".join(f"\\U{a:08x}-\\U{b:08x}" for a, b in ranges)
