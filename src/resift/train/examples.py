"""The records that training works on: queries with their candidates, labels, and what was detected in the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from resift.types import Document, Query


class Shape(StrEnum):
    """The form in which data lie."""

    PAIRS = "pairs"  # a query, a document and perhaps a label in each row
    LISTS = "lists"  # a query with its documents and their labels in each row
    TUPLES = "tuples"  # a query, a positive and one or several negatives in each row
    FLAG_EMBEDDING = "flag-embedding"  # {query, pos, neg, pos_scores, neg_scores, prompt} on each line
    BEIR = "beir"  # a folder of corpus.jsonl, queries.jsonl and qrels/
    RUN = "run"  # judgements and a TREC run, with the texts beside them
    CLICKS = "clicks"  # what was shown at which position, and whether it was clicked


class LabelKind(StrEnum):
    """What the labels of a data set are."""

    BINARY = "binary"  # 0 and 1
    GRADED = "graded"  # whole numbers from 0, of which some are over 1
    CONTINUOUS = "continuous"  # other numbers
    NONE = "none"  # there are no labels


@dataclass(frozen=True, slots=True)
class Labelled:
    """A candidate of a query.

    Attributes:
        document: whose text the model reads.
        label: how relevant it is, higher is more; None where nobody said it.
        teacher: the score of another model, a logit or whatever the teacher gives; None without a teacher.
        weight: how much the candidate counts in the loss, over 0; clicks have inverse propensities.

    """

    document: Document
    label: float | None
    teacher: float | None = None
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class TrainingQuery:
    """A query with its candidates; no two of them have the same title and text.

    Attributes:
        query: its text and id.
        candidates: in the order of the hashes of their texts.
        prompt: the instruction of the query.
        run: ids of the candidates that a run brings, best first; None without a run.

    """

    query: Query
    candidates: tuple[Labelled, ...]
    prompt: str = ""
    run: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class DataIssue:
    """Something that is wrong with data: a code for programs, how often, and a sentence for people with an example."""

    code: str
    count: int
    message: str


@dataclass(frozen=True, slots=True)
class Detection:
    """What was detected in data.

    Attributes:
        shape: of the data.
        columns: the name of the column for each role ("query", "document", "label", …) where the data have columns.
        label_kind: of the labels.
        rows: how many rows or lines were read.
        sentence: the guess, for people.

    """

    shape: Shape
    columns: Mapping[str, str]
    label_kind: LabelKind
    rows: int
    sentence: str


@dataclass(frozen=True)
class ExampleSet:
    """What a model is trained on, or judged by.

    Attributes:
        name: of the data.
        queries: with their candidates; they are ordered by a hash of their texts, so the order of a file is no matter.
        detection: what was detected.
        issues: what is wrong with the data; nothing is left out without one.
        corpus: all documents that the data bring, where they are more than the candidates; they are searched when a
            model is measured, and negatives are mined among them.

    """

    name: str
    queries: Sequence[TrainingQuery]
    detection: Detection
    issues: tuple[DataIssue, ...] = ()
    corpus: Sequence[Document] | None = None

    @property
    def candidates(self) -> int:
        """How many candidates there are over all queries."""
        return sum(len(query.candidates) for query in self.queries)

    @property
    def label_counts(self) -> Mapping[float | None, int]:
        """How many candidates have each label, in the order of the labels; None, without a label, comes last."""
        counts: dict[float | None, int] = {}
        for query in self.queries:
            for candidate in query.candidates:
                counts[candidate.label] = counts.get(candidate.label, 0) + 1
        return dict(sorted(counts.items(), key=lambda item: (item[0] is None, item[0] or 0.0)))
