"""Says how likely each candidate is relevant, and leaves out those below a threshold."""

from __future__ import annotations

import time
from dataclasses import replace

from resift.protocols import Calibrator, Flow
from resift.types import Candidate, Flag, Note, NoteCode, Ranking, Score, Signal, Step


class Relevance:
    """Converts the model's scores in a ranking to probabilities; the order stays, whatever made it.

    Where the model's score was the last, the probability takes its place; a blend stays what it is, and the probability
    is a signal beside it (`Candidate.probability`). With `least`, candidates below it go to `left_out`, and so do those
    that have no text. One that has no score for another reason stays: nobody knows. Where the model scored none, or
    its scores are clearly others than those of the calibration, nothing is converted and nobody is left out. A note
    says in each case what was done.

    Args:
        calibration: of the model whose scores count.
        least: a probability above 0 and up to 1, "high" or "some"; None leaves none out.

    Raises:
        InputError: a least that is none of these, or a level that the calibration does not have.

    """

    name = "relevant"

    def __init__(self, calibration: Calibrator, least: float | str | None = None) -> None:
        self.calibration = calibration
        self._least = None if least is None else calibration.least(least)
        self._words = (
            "" if least is None else f"{self._least:.3g}" + (f" ({least})" if least in ("high", "some") else "")
        )

    def order(self, ranking: Ranking) -> Flow:
        """Convert, and leave out; nothing is asked."""
        yield from ()
        return self._converted(ranking)

    def _converted(self, ranking: Ranking) -> Ranking:
        began = time.perf_counter()
        raw = [self._raw(candidate) for candidate in ranking]
        values = [score.value for score in raw if score is not None]
        reason = self.calibration.shift(values)
        if not values or reason:
            why = reason or f"{self.calibration.model} scored none of the candidates"
            note = Note(NoteCode.RELEVANCE, f"no probability of relevance, and none is left out: {why}")
            wanted = reason or (self._least is not None and len(ranking))
            return replace(
                ranking, trace=ranking.trace.then(self._step(began, 0, ranking), *([note] if wanted else []))
            )
        candidates = [self._with_probability(c, score) for c, score in zip(ranking, raw, strict=True)]
        below = [self._is_below(c) for c in candidates]
        left_out = tuple(c for c, is_below in zip(candidates, below, strict=True) if is_below)
        rest = tuple(c for c, is_below in zip(candidates, below, strict=True) if not is_below)
        unscored = sum(score is None for c, score in zip(ranking, raw, strict=True) if Flag.EMPTY not in c.flags)
        notes = self._notes(len(left_out), len(ranking), unscored)
        trace = ranking.trace.then(self._step(began, len(values), ranking), *notes)
        return Ranking(ranking.query, rest, trace, (*ranking.left_out, *left_out))

    def _raw(self, candidate: Candidate) -> Score | None:
        """What the model said of a candidate."""
        for signal in reversed(candidate.signals):
            score = signal.score
            if score is not None and (score.source, score.kind) == (self.calibration.model, self.calibration.kind):
                return score
        return None

    def _with_probability(self, candidate: Candidate, raw: Score | None) -> Candidate:
        if raw is None:
            return candidate
        probability = self.calibration.probability(raw)
        signal = Signal(self.name, candidate.rank, probability, self.calibration.level(probability.value))
        score = probability if candidate.score == raw else candidate.score
        return replace(candidate, score=score, signals=(*candidate.signals, signal))

    def _is_below(self, candidate: Candidate) -> bool:
        if self._least is None:
            return False
        last = candidate.signals[-1] if candidate.signals else None
        if last is None or last.source != self.name or last.score is None:
            return Flag.EMPTY in candidate.flags
        return last.score.value < self._least

    def _notes(self, left_out: int, total: int, unscored: int) -> list[Note]:
        if not left_out:
            return []
        below = f"a probability of relevance below {self._words}, or no text"
        stay = f"; {unscored} that {self.calibration.model} did not score stay" if unscored else ""
        message = (
            f"nothing relevant: all {total} candidates have {below}"
            if left_out == total
            else f"{left_out} of {total} candidates are left out: they have {below}{stay}"
        )
        return [Note(NoteCode.RELEVANCE, message)]

    def _step(self, began: float, scored: int, ranking: Ranking) -> Step:
        return Step(self.name, (time.perf_counter() - began) * 1e3, scored=scored, total=len(ranking))
