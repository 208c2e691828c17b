"""A sequence of documents that lie on disk and are read one by one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import overload

from resift.types import Document


class StoredDocuments(Sequence[Document], ABC):
    """Whoever derives from it says how many documents there are, and reads one."""

    @abstractmethod
    def read(self, i: int) -> Document:
        """The document at a place from 0 to len - 1."""

    @overload
    def __getitem__(self, i: int) -> Document: ...
    @overload
    def __getitem__(self, i: slice) -> list[Document]: ...
    def __getitem__(self, i: int | slice) -> Document | list[Document]:
        if isinstance(i, slice):
            return [self[j] for j in range(*i.indices(len(self)))]
        if not 0 <= i < len(self):
            raise IndexError(i)
        return self.read(i)
