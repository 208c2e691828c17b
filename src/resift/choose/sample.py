"""The user's own queries and documents, by which models are measured."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from resift.evaluate.dataset import Dataset
from resift.evaluate.document_store import DocumentStore
from resift.text.language import guess
from resift.types import Document, Query

_DOCUMENTS = 200  # whose tokens are counted
_PART = 0.1  # of the documents, from which a language counts as one of the sample's


@dataclass(frozen=True, slots=True)
class UserSample:
    """Queries and documents, with judgements or without.

    Attributes:
        queries: with an id and a text each.
        documents: that are searched.
        judged: the same as a data set; None without judgements.

    """

    queries: tuple[Query, ...]
    documents: DocumentStore
    judged: Dataset | None = None

    @classmethod
    def of(cls, judged: Dataset) -> UserSample:
        """The sample of a data set."""
        return cls(judged.queries, judged.documents, judged)

    def limited(self, limit: int, seed: int = 0) -> UserSample:
        """At most so many queries, drawn by the seed."""
        if self.judged is not None:
            return UserSample.of(self.judged.sample(limit, seed))
        queries = random.Random(seed).sample(self.queries, min(limit, len(self.queries)))
        return UserSample(tuple(queries), self.documents)

    def by_language(self, seed: int = 0) -> dict[str, list[Document]]:
        """At most 200 documents by the guessed code of their language, "" where it can't be told; most first."""
        places = random.Random(seed).sample(range(len(self.documents)), min(_DOCUMENTS, len(self.documents)))
        groups: dict[str, list[Document]] = {}
        for place in places:
            document = self.documents[place]
            groups.setdefault(guess(f"{document.title} {document.text}"), []).append(document)
        return dict(sorted(groups.items(), key=lambda group: -len(group[1])))

    def languages(self) -> tuple[str, ...]:
        """The languages of a tenth or more of the documents whose language can be told."""
        return frequent({code: len(documents) for code, documents in self.by_language().items() if code})


def frequent(counts: dict[str, int]) -> tuple[str, ...]:
    """The codes that a tenth or more of all have, the most frequent first."""
    total: Counter[str] = Counter(counts)
    return tuple(code for code, count in total.most_common() if count >= _PART * total.total())


def texts_of(documents: Sequence[Document]) -> list[str]:
    """Titles and texts, as models read them."""
    return [f"{document.title} {document.text}".strip() for document in documents]
