"""The lists on which a model in training is measured: what a real first stage gives, with the grades of all judged.

A positive that the first stage does not bring is not slipped in: it counts as missed, for every model alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from resift.errors import InputError
from resift.evaluate import named_measures
from resift.evaluate.dataset import Dataset
from resift.evaluate.evaluation import row_matrix
from resift.evaluate.statistics import Floats
from resift.files.stored_documents import StoredDocuments
from resift.retrieve.bm25 import BM25Retriever
from resift.score.pairs import whole_text
from resift.train.examples import TrainingQuery
from resift.train.neural.rows import query_text
from resift.types import Document, Query

if TYPE_CHECKING:
    from ir_measures import Measure

Candidates = Literal["bm25", "given", "corpus"]
Key = TypeVar("Key")
RELEVANT_FROM = 0.5  # of labels that are no whole numbers


@dataclass(frozen=True, slots=True)
class Judgement:
    """The label of a document, and its text; empty where the data do not have the document."""

    text: str
    label: float | None


@dataclass(frozen=True, slots=True)
class RankingList:
    """One query, the documents that the first stage brought in its order, and the judgements of all judged ones.

    `judgements` are by place in `documents`; judged documents that were not brought have places behind them.
    """

    query: str
    documents: tuple[str, ...]
    judgements: Mapping[int, Judgement]

    @property
    def grades(self) -> dict[int, int]:
        """The grades of judged documents by place."""
        return {place: grade(judgement.label) for place, judgement in self.judgements.items()}

    @property
    def labels(self) -> list[tuple[int, str, float]]:
        """Place, text and label of judged documents that have both."""
        items = self.judgements.items()
        return [(place, j.text, j.label) for place, j in items if j.label is not None and j.text.strip()]


@dataclass(frozen=True, slots=True)
class RankingLists:
    """Lists of one set of queries; `first_stage` says in words where they come from."""

    name: str
    lists: tuple[RankingList, ...]
    first_stage: str

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """All pairs, list by list."""
        return [(item.query, text) for item in self.lists for text in item.documents]

    @property
    def judged_pairs(self) -> list[tuple[str, str]]:
        """All pairs with a label, list by list."""
        return [(item.query, text) for item in self.lists for _, text, _ in item.labels]

    def split(self, scores: Floats) -> list[Floats]:
        """Scores of all pairs, by list."""
        ends = np.cumsum([len(item.documents) for item in self.lists])[:-1]
        return np.split(scores, ends)

    def part(self, places: Sequence[int], name: str) -> RankingLists:
        """Some of the lists under another name."""
        return RankingLists(name, tuple(self.lists[i] for i in places), self.first_stage)


def grade(label: float | None) -> int:
    """The grade of a label: itself where it is whole, else 1 from 0.5 on; below 0 and without a label 0."""
    if label is None or label < 0:
        return 0
    return int(label) if label == int(label) else int(label >= RELEVANT_FROM)


class _Joined(StoredDocuments):
    """Documents in memory, and behind them some rows of a corpus, which are read when they are asked for."""

    def __init__(self, documents: Sequence[Document], corpus: Sequence[Document], rows: Sequence[int]) -> None:
        self._documents, self._corpus, self._rows = documents, corpus, rows

    def __len__(self) -> int:
        return len(self._documents) + len(self._rows)

    def read(self, i: int) -> Document:
        """The document at a place; see `StoredDocuments`."""
        behind = i - len(self._documents)
        return self._documents[i] if behind < 0 else self._corpus[self._rows[behind]]


class Pool:
    """What BM25 searches: the documents of the queries' candidates, and the corpus that the data bring beside them.

    Documents are the same where a model reads the same, whether or not their titles stand apart, and where a candidate
    is a text of the corpus without its title; each stands once, as the corpus has it.
    """

    def __init__(self, queries: Sequence[TrainingQuery], corpus: Sequence[Document] | None = None) -> None:
        candidates = {_key(c.document): c.document for query in queries for c in query.candidates}
        rows: dict[bytes, int] = {}
        for row, document in enumerate(corpus or ()):
            key = _key(document)
            if document.title and key not in candidates:
                text_key = _key(Document("", document.text))
                key = text_key if text_key in candidates else key
            rows.setdefault(key, row)
        others = {key: document for key, document in candidates.items() if key not in rows}
        self._keys = [*others, *rows]
        self._documents = _Joined(list(others.values()), corpus or (), list(rows.values()))
        if not self._keys:
            raise InputError("the data have no document; give candidates with texts")
        self._bm25 = BM25Retriever(self._documents)

    def lists(
        self, name: str, queries: Sequence[TrainingQuery], depth: int, candidates: Candidates = "bm25"
    ) -> RankingLists:
        """Lists of queries: the `depth` best by BM25, or of their run, or of their own candidates by BM25.

        Where the candidates are the corpus, see `corpus_lists`; `depth` is then how many documents are searched.
        """
        if candidates == "corpus":
            asked = [Asked(query_text(q), q.query.text, _judgements(q)) for q in queries]
            return corpus_lists(name, asked, self._keys, depth, self._bm25)
        made = tuple(self._list(q, depth, candidates) for q in queries)
        words = f"BM25 over {len(self._documents)} documents"
        if candidates == "given":
            runs = any(query.run is not None for query in queries)
            words = "the run given" if runs else "the candidates given, by BM25"
        return RankingLists(name, made, words)

    def _list(self, query: TrainingQuery, depth: int, candidates: Candidates) -> RankingList:
        judgements = _judgements(query)
        if candidates == "given" and query.run is not None:
            by_id = {c.document.id: c.document for c in query.candidates}
            run = {_key(by_id[id_]): by_id[id_] for id_ in query.run}
            return _list_of(query_text(query), list(run.items())[:depth], judgements)
        if candidates == "given":
            places = _by_bm25(self._bm25, query.query.text, [self._places[key] for key in judgements])[:depth]
        else:
            places = self._bm25.best_places(query.query.text, depth)[0].tolist()
        return _list_of(query_text(query), [(self._keys[p], self._documents[p]) for p in places], judgements)

    @cached_property
    def _places(self) -> Mapping[bytes, int]:
        return {key: place for place, key in enumerate(self._keys)}


def _key(document: Document) -> bytes:
    """A digest of what a model reads, white space aside."""
    return blake2b(" ".join(whole_text(document).split()).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _by_bm25(bm25: BM25Retriever, text: str, places: Sequence[int]) -> list[int]:
    """Places in BM25's order; those of documents that share no word with the query come last, as they stand."""
    order = bm25.best_places(text, len(bm25.documents))[0].tolist()
    ranks = {place: rank for rank, place in enumerate(order)}
    return sorted(places, key=lambda place: ranks.get(place, len(ranks)))


