"""Reads a sample of what is to be indexed, by which the default models of a new index are chosen."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from resift import files
from resift.errors import InputError
from resift.score.pairs import whole_text

_FILES, _PASSAGES = 100, 500


def sample_of(sources: Sequence[str]) -> list[str]:
    """Up to 500 passages: the first ones of up to 100 files, evenly spread, as many of each file.

    A file that can't be read is passed over; indexing it says why.
    """
    paths = [path for path in files.list_paths(sources) if path.is_file()]  # a pipe could be read only once
    chosen = paths[:: -(-len(paths) // _FILES) or 1]
    texts: list[str] = []
    for path in chosen:
        try:
            texts += map(whole_text, islice(files.read_file(path), _PASSAGES // len(chosen)))
        except (InputError, OSError):
            continue
    return texts
