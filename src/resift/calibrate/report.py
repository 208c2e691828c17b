"""What a calibration run measured: its data, its measures on the queries of the report, its thresholds, its verdict."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from resift.calibrate.bootstrap import Estimate
from resift.calibrate.calibration import Calibration
from resift.calibrate.reliability import Measures, ReliabilityRow
from resift.calibrate.thresholds import Aim, Intent, Threshold
from resift.types import Level

LEAST_AUC = 0.75  # the lower end of the AUC's interval, below which scores don't separate
LEAST_RECALL = 0.1  # of a threshold for precision: below it too little is kept to be of use
HIGH_PRECISION = 0.9  # of the level "high"
SOME_RECALL = 0.9  # of the levels "high" and "some" together


@dataclass(frozen=True, slots=True)
class DataFacts:
    """What was calibrated on.

    Attributes:
        pairs: with a label and a score, each once.
        queries: different texts.
        relevant_pairs: of a grade of at least `relevant_from`.
        irrelevant_queries: queries without any relevant pair.
        fitted_pairs, reported_pairs: on which the curve was fitted and on which it was measured.
        cross_fitted: whether there were too few queries for halves, and all were measured, each by a curve that was
            fitted without it.
        notes: what was left out or is unusual, one sentence each.

    """

    pairs: int
    queries: int
    relevant_pairs: int
    irrelevant_queries: int
    fitted_pairs: int
    reported_pairs: int
    cross_fitted: bool
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CalibrationReport:
    """A calibration and what is known of it.

    Attributes:
        calibration: ready to be stored.
        data: what it is made of.
        losses: the cross-fitted log loss of each curve that was tried.
        measures, rows: on the queries of the report.
        thresholds: for the intents that were stated, and for the levels.
        stated: the intents that were stated.

    """

    calibration: Calibration
    data: DataFacts
    losses: dict[str, float]
    measures: Measures
    rows: tuple[ReliabilityRow, ...]
    thresholds: tuple[Threshold, ...]
    stated: tuple[Intent, ...] = ()

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why there is no clean separation of relevant from irrelevant; none where there is.

        There is one where the lower end of the AUC's interval is 0.75 or more, and the threshold for each precision
        that was stated, else for 0.9, can be trusted, keeps a tenth of the relevant pairs or more, and is not
        contradicted by the report.
        """
        auc = self.measures.auc
        reasons = [f"the AUC is {auc}, and its lower end should be {LEAST_AUC} or more"] if auc.low < LEAST_AUC else []
        precisions = [t for t in self.thresholds if t.intent.aim is Aim.MIN_PRECISION]
        stated = [t for t in precisions if t.intent in self.stated]
        for threshold in stated or precisions:
            if reason := _shortfall(threshold):
                reasons.append(f"a precision of {threshold.intent.limit:g} {reason}")
        return tuple(reasons)

    @property
    def separates(self) -> bool:
        """Whether scores part relevant from irrelevant pairs cleanly; see `reasons`."""
        return not self.reasons

    def entries(self) -> dict[str, Any]:
        """The report as JSON."""
        return {
            "data": asdict(self.data) | {"notes": list(self.data.notes)},
            "curve": self.calibration.curve.name,
            "losses": {name: round(loss, 6) for name, loss in self.losses.items()},
            "measures": self.measures.entries(),
            "reliability": [row.entries() for row in self.rows],
            "thresholds": [threshold.entries() for threshold in self.thresholds],
            "levels": {str(level): least for level, least in self.calibration.levels.items()},
            "separates": self.separates,
            "reasons": list(self.reasons),
        }


def _shortfall(threshold: Threshold) -> str:
    """Why a threshold for a precision is of no use; empty when it is."""
    outcome = threshold.outcome
    if threshold.least is None or outcome is None:
        return "is not reached by any threshold that can be trusted"
    precision: Estimate | None = outcome.precision
    if precision is None or outcome.recall.value < LEAST_RECALL:
        return f"is reached only where {outcome.recall.value:.0%} of the relevant pairs are kept"
    if threshold.contradicted:
        return f"was not kept on the queries of the report: {precision}"
    return ""


def levels_of(high: Threshold, some: Threshold) -> dict[Level, float]:
    """The levels by their thresholds, without one that the report contradicts; "some" never begins above "high"."""
    least = {
        level: threshold.least
        for level, threshold in ((Level.HIGH, high), (Level.SOME, some))
        if threshold.least is not None and not threshold.contradicted
    }
    if len(least) == 2:
        least[Level.SOME] = min(least.values())
    return least
