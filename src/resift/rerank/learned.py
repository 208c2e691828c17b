"""Learning to rank as a stage: trees or weights order candidates by features of what is known of them.

It asks no scorer: what retrievers and models in front of it said reaches it as signals. So it may stand first, in front
of a neural model, and again behind it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import takewhile
from pathlib import Path

import numpy as np

from resift.errors import BrokenModel, InputError, NotAModel
from resift.features import FEATURES_FILE, STATISTICS_FILE, FeatureMatrix, FeatureSet, Statistics
from resift.protocols import Flow
from resift.rerank.blend import standardised
from resift.rerank.explanation import reasons
from resift.rerank.judged import judged
from resift.rerank.linear import read_linear
from resift.rerank.ranking_function import MODEL_FILES, Floats, Matrix, RankingFunction
from resift.rerank.training_summary import TRAINING_FILE, TrainingSummary
from resift.rerank.tree_models import read_trees
from resift.types import Candidate, Judgement, Note, NoteCode, Ranking, ScoreKind, Scores

_NAMED = 5  # features that a note names


@dataclass(frozen=True, eq=False)
class LearnedModel:
    """A folder that `resift train ltr` or `resift tune` wrote: a function of features, these, and what training saw."""

    function: RankingFunction
    features: FeatureSet
    statistics: Statistics
    summary: TrainingSummary

    @property
    def name(self) -> str:
        """The model's name, the source of its scores."""
        return self.summary.name

    def matrix(self, ranking: Ranking) -> FeatureMatrix:
        """The features of a ranking's candidates, by the same code as in training."""
        return self.features.matrix(ranking, self.statistics)

    def usable(self, matrix: Matrix) -> Matrix:
        """The rows as the function reads them: a value that was never missing in training is its median there.

        Trees that never saw a missing value have no branch for it; LightGBM would read it as 0.
        """
        medians = np.array([np.nan if row.missing else row.median for row in self.summary.features], np.float32)
        return np.where(np.isnan(matrix), medians, matrix)

    def notes(self, matrix: FeatureMatrix) -> list[Note]:
        """What the candidates lack and training had, and which values training did not see."""
        notes = [
            Note(NoteCode.MISSING, f"{self.name} reads what is missing: {missing.message}")
            for missing in matrix.missing
            if not self._never_there(missing.name)
        ]
        if names := self._outside(matrix.values):
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            message = (
                f"{self.name} was trained on other values of {', '.join(names[:_NAMED])}{more} than most candidates "
                "have; train it again on such queries"
            )
            notes.append(Note(NoteCode.DRIFT, message))
        return notes

    def _never_there(self, name: str) -> bool:
        """Whether training had no value either of what reads a signal, a field, or the title."""
        shares = [
            row.missing
            for row, feature in zip(self.summary.features, self.features.features, strict=True)
            if name in feature.parameters.values() or (name == "title" and feature.definition.name.startswith(name))
        ]
        return bool(shares) and min(shares) == 1

    def _outside(self, values: Matrix) -> list[str]:
        """Features that the function uses, and whose values lie outside of training's range for most candidates."""
        names = []
        for row, column in zip(self.summary.features, values.T, strict=True):
            there = column[~np.isnan(column)]
            low, high = np.float32(row.range[0]), np.float32(row.range[1])
            if row.gain > 0 and len(there) and ((there < low) | (there > high)).sum() * 2 > len(column):
                names.append(row.feature)
        return names


