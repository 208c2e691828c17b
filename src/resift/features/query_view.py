"""One query's candidates, as the functions of features see them: what several of them need is computed once."""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np

from resift.features.analysed_text import AnalysedText
from resift.features.matrix import Column, Missing, MissingCode
from resift.features.statistics import Statistics
from resift.types import Ranking


class QueryView:
    """The candidates of one query.

    Attributes:
        ranking: whose candidates they are.
        statistics: of the collection.
        now: against which the age of documents counts, in seconds since 1970 (UTC).
        missing: what the features that were computed so far lacked, each once.

    """

    def __init__(self, ranking: Ranking, statistics: Statistics, now: float) -> None:
        self.ranking, self.statistics, self.now = ranking, statistics, now
        self.missing: dict[tuple[MissingCode, str], Missing] = {}
        self._signals: dict[str, tuple[Column, Column]] = {}

    def __len__(self) -> int:
        return len(self.ranking)

    def note(self, code: MissingCode, name: str, count: int, message: str) -> None:
        """Report what a feature lacks; several features that lack the same report it once."""
        self.missing.setdefault((code, name), Missing(code, name, count, message))

    @cached_property
    def query(self) -> AnalysedText:
        """The query."""
        return self.statistics.reader.read("", self.ranking.query.text)

    @cached_property
    def documents(self) -> list[AnalysedText]:
        """The candidates' documents."""
        read = self.statistics.reader.read
        return [read(c.document.title, c.document.text) for c in self.ranking.candidates]

    def scores(self, source: str) -> Column:
        """(n,) The score of the last signal of this source that has one; NaN where there is none."""
        return self._signal(source)[0]

    def ranks(self, source: str) -> Column:
        """(n,) The rank of the last signal of this source, from 1; NaN where there is none."""
        return self._signal(source)[1]

    def _signal(self, source: str) -> tuple[Column, Column]:
        if source not in self._signals:
            scores, ranks = np.full(len(self), math.nan), np.full(len(self), math.nan)
            for i, candidate in enumerate(self.ranking.candidates):
                for signal in candidate.signals:
                    if signal.source == source:
                        scores[i] = scores[i] if signal.score is None else signal.score.value
                        ranks[i] = signal.rank if signal.rank > 0 else math.nan
            if len(self) and np.isnan(scores).all() and np.isnan(ranks).all():
                message = f"no candidate has a signal of {source!r}: the pipeline that is served has no such stage"
                self.note(MissingCode.SIGNAL, source, len(self), message)
            self._signals[source] = scores, ranks
        return self._signals[source]
