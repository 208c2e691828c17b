"""Keeps what retrievers list in a folder until mining is done, so that one that is interrupted goes on from there."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from resift import atomic
from resift.errors import BrokenModel
from resift.evaluate.document_store import DocumentStore
from resift.protocols import Embedder
from resift.score.cache import digest
from resift.score.embedder import ModelEmbedder

_PAUSE = 30.0  # seconds between two writings of a list that is not complete


@dataclass(slots=True)
class Listed:
    """What one retriever lists of the first documents of a corpus.

    Attributes:
        places, values: (Q, k) as in `Listing`.
        asked: scores of the documents that were asked for, of all queries.
        documents: how many documents were read.

    """

    places: npt.NDArray[np.int64]
    values: npt.NDArray[np.float32]
    asked: npt.NDArray[np.float32]
    documents: int = 0


@dataclass(slots=True)
class KeptListing:
    """The file of one retriever's list; without a path nothing is kept."""

    path: Path | None = None
    _written: float = field(default_factory=time.monotonic)

    def restore(self, listed: Listed) -> None:
        """Take over what an earlier run listed.

        Raises:
            BrokenModel: the file can't be read.

        """
        if self.path is None or not self.path.exists():
            return
        try:
            with np.load(self.path) as arrays:
                listed.places[:], listed.values[:], listed.asked[:] = (
                    arrays["places"],
                    arrays["values"],
                    arrays["asked"],
                )
                listed.documents = int(arrays["documents"])
        except (OSError, ValueError, KeyError) as error:
            raise BrokenModel(f"{self.path} can't be read ({error}); delete it, and mine again") from error

    def keep(self, listed: Listed, complete: bool = False) -> None:
        """Write the list where it is complete, or was not written for half a minute."""
        if self.path is None or (not complete and time.monotonic() - self._written < _PAUSE):
            return
        with atomic.blaming(self.path), atomic.replacing(self.path) as file:
            np.savez(file, places=listed.places, values=listed.values, asked=listed.asked, documents=listed.documents)
        self._written = time.monotonic()


def kept_listing(
    folder: Path | None,
    ranker: str | Embedder,
    queries: Sequence[str],
    documents: DocumentStore,
    k: int,
    asked: Sequence[npt.NDArray[np.int64]],
) -> KeptListing:
    """The file for a list, whose name depends on all that the list depends on."""
    if folder is None:
        return KeptListing()
    model = (
        repr(ranker.info) if isinstance(ranker, ModelEmbedder) else ranker if isinstance(ranker, str) else ranker.name
    )
    places = np.concatenate([*asked, np.array([len(part) for part in asked], np.int64)])
    key = digest(model, documents.texts_fingerprint, str(k), places.tobytes().hex(), *queries)
    with atomic.blaming(folder):
        folder.mkdir(exist_ok=True)
    return KeptListing(folder / f"{key.hex()[:32]}.npz")
