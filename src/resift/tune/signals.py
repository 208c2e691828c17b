"""All that weights are fitted on: what retrievers found, what the model says of it, and the grades, as numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from resift.evaluate.dataset import Dataset
from resift.evaluate.first_stages import Progress
from resift.evaluate.result_cache import RecordedScorer
from resift.rerank.guard import misfit
from resift.tune.tables import Candidates, ideal_gain
from resift.types import Candidate
from resift.worth.first_stage_grid import FirstStage, FirstStageGrid, Places


class Signals:
    """Scores of every candidate of every query, each computed once.

    Args:
        data: queries, documents and grades.
        grid: what retrieves; `search` was called.
        scorer: of the model.
        depth: how many candidates the model is asked about.
        guard: whether the model is not asked where it does not read the language.

    """

    def __init__(
        self, data: Dataset, grid: FirstStageGrid, scorer: RecordedScorer, depth: int, guard: bool = True
    ) -> None:
        self._data, self._grid, self._scorer, self._depth, self._guard = data, grid, scorer, depth, guard
        self._model: list[dict[int, float]] = [{} for _ in data.queries]
        self._dense = [grid.dense(q) for q in range(len(data.queries))]
        self._orders: dict[tuple[FirstStage, int], npt.NDArray[np.int64]] = {}
        self.misfits = 0  # queries that the model does not read
        store = data.documents
        self._grades = [
            {store.row(i): grade for i, grade in data.qrels[query.id].items() if store.has(i)} for query in data.queries
        ]
        self._ideal = [ideal_gain(list(data.qrels[query.id].values())) for query in data.queries]

    def score(self, firsts: Sequence[FirstStage], on_progress: Progress) -> None:
        """Have the model score all that these first stages put within its depth."""
        total = len(self._data.queries)
        for q in range(total):
            rows = {row for first in firsts for row in self._order(first, q)[: self._depth].tolist()}
            if not (self._guard and misfit(self._scorer, self._grid.ranking(self._grid.stages[0], q))):
                self._ask(q, sorted(rows))
            else:
                self.misfits += 1
            on_progress("queries scored", q + 1, (q + 1) / total)

    def candidates(self, first: FirstStage, q: int) -> Candidates:
        """The candidates of query q by a first stage; after `score`."""
        rows = self._order(first, q)
        scores = self._model[q]
        head = [scores.get(row, math.nan) for row in rows[: self._depth].tolist()]
        grades = self._grades[q]
        lexical = self._grid.lexical(first.k1, first.b, q) if not first.run and first.weight < 1 else None
        return Candidates(
            _looked_up(rows, lexical),
            _looked_up(rows, self._dense[q] if first.weight else None),
            np.array([*head, *([math.nan] * (len(rows) - len(head)))]),
            np.array([max(0, grades.get(row, 0)) for row in rows.tolist()], np.float64),
            self._depth,
            self._ideal[q],
        )

    def _order(self, first: FirstStage, q: int) -> npt.NDArray[np.int64]:
        key = (first, q)
        if key not in self._orders:
            self._orders[key] = self._grid.order(first, q, self._dense[q][0])
        return self._orders[key]

    def _ask(self, q: int, rows: Sequence[int]) -> None:
        query, documents = self._data.queries[q], self._data.documents
        costly = self._scorer.costly([(query, Candidate(documents[row])) for row in rows])
        values = (math.nan if c.judgement.value is None else c.judgement.value for c in costly)
        self._model[q] = dict(zip(rows, values, strict=True))


def _looked_up(rows: npt.NDArray[np.int64], places: Places | None) -> npt.NDArray[np.float64]:
    """(n,), the score of each row where a retriever gave one, else NaN."""
    scores = {} if places is None else dict(zip(places[0].tolist(), places[1].tolist(), strict=True))
    return np.array([scores.get(row, math.nan) for row in rows.tolist()], np.float64)
