"""One query's candidates, as the functions of features see them: what several of them need is computed once."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any

import numpy as np

from resift.errors import KindError
from resift.features.analysed_text import AnalysedText
from resift.features.collection_statistics import Statistics
from resift.features.matrix import Column, Missing, MissingCode
from resift.features.question_forms import asked_form
from resift.features.term_matches import TermMatches
from resift.types import Ranking, ScoreKind


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
        self._fields: dict[tuple[str, Any], Column] = {}

    def __len__(self) -> int:
        return len(self.ranking)

    def note(self, code: MissingCode, name: str, count: int, message: str) -> None:
        """Report what a feature lacks; several features that lack the same report it once."""
        self.missing.setdefault((code, name), Missing(code, name, count, message))

    def constant(self, value: float) -> Column:
        """(n,) The same value for every candidate."""
        return np.full(len(self), value, np.float64)

    @cached_property
    def _texts(self) -> list[AnalysedText]:
        """The query and the candidates' documents, which cost less together."""
        documents = [(c.document.title, c.document.text) for c in self.ranking.candidates]
        return self.statistics.reader.read([("", self.ranking.query.text), *documents])

    @cached_property
    def query(self) -> AnalysedText:
        """The query."""
        return self._texts[0]

    @cached_property
    def query_terms(self) -> list[str]:
        """The terms of the query, repetitions included."""
        return self.statistics.reader.analyzer.words(self.query.text)

    @cached_property
    def documents(self) -> list[AnalysedText]:
        """The candidates' documents."""
        return self._texts[1:]

    @cached_property
    def form(self) -> str:
        """The form of the question, one of `question_forms.FORMS`, or ""."""
        return asked_form(self.query)

    @cached_property
    def matches(self) -> TermMatches:
        """Where the query's terms stand in the documents."""
        return TermMatches(self.query_terms, self.documents)

    @cached_property
    def titled(self) -> Column:
        """(n,) 1 where a document has a title, NaN where it has none; a note says so if none has one."""
        titled = np.array([1.0 if document.title else math.nan for document in self.documents])
        if len(titled) and np.isnan(titled).all():
            self.note(MissingCode.FIELD, "title", len(titled), "no candidate has a title")
        return titled

    @cached_property
    def idf(self) -> Column:
        """(Q,) The weights of the query's terms; a note says so if there are no statistics."""
        if not self.statistics.documents:
            message = "there are no document frequencies, so no feature weighs terms by them"
            self.note(MissingCode.STATISTICS, "idf", len(self), message)
        return np.array(self.statistics.idf(self.matches.terms), np.float64)

    def scores(self, source: str, kind: str = "") -> Column:
        """(n,) The score of the last signal of this source that has one; NaN where there is none.

        Raises:
            KindError: a score is of another kind than this one, if one is named.

        """
        other = next((k for k in self._kinds.get(source, ()) if kind and k != kind), None)
        if other is not None:
            raise KindError(
                f"the features of {source!r} were made of {kind} scores, and it gives {other} scores here; "
                "serve the pipeline that the model was trained with, or train it again"
            )
        return self._signal(source)[0]

    def ranks(self, source: str) -> Column:
        """(n,) The rank of the last signal of this source, from 1; NaN where there is none."""
        return self._signal(source)[1]

    def _signal(self, source: str) -> tuple[Column, Column]:
        if source in self._signals:
            return self._signals[source]
        if len(self):
            message = f"no candidate has a signal of {source!r}: the pipeline has no retriever or stage of this name"
            self.note(MissingCode.SIGNAL, source, len(self), message)
        return self._absent

    @cached_property
    def _absent(self) -> tuple[Column, Column]:
        return self.constant(math.nan), self.constant(math.nan)

    @cached_property
    def _kinds(self) -> Mapping[str, tuple[ScoreKind, ...]]:
        """The kinds of score that each source gave."""
        return signal_kinds([self.ranking])

    @cached_property
    def _signals(self) -> Mapping[str, tuple[Column, Column]]:
        """Scores and ranks by source."""
        signals: dict[str, tuple[Column, Column]] = {}
        for i, candidate in enumerate(self.ranking.candidates):
            for signal in candidate.signals:
                if signal.source not in signals:
                    signals[signal.source] = self.constant(math.nan), self.constant(math.nan)
                scores, ranks = signals[signal.source]
                if signal.score is not None:
                    scores[i] = signal.score.value
                ranks[i] = signal.rank if signal.rank > 0 else math.nan
        return signals

    def field(self, name: str, read: Callable[[Any], float], expected: str) -> Column:
        """(n,) A field of metadata as numbers; NaN where it is absent or can't be used, with a note of how many.

        Args:
            name: of the field.
            read: of a value, its number, which may be NaN. It raises TypeError for a value of another type, and
                KeyError for a category that nobody told it of.
            expected: what the field should hold, such as "number".

        """
        if (name, expected) not in self._fields:
            self._fields[name, expected] = self._read_field(name, read, expected)
        return self._fields[name, expected]

    def _read_field(self, name: str, read: Callable[[Any], float], expected: str) -> Column:
        values, absent = self.constant(math.nan), 0
        refused: dict[MissingCode, list[tuple[str, Any]]] = {}
        for i, candidate in enumerate(self.ranking.candidates):
            value = candidate.document.metadata.get(name)
            if value is None or value == "":
                absent += 1
                continue
            code = None
            try:
                number = read(value)
                code = None if math.isfinite(number) else MissingCode.NOT_FINITE
            except TypeError:
                code = MissingCode.WRONG_TYPE
            except KeyError:
                code = MissingCode.CATEGORY
            if code is None:
                values[i] = number
            else:
                refused.setdefault(code, []).append((candidate.document.id, value))
        if len(self) and absent == len(self):
            self.note(MissingCode.FIELD, name, absent, f"no candidate has the field {name!r}")
        for code, examples in refused.items():
            message = f"the field {name!r} of {_candidates(examples)} {_REFUSED[code].format(expected)}"
            self.note(code, name, len(examples), f"{message}, and counts as missing")
        return values


def signal_kinds(rankings: Iterable[Ranking]) -> dict[str, tuple[ScoreKind, ...]]:
    """The sources of all signals of candidates, in order of their first occurrence, with the kinds of their scores."""
    kinds: dict[str, dict[ScoreKind, None]] = {}
    for ranking in rankings:
        for candidate in ranking.candidates:
            for signal in candidate.signals:
                of_source = kinds.setdefault(signal.source, {})
                if signal.score is not None:
                    of_source[signal.score.kind] = None
    return {source: tuple(of_source) for source, of_source in kinds.items()}


_REFUSED = {
    MissingCode.NOT_FINITE: "is not finite",
    MissingCode.WRONG_TYPE: "is no {}",
    MissingCode.CATEGORY: "holds a {} that was not there in training",
}


def _candidates(examples: list[tuple[str, Any]]) -> str:
    """How many candidates, and the first of them with its value."""
    id_, value = examples[0]
    return f"{len(examples)} candidate{'s' if len(examples) > 1 else ''} (such as {id_!r}: {str(value)[:40]!r})"