class Learned:
    """Orders the first `depth` candidates by a learned model, all of them by default.

    With a weight it corrects the order in front of it instead of making one of its own: value = z(score so far) +
    weight x z(score of the trees), over the candidates that the stage in front scored; the others stay behind them. A
    linear model's score is a correction already: it counts as it is, once without a weight.

    Args:
        model: that scores.
        depth: how many candidates are looked at.
        explain: whether each scored candidate's signal has the reasons: what each feature added to the model's score.
        weight: of the model's score beside the one so far; None: its own alone counts, or 1 where it is a correction.

    """

    def __init__(
        self, model: LearnedModel, depth: int | None = None, explain: bool = False, weight: float | None = None
    ) -> None:
        self.model, self.depth, self.explain = model, depth, explain
        self.weight = 1.0 if weight is None and model.function.is_correction else weight

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model.name

    def order(self, ranking: Ranking) -> Flow:
        """Compute features and scores; nothing is asked."""
        yield from ()
        head = ranking.candidates[: self.depth] if self.weight is None else scored_last(ranking, self.depth)
        if not head:
            return ranking
        began = time.perf_counter()
        matrix = self.model.matrix(Ranking(ranking.query, head))
        rows = self.model.usable(matrix.values)
        values = self.model.function.predict(rows)
        if self.weight is not None:
            values = corrected(head, values, self.weight, self.model.function.is_correction)
        ms = (time.perf_counter() - began) * 1e3
        scores = Scores(tuple(map(Judgement, values.tolist())), ScoreKind.LEARNED, self.name, ms=ms)
        ordered = judged(ranking, head, scores)
        if self.explain:
            ordered = _explained(ordered, head, self.model, matrix.values, self.model.function.contributions(rows))
        notes = self.model.notes(matrix)
        return replace(ordered, trace=replace(ordered.trace, notes=(*ordered.trace.notes, *notes)))


def scored_last(ranking: Ranking, depth: int | None = None) -> tuple[Candidate, ...]:
    """The candidates in front that have a score of the stage that ran last, `depth` at most."""
    last = max((c.score.stage for c in ranking if c.score), default=0)
    scored = takewhile(lambda c: c.score is not None and c.score.stage == last, ranking.candidates[:depth])
    return tuple(scored)


def corrected(candidates: Sequence[Candidate], values: Floats, weight: float, as_they_are: bool = False) -> Floats:
    """(n,), z(score so far) + weight x z(values) of candidates that all have a score; or + weight x values."""
    so_far = standardised([c.score.value for c in candidates if c.score])
    return np.array(so_far) + weight * (values if as_they_are else np.array(standardised(values.tolist())))


def _explained(
    ordered: Ranking, head: Sequence[Candidate], model: LearnedModel, values: Matrix, contributions: Floats
) -> Ranking:
    """The ranking with reasons in the last signal of each candidate that the model scored."""
    of_document = {
        id(candidate.document): reasons(model.features, values[i], contributions[i]) for i, candidate in enumerate(head)
    }

    def with_reasons(candidate: Candidate) -> Candidate:
        *before, last = candidate.signals or (None,)
        if last is None or last.source != model.name or id(candidate.document) not in of_document:
            return candidate
        signal = replace(last, reasons=of_document[id(candidate.document)])
        return replace(candidate, signals=(*candidate.signals[:-1], signal))

    return replace(ordered, candidates=tuple(map(with_reasons, ordered.candidates)))


def open_learned(folder: Path) -> LearnedModel:
    """The model of a folder; one that is opened again is read again only where its files changed.

    Raises:
        NotAModel: there is no learned model.
        InputError: its features are unknown, or of another version than this Resift computes.
        BrokenModel: a file is missing or damaged, or they contradict each other.
        MissingExtra: its library is not installed.

    """
    path = folder.expanduser().resolve()
    if not (path / TRAINING_FILE).is_file():
        raise NotAModel(f"{folder} holds no learned model ({TRAINING_FILE}); `resift train ltr` makes one")
    files = (*MODEL_FILES.values(), FEATURES_FILE, STATISTICS_FILE, TRAINING_FILE)
    stamps = tuple((p := path / name).exists() and p.stat().st_mtime_ns for name in files)
    return _opened(path, stamps)


@lru_cache(maxsize=8)
def _opened(path: Path, stamps: tuple[int, ...]) -> LearnedModel:
    summary = TrainingSummary.read(path)
    if not (path / FEATURES_FILE).exists():
        raise InputError(
            f"{path} was trained on a matrix of unknown origin (no {FEATURES_FILE}), so that Resift can't compute its "
            "features; train it on a data set to have it as a stage"
        )
    features = FeatureSet.read(path / FEATURES_FILE)
    file = path / MODEL_FILES[summary.library]
    function = read_linear(file) if summary.library == "linear" else read_trees(file, summary.library)
    names = tuple(row.feature for row in summary.features)
    if features.names != names or function.width != len(names):
        raise BrokenModel(
            f"{path}: {FEATURES_FILE} names {len(features.names)} features, training had {len(names)} and {file.name} "
            f"reads {function.width}, or they are others; the files are of different models: copy them from one place"
        )
    return LearnedModel(function, features, Statistics.read(path / STATISTICS_FILE), summary)
