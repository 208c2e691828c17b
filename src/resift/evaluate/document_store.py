"""The documents of a data set on disk, read one by one; their order depends on their texts alone."""

from __future__ import annotations

import json
import mmap
import shutil
import tempfile
import weakref
from array import array
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from resift.errors import InputError
from resift.files.stored_documents import StoredDocuments
from resift.types import Document

_PLACE = ("path", "line", "start", "end")  # metadata of a file's record; BM25 searches the ids of such records
_DIGEST = 16  # bytes


class DocumentStore(StoredDocuments):
    """Documents whose texts lie in a temporary folder, which goes when the store does.

    They are ordered by a hash of their titles and texts. Retrievers break ties by this order, so that neither other ids
    nor another order of the file changes a ranking; only documents of one text are ordered as they came.

    Attributes:
        ids: of the documents, in their order.
        repeated: ids that came more than once, with the same text each time; each is stored once.

    """

    def __init__(self, documents: Iterable[Document]) -> None:
        """Write documents to disk, one after the other.

        Raises:
            InputError: one id stands for two texts.

        """
        folder = Path(tempfile.mkdtemp(prefix="resift-documents-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        with (folder / "documents.jsonl").open("wb") as file:
            ids, self.repeated, starts, digests = _written(documents, file)
        columns = np.frombuffer(digests, ">u8").reshape(-1, 2)
        self._places = np.lexsort((columns[:, 1], columns[:, 0]))
        self._starts = np.asarray(starts)
        self.ids = [ids[i] for i in self._places]
        self._rows = {id_: row for row, id_ in enumerate(self.ids)}
        self._digests = columns[self._places].tobytes()
        self._data: mmap.mmap | bytes = b""
        if ids:
            with (folder / "documents.jsonl").open("rb") as file:
                self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def __len__(self) -> int:
        return len(self.ids)

    def read(self, i: int) -> Document:
        """The document at a place; see `StoredDocuments`."""
        place = int(self._places[i])
        title, text, metadata = json.loads(self._data[int(self._starts[place]) : int(self._starts[place + 1])])
        return Document(self.ids[i], text, title, metadata)

    def has(self, id_: str) -> bool:
        """Whether a document has this id."""
        return id_ in self._rows

    def row(self, id_: str) -> int:
        """The position of the document with this id; KeyError where there is none."""
        return self._rows[id_]

    def rows(self, ids: Iterable[str]) -> npt.NDArray[np.int32]:
        """The positions of several documents."""
        return np.fromiter((self._rows[id_] for id_ in ids), np.int32)

    @property
    def texts_fingerprint(self) -> str:
        """A hash of all titles and texts: the same for other ids and for another order of the file."""
        return sha256(self._digests).hexdigest()

    @property
    def same_texts(self) -> int:
        """How many documents have the text of an earlier one under another id."""
        columns = np.frombuffer(self._digests, np.uint64).reshape(-1, 2)
        return int((columns[1:] == columns[:-1]).all(axis=1).sum())


def _written(documents: Iterable[Document], file: BinaryIO) -> tuple[list[str], list[str], array[int], bytearray]:
    """Ids, ids that came again, where each line starts (and the last one ends), and a hash of each text."""
    places: dict[str, int] = {}
    repeated: list[str] = []
    starts, digests = array("q", [0]), bytearray()
    for document in documents:
        digest = _digest(document)
        place = places.setdefault(document.id, len(places))
        if place < len(starts) - 1:
            if digests[place * _DIGEST : (place + 1) * _DIGEST] != digest:
                raise InputError(f"two documents have the id {document.id!r}; judgements can mean only one of them")
            repeated.append(document.id)
            continue
        digests += digest
        starts.append(starts[-1] + file.write(_line(document)))
    return list(places), repeated, starts, digests


def _digest(document: Document) -> bytes:
    title, text = (part.encode("utf-8", "surrogatepass") for part in (document.title, document.text))
    return sha256(len(title).to_bytes(8, "big") + title + text).digest()[:_DIGEST]


def _line(document: Document) -> bytes:
    metadata = {key: value for key, value in document.metadata.items() if key not in _PLACE}
    return json.dumps([document.title, document.text, metadata], default=str).encode() + b"\n"


def batches(documents: Sequence[Document], size: int) -> Iterator[list[Document]]:
    """Neighbouring documents, so many at a time."""
    for start in range(0, len(documents), size):
        yield [documents[i] for i in range(start, min(start + size, len(documents)))]
