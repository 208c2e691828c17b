"""What is evaluated: queries, documents, judgements, and what is wrong with them, counted and named."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING

from resift import arguments, files
from resift.evaluate.checks import Qrels, checked_data
from resift.evaluate.document_store import DocumentStore
from resift.evaluate.issues import Issue, IssueCode
from resift.files.records import DocumentLike
from resift.score.defaults import DefaultModels
from resift.score.pairs import whole_text
from resift.text.analysis import sample
from resift.types import Query

if TYPE_CHECKING:
    from resift.files import RunLine


@dataclass(frozen=True)
class Dataset:
    """Queries that have a relevant document, the documents, and their grades.

    Attributes:
        queries: ordered by a hash of their texts, so that the order of a file changes no figure.
        documents: in the order of `DocumentStore`.
        qrels: the grades of judged documents by query id and document id; 1 and more is relevant.
        run: candidates per query, best first, where another search brings them.
        issues: what was wrong; nothing is left out without one.
        name, split: where the data come from.
        synthetic: whether queries were made from the documents, and are not what people ask.

    """

    queries: tuple[Query, ...]
    documents: DocumentStore
    qrels: Qrels
    run: Mapping[str, tuple[str, ...]] | None = None
    issues: tuple[Issue, ...] = ()
    name: str = "data"
    split: str = ""
    synthetic: bool = False

    @classmethod
    def of(
        cls,
        queries: Iterable[Query],
        documents: DocumentStore | Iterable[DocumentLike],
        qrels: Qrels,
        run: Mapping[str, Iterable[RunLine]] | None = None,
        name: str = "data",
        split: str = "",
        synthetic: bool = False,
        pooled: bool = False,
    ) -> Dataset:
        """Check data and put them together.

        Args:
            queries: with an id each.
            documents: with an id each; they are streamed to disk.
            qrels: grade by query id and document id, whole numbers.
            run: lines of candidates per query, as `files.read_run` gives them.
            name: of the data.
            split: of the judgements.
            synthetic: whether queries were made from the documents.
            pooled: whether the judged documents are what searches of all documents returned.

        Raises:
            InputError: nothing is left to evaluate, no judged id is known, one id has two texts, or the run has
                documents that are not there.

        """
        store = documents if isinstance(documents, DocumentStore) else DocumentStore(files.documents(documents))
        data = checked_data(tuple(queries), store, qrels, run, name, split, pooled)
        return cls(data.queries, store, data.qrels, data.run, data.issues, name, split, synthetic)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of all that the figures depend on, ids included."""
        whole = sha256(self.documents.texts_fingerprint.encode())
        for query in self.queries:
            grades = sorted(self.qrels[query.id].items())
            candidates = None if self.run is None else self.run.get(query.id)
            whole.update(repr((query.id, query.text, query.instruction, grades, candidates)).encode("utf-8", "replace"))
        return whole.hexdigest()

    @cached_property
    def default_models(self) -> DefaultModels:
        """The models where none is named: one for all, that reads both the queries and the documents."""

        def queries() -> list[str]:
            return [self.queries[i].text for i in sample(len(self.queries))]

        def documents() -> list[str]:
            return [whole_text(self.documents[i]) for i in sample(len(self.documents))]

        return DefaultModels(queries, documents)

    @property
    def judgements(self) -> int:
        """How many documents are judged, over the queries that are evaluated."""
        return sum(len(self.qrels[query.id]) for query in self.queries)

    def sample(self, limit: int | None, seed: int = 0) -> Dataset:
        """At most so many of the queries, drawn by the seed; an issue says that it is a sample.

        Raises:
            InputError: a limit that is no whole number from 1.

        """
        most = arguments.whole(limit, "limit")
        if most is None or most >= len(self.queries):
            return self
        places = sorted(random.Random(seed).sample(range(len(self.queries)), most))
        message = f"of {len(self.queries)} queries are evaluated: a random sample (seed {seed})"
        issues = (*self.issues, Issue(IssueCode.SAMPLED, most, message))
        return replace(self, queries=tuple(self.queries[i] for i in places), issues=issues)
