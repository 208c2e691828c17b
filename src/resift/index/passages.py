"""The passages on disk, as a sequence of documents that are read one by one."""

from __future__ import annotations

import json
import mmap
from collections.abc import Iterable, Iterator
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

import numpy as np
import numpy.typing as npt

from resift.files.stored_documents import StoredDocuments
from resift.types import Document

NUMBER = "index_number"  # the metadata entry that says which passage of the index a document is


class Passages(StoredDocuments):
    """The passages of a generation, in order; a document's metadata says its number."""

    def __init__(self, generation: Path) -> None:
        self._starts = np.load(generation / "passages_at.npy", mmap_mode="r")
        with (generation / "passages.jsonl").open("rb") as file:
            self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if self._starts[-1] else b""

    def __len__(self) -> int:
        return len(self._starts) - 1

    def read(self, i: int) -> Document:
        """The document at a place; see `StoredDocuments`."""
        value = json.loads(self.raw(i))
        return Document(value["id"], value["text"], value["title"], {**value["metadata"], NUMBER: i})

    def raw(self, i: int) -> bytes:
        """The line of a passage, with its newline."""
        return bytes(self._data[int(self._starts[i]) : int(self._starts[i + 1])])

    def lines(self, first: int, count: int) -> tuple[bytes, npt.NDArray[np.int64]]:
        """The lines of `count` passages as one string of bytes, and where in it each line ends."""
        bounds = self._starts[first : first + count + 1]
        return bytes(self._data[int(bounds[0]) : int(bounds[-1])]), bounds[1:] - bounds[0]


def line_of(document: Document) -> bytes:
    """A document as its line in `passages.jsonl`."""
    metadata = {k: v for k, v in document.metadata.items() if k != NUMBER}
    value = {"id": document.id, "title": document.title, "text": document.text, "metadata": metadata}
    return json.dumps(value, ensure_ascii=True, default=str).encode() + b"\n"


def id_hash(id_: str) -> int:
    """Eight bytes that stand for an id when ids are compared."""
    return int.from_bytes(blake2b(id_.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def unique_ids(documents: Iterable[Document], hashes: set[int]) -> Iterator[Document]:
    """Give a repeated id the ending #2, #3 …: in an index an id names one passage.

    `hashes` are those of the ids in use, and the new ones are added to it.
    """
    for d in documents:
        id_, n = d.id, 1
        while (hash_ := id_hash(id_)) in hashes:
            n += 1
            id_ = f"{d.id}#{n}"
        hashes.add(hash_)
        yield d if id_ == d.id else replace(d, id=id_)