def _judgements(query: TrainingQuery) -> dict[bytes, Judgement]:
    """By the key of the document; of two that read the same, the higher label."""
    candidates = sorted(query.candidates, key=lambda c: -1.0 if c.label is None else c.label)
    return {_key(c.document): Judgement(whole_text(c.document), c.label) for c in candidates}


def _judgements_of(data: Dataset, query: Query) -> dict[str, Judgement]:
    documents = data.documents
    return {
        id_: Judgement(whole_text(documents[documents.row(id_)]) if documents.has(id_) else "", float(value))
        for id_, value in data.qrels[query.id].items()
    }


def of_dataset(data: Dataset, depth: int, candidates: Literal["bm25", "corpus"] = "bm25") -> RankingLists:
    """Lists of judged queries: all documents, or the data's own run, else BM25's best."""
    name = f"{data.name}, {data.split}" if data.split else data.name
    if candidates == "corpus":
        asked = [Asked(_instructed(query), query.text, _judgements_of(data, query)) for query in data.queries]
        return corpus_lists(name, asked, data.documents.ids, depth, BM25Retriever(data.documents))
    bm25 = None if data.run is not None else BM25Retriever(data.documents)
    made = []
    for query in data.queries:
        if bm25 is None:
            rows = [data.documents.row(id_) for id_ in (data.run or {}).get(query.id, ())[:depth]]
        else:
            rows = bm25.best_places(query.text, depth)[0].tolist()
        entries = [(document.id, document) for document in map(data.documents.__getitem__, rows)]
        made.append(_list_of(_instructed(query), entries, _judgements_of(data, query)))
    words = "the run given" if bm25 is None else f"BM25 over {len(data.documents)} documents"
    return RankingLists(name, tuple(made), words)


def _instructed(query: Query) -> str:
    return f"{query.instruction} {query.text}" if query.instruction else query.text


@dataclass(frozen=True, slots=True)
class Asked:
    """A query whose documents are to be found: as a model reads it, as BM25 reads it, and judgements by key."""

    text: str
    words: str
    judgements: Mapping[Any, Judgement]


def corpus_lists(
    name: str, queries: Sequence[Asked], keys: Sequence[Key], most: int, bm25: BM25Retriever
) -> RankingLists:
    """Lists of all documents for each query: what BM25 finds, in its order, and then the others as they stand.

    Where there are more than `most`, those that are judged are searched, and those that BM25 puts first, by turns of
    the queries: what they leave out is what hardly anybody would take for an answer. `keys` are those of BM25's
    documents, in their order.
    """
    by_bm25 = [bm25.best_places(query.words, most)[0].tolist() for query in queries]
    answers = {key for query in queries for key in query.judgements}
    chosen = dict.fromkeys(place for place, key in enumerate(keys) if key in answers)
    turns = (place for turn in zip_longest(*by_bm25) for place in turn if place is not None)
    for place in chain(turns, range(len(keys))):
        if len(chosen) >= most:
            break
        chosen.setdefault(place)
    documents = {place: bm25.documents[place] for place in chosen}
    made = []
    for query, places in zip(queries, by_bm25, strict=True):
        order = dict.fromkeys(place for place in chain(places, chosen) if place in chosen)
        made.append(_list_of(query.text, [(keys[place], documents[place]) for place in order], query.judgements))
    size = f"{len(chosen)}" if len(chosen) == len(keys) else f"{len(chosen)} of {len(keys)}"
    return RankingLists(name, tuple(made), f"a search over {size} documents")


def _list_of(text: str, entries: Sequence[tuple[Key, Document]], judgements: Mapping[Key, Judgement]) -> RankingList:
    """A list of documents, each with the key by which it is judged; judged ones that are missing get places behind."""
    places = {key: place for place, (key, _) in enumerate(entries)}
    for key in judgements:
        places.setdefault(key, len(places))
    by_place = {places[key]: judgement for key, judgement in judgements.items()}
    return RankingList(text, tuple(whole_text(document) for _, document in entries), by_place)


def measured(lists: RankingLists, measures: Sequence[Measure], scores: Floats | None = None) -> dict[str, Floats]:
    """Each measure of each query; without scores, of the first stage's order. Ties keep that order."""
    orders: list[list[int]] = []
    parts = [None] * len(lists.lists) if scores is None else lists.split(scores)
    for item, part in zip(lists.lists, parts, strict=True):
        order: npt.NDArray[np.int64] = np.arange(len(item.documents))
        orders.append((order if part is None else np.argsort(-part, kind="stable")).tolist())
    return named_measures.calculate(measures, [item.grades for item in lists.lists], row_matrix(orders))
