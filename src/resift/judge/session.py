"""Who is asked next, and when enough is known: the state of a judging, without any terminal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from resift.evaluate.figures import FEW_QUERIES
from resift.evaluate.statistics import Floats, estimates
from resift.judge.judge_folder import Decision, JudgeFolder
from resift.measures import ndcg

MEASURE = "nDCG@10"


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a judging stands.

    Attributes:
        judged: queries of which every pooled document was graded or skipped.
        queries: all of them.
        without_relevant: judged queries of which nothing is relevant; they say nothing of an order, and an evaluation
            leaves them out.
        documents, pooled: documents that were graded or skipped, and all that are to be.
        skipped: of the documents; they count as not relevant.
        half_width: of the widest interval of a mean difference in nDCG@10 between two pipelines, over judged queries
            that have a relevant document; None below two of them, or with less than two pipelines.

    """

    judged: int
    queries: int
    without_relevant: int
    documents: int
    pooled: int
    skipped: int
    half_width: float | None

    @property
    def compared(self) -> int:
        """The queries that the interval is about."""
        return self.judged - self.without_relevant

    def precise(self, until: float) -> bool:
        """Whether the interval is as narrow as that; never with so few queries that intervals are too narrow."""
        return self.half_width is not None and self.compared >= FEW_QUERIES and self.half_width <= until


class JudgingSession:
    """Walks through the pool query by query, so that a query is either judged or not."""

    def __init__(self, folder: JudgeFolder) -> None:
        self.folder = folder
        self._queries = folder.pool.queries(folder.queries)
        self._documents = {query: folder.pool.documents(query) for query in self._queries}
        self._decided = {(d.query, d.document) for d in folder.decisions}
        self._again: list[tuple[str, str]] = []  # taken back, the next one last
        self._at = 0

    def next(self) -> tuple[str, str] | None:
        """The ids of the query and the document to show; None when everything was judged."""
        if self._again:
            return self._again[-1]
        while self._at < len(self._queries):
            query = self._queries[self._at]
            document = next((d for d in self._documents[query] if (query, d) not in self._decided), None)
            if document is not None:
                return query, document
            self._at += 1
        return None

    def decide(self, query: str, document: str, grade: int | None) -> bool:
        """Keep a grade, None for a document that is skipped; whether the query is judged by that."""
        self.folder.decide(Decision(query, document, grade))
        self._decided.add((query, document))
        if self._again and self._again[-1] == (query, document):
            self._again.pop()
        return self._is_judged(query)

    def take_back(self) -> bool:
        """Take the last decision back and show that document next; False where there is none."""
        decision = self.folder.take_back()
        if decision is None:
            return False
        self._decided.discard((decision.query, decision.document))
        if decision.document in self._documents.get(decision.query, ()):
            self._again.append((decision.query, decision.document))
        return True

    def place(self, query: str) -> tuple[int, int]:
        """How many documents of a query were graded or skipped, and how many are to be."""
        documents = self._documents[query]
        return sum((query, d) in self._decided for d in documents), len(documents)

    def standing(self) -> Standing:
        """Where the judging stands."""
        grades = self.folder.qrels
        judged = [query for query in self._queries if self._is_judged(query)]
        compared = [query for query in judged if max(grades.get(query, {}).values(), default=0) >= 1]
        asked = [(query, d) for query, documents in self._documents.items() for d in documents]
        ungraded = {(d.query, d.document) for d in self.folder.decisions if d.grade is None}
        return Standing(
            judged=len(judged),
            queries=len(self._queries),
            without_relevant=len(judged) - len(compared),
            documents=sum(pair in self._decided for pair in asked),
            pooled=len(asked),
            skipped=sum(pair in ungraded for pair in asked),
            half_width=self._half_width(compared, grades),
        )

    def _is_judged(self, query: str) -> bool:
        return all((query, document) in self._decided for document in self._documents[query])

    def _half_width(self, queries: list[str], grades: dict[str, dict[str, int]]) -> float | None:
        differences = list(self._differences(queries, grades))
        if len(queries) < 2 or not differences:
            return None
        intervals = estimates(np.stack(differences, axis=1))
        return max((estimate.high - estimate.low) / 2 for estimate in intervals)

    def _differences(self, queries: list[str], grades: dict[str, dict[str, int]]) -> Iterator[Floats]:
        """(n,) for each two pipelines: what one has more of the measure, by query."""
        values = [
            np.array([ndcg(rankings[query], grades[query]) for query in queries])
            for rankings in self.folder.pool.rankings.values()
        ]
        for first, second in combinations(values, 2):
            yield second - first
