"""From labelled pairs to a calibration and its report: score, split by query, fit on one part, measure on the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from resift import arguments
from resift.calibrate.bootstrap import QueryBootstrap
from resift.calibrate.calibration import Binding, Calibration, Canary, ScoreSample
from resift.calibrate.fitting import FITS, Bools, Choice, Floats, Ints, applied, choose
from resift.calibrate.labelled_pairs import LabelledPair
from resift.calibrate.reliability import measured
from resift.calibrate.report import (
    HIGH_PRECISION,
    SOME_RECALL,
    CalibrationReport,
    DataFacts,
    levels_of,
)
from resift.calibrate.splits import folds_of, groups_of
from resift.calibrate.thresholds import Aim, Intent, Outcome, Threshold, choose_thresholds, outcome_of
from resift.errors import InputError, KindError, NonFiniteScore, NotCalibrated
from resift.protocols import Scorer
from resift.types import Candidate, ScoreKind

LEAST_QUERIES, LEAST_OF_CLASS = 5, 5  # below these there is no calibration
HALVES_FROM = 40  # queries; with fewer, or fewer than 20 relevant pairs, all are cross-fitted
_HALVES_RELEVANT = 20
_FOLDS = 5
_CALL = 256  # pairs that are scored in one call
_QUANTILES = np.linspace(0, 1, 101)
_CANARY_CHARS = 2000  # of the longest canary
# Their scores depend on the collection or on the query, so that no threshold holds.
_UNFIT = (ScoreKind.BM25, ScoreKind.FUSED)
_HIGH, _SOME = Intent(Aim.MIN_PRECISION, HIGH_PRECISION), Intent(Aim.MIN_RECALL, SOME_RECALL)


@dataclass(frozen=True, slots=True)
class FitOptions:
    """What a user may choose.

    Attributes:
        relevant_from: the grade from which on a pair counts as relevant.
        intents: of thresholds, beside those of the levels.
        curve: "platt", "isotonic", or "auto" for the one of less cross-fitted log loss.
        seed: of the splits and draws.

    Raises:
        InputError: a relevant_from that is no finite number.

    """

    relevant_from: float = 1.0
    intents: tuple[Intent, ...] = ()
    curve: Literal["auto", "platt", "isotonic"] = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        arguments.number(self.relevant_from, "relevant_from")


DEFAULTS = FitOptions()


@dataclass(frozen=True, slots=True)
class Sample:
    """Scores and labels of n pairs, and what was left out of them.

    Attributes:
        scores: raw, (n,).
        relevant: (n,).
        groups: a number for the query of each pair, (n,).
        pairs: the same pairs.
        notes: what was left out or is unusual.

    """

    scores: Floats
    relevant: Bools
    groups: Ints
    pairs: tuple[LabelledPair, ...]
    notes: tuple[str, ...] = ()

    def part(self, inside: Bools) -> Sample:
        """Some of the pairs."""
        pairs = tuple(pair for pair, true in zip(self.pairs, inside, strict=True) if true)
        return Sample(self.scores[inside], self.relevant[inside], self.groups[inside], pairs)


def calibrate(
    scorer: Scorer,
    pairs: Sequence[LabelledPair],
    options: FitOptions = DEFAULTS,
    on_progress: Callable[[int, float], None] = lambda count, share: None,
    notes: Sequence[str] = (),
) -> CalibrationReport:
    """Score labelled pairs, and fit and measure a calibration of the scorer.

    Args:
        scorer: whose raw scores are calibrated.
        pairs: with grades.
        options: see `FitOptions`.
        on_progress: is called with how many pairs are scored, and which share of all that is.
        notes: what was left out before, for the report.

    Raises:
        InputError: too few pairs, queries or relevant pairs to fit anything, or grades of one class.
        NotCalibrated: all scores are the same.
        KindError: scores that mean nothing outside of one query or collection, or that were converted before.

    """
    kind = scorer.info.kind
    if kind in _UNFIT:
        raise KindError(f"a {kind} score means nothing outside of its query or collection; calibrate a model's score")
    distinct, left_out = _distinct(pairs, options.relevant_from)
    left_out = [*notes, *left_out]
    check_labels(distinct, options.relevant_from)
    values: list[float | None] = []
    unscored: Counter[str] = Counter()
    for at in range(0, len(distinct), _CALL):
        part = [(pair.query, Candidate(pair.document)) for pair in distinct[at : at + _CALL]]
        scores = scorer.score(part)
        values += scores.values
        unscored.update(",".join(sorted(j.flags)) or "no reason" for j in scores.judgements if j.value is None)
        on_progress(len(values), len(values) / len(distinct))
    scored = [(pair, value) for pair, value in zip(distinct, values, strict=True) if value is not None]
    if unscored:
        first = next(pair for pair, value in zip(distinct, values, strict=True) if value is None)
        reasons = ", ".join(f"{reason}: {count}" for reason, count in unscored.items())
        left_out.append(f"pairs without a score, left out: {unscored.total()} ({reasons}), such as {_named(first)}")
    sample = sample_of([pair for pair, _ in scored], [value for _, value in scored], options, left_out)
    return fit(sample, Binding.of(scorer.info), options)


def sample_of(
    pairs: Sequence[LabelledPair], scores: Sequence[float], options: FitOptions = DEFAULTS, notes: Sequence[str] = ()
) -> Sample:
    """Scored pairs as arrays.

    Raises:
        NonFiniteScore: a score is NaN or infinite.
        NotCalibrated: all scores are the same.
        InputError: see `check_labels`.

    """
    values = np.array(scores, dtype=np.float64)
    if broken := int((~np.isfinite(values)).sum()):
        first = pairs[int(np.flatnonzero(~np.isfinite(values))[0])]
        raise NonFiniteScore(f"{broken} of {len(values)} scores are not finite, such as that of {_named(first)}")
    check_labels(pairs, options.relevant_from)
    if values.min() == values.max():
        raise NotCalibrated(f"all {len(values)} scores are {values[0]:g}: they tell no document from another")
    relevant = np.array([pair.grade >= options.relevant_from for pair in pairs])
    return Sample(values, relevant, groups_of([pair.query.text for pair in pairs]), tuple(pairs), tuple(notes))


def fit(sample: Sample, binding: Binding, options: FitOptions = DEFAULTS) -> CalibrationReport:
    """Fit a calibration to scores and labels.

    With 40 queries and 20 relevant pairs or more, one half of the queries is fitted on and the other measured. With
    fewer, all pairs are fitted on, and each is measured by a curve and thresholds of the four fifths of the queries
    that it is not part of.
    """
    queries = len(np.unique(sample.groups))
    cross = queries < HALVES_FROM or int(sample.relevant.sum()) < _HALVES_RELEVANT
    halves = folds_of(sample.groups, sample.relevant, 2, options.seed)
    fitted = sample if cross else sample.part(halves == 0)
    reported = sample if cross else sample.part(halves == 1)
    names = tuple(FITS) if options.curve == "auto" else (options.curve,)
    choice = choose(
        fitted.scores, fitted.relevant, folds_of(fitted.groups, fitted.relevant, _FOLDS, options.seed + 1), names
    )
    intents = tuple(dict.fromkeys((*options.intents, _HIGH, _SOME)))
    least = _thresholds(choice, fitted, intents, options.seed)
    bootstrap = QueryBootstrap(reported.groups, options.seed)
    probabilities, outcomes = (
        _cross_measured(sample, choice, intents, bootstrap, options.seed)
        if cross
        else _measured(reported, choice, least, bootstrap)
    )
    measures, rows = measured(probabilities, reported.scores, reported.relevant, bootstrap)
    thresholds = tuple(map(Threshold, intents, least, outcomes))
    facts = _facts(sample, len(fitted.pairs), len(reported.pairs), cross, options)
    levels = levels_of(*(thresholds[intents.index(intent)] for intent in (_HIGH, _SOME)))
    calibration = Calibration(
        binding, choice.curve, levels, _canaries(sample), _distribution(sample), options.relevant_from
    )
    report = CalibrationReport(calibration, facts, choice.losses, measures, rows, thresholds, options.intents)
    return replace(report, calibration=replace(calibration, report=report.entries()))


def check_labels(pairs: Sequence[LabelledPair], relevant_from: float) -> None:
    """There are enough labels of both classes.

    Raises:
        InputError: there are not; the message counts them.

    """
    relevant, queries = (
        sum(pair.grade >= relevant_from for pair in pairs),
        len(set(groups_of([p.query.text for p in pairs]))),
    )
    irrelevant = len(pairs) - relevant
    if pairs and (not relevant or not irrelevant):
        which = "irrelevant" if not relevant else "relevant"
        remedy = (
            f"set --relevant-from to one of the grades {_grades(pairs)}"
            if len({pair.grade for pair in pairs}) > 1
            else "add pairs of the other kind (--unjudged 20 takes documents that nobody judged)"
        )
        raise InputError(
            f"all {len(pairs)} pairs are {which} (relevant is a grade of {relevant_from:g} or more); {remedy}"
        )
    if min(relevant, irrelevant) < LEAST_OF_CLASS or queries < LEAST_QUERIES:
        raise InputError(
            f"{len(pairs)} labelled pairs of {queries} queries, {relevant} of them relevant, are too few: a "
            f"calibration needs {LEAST_OF_CLASS} relevant and {LEAST_OF_CLASS} irrelevant pairs of {LEAST_QUERIES} "
            f"queries at the very least, and {HALVES_FROM} queries to be measured on queries of its own"
        )


def _distinct(pairs: Sequence[LabelledPair], relevant_from: float) -> tuple[list[LabelledPair], list[str]]:
    """Each pair once; those that are labelled relevant and irrelevant are left out."""
    by_texts: dict[tuple[str, str, str], list[LabelledPair]] = {}
    for pair in pairs:
        by_texts.setdefault((pair.query.text, pair.document.title, pair.document.text), []).append(pair)
    clashes = [same for same in by_texts.values() if len({p.grade >= relevant_from for p in same}) > 1]
    clear = [same[0] for same in by_texts.values() if len({p.grade >= relevant_from for p in same}) == 1]
    notes = []
    if clashes:
        first = _named(clashes[0][0])
        notes.append(f"pairs that are labelled relevant and irrelevant, left out: {len(clashes)}, such as {first}")
    if repeated := len(pairs) - len(clear) - sum(map(len, clashes)):
        notes.append(f"pairs that are there again with the same label, counted once: {repeated}")
    return clear, notes


def _thresholds(choice: Choice, part: Sample, intents: Sequence[Intent], seed: int) -> list[float | None]:
    probabilities = applied(choice.curve, part.scores)
    return choose_thresholds(probabilities, part.relevant, QueryBootstrap(part.groups, seed), intents)


def _measured(
    reported: Sample, choice: Choice, least: Sequence[float | None], bootstrap: QueryBootstrap
) -> tuple[Floats, list[Outcome | None]]:
    probabilities = applied(choice.curve, reported.scores)
    outcomes = [None if x is None else outcome_of(probabilities >= x, reported.relevant, bootstrap) for x in least]
    return probabilities, outcomes


def _cross_measured(
    sample: Sample, choice: Choice, intents: Sequence[Intent], bootstrap: QueryBootstrap, seed: int
) -> tuple[Floats, list[Outcome | None]]:
    """Each pair by a curve and thresholds of the other folds; where these have no threshold, the pair is not kept."""
    folds = folds_of(sample.groups, sample.relevant, _FOLDS, seed + 2)
    probabilities = np.zeros(len(sample.scores))
    keep = np.zeros((len(intents), len(sample.scores)), dtype=bool)
    reached = np.zeros(len(intents), dtype=bool)
    for fold in np.unique(folds):
        inside, rest = folds == fold, sample.part(folds != fold)
        other = replace(choice, curve=FITS[choice.curve.name](rest.scores, rest.relevant))
        probabilities[inside] = applied(other.curve, sample.scores[inside])
        for i, least in enumerate(_thresholds(other, rest, intents, seed)):
            if least is not None:
                reached[i] = True
                keep[i, inside] = probabilities[inside] >= least
    outcomes = [
        outcome_of(row, sample.relevant, bootstrap) if true else None for row, true in zip(keep, reached, strict=True)
    ]
    return probabilities, outcomes


def _facts(sample: Sample, fitted: int, reported: int, cross: bool, options: FitOptions) -> DataFacts:
    relevant_of = np.bincount(sample.groups, sample.relevant)
    present = np.bincount(sample.groups) > 0
    irrelevant = int(((relevant_of == 0) & present).sum())
    notes = list(sample.notes)
    grades = sorted({pair.grade for pair in sample.pairs})
    if len(grades) > 2 or options.relevant_from not in grades:
        notes.append(f"the grades are {_grades(sample.pairs)}; {options.relevant_from:g} or more is relevant")
    if irrelevant:
        at = int(np.flatnonzero((relevant_of == 0) & present)[0])
        first = next(pair for pair, group in zip(sample.pairs, sample.groups, strict=True) if group == at)
        notes.append(f"{irrelevant} of {int(present.sum())} queries have no relevant pair, such as {first.query.id!r}")
    return DataFacts(
        len(sample.pairs),
        int(present.sum()),
        int(sample.relevant.sum()),
        irrelevant,
        fitted,
        reported,
        cross,
        tuple(notes),
    )


def _grades(pairs: Sequence[LabelledPair]) -> str:
    counts = Counter(pair.grade for pair in pairs)
    listed = [f"{grade:g} ({count} pairs)" for grade, count in sorted(counts.items())]
    return ", ".join(listed if len(listed) <= 8 else [*listed[:7], f"… {listed[-1]}"])


def _distribution(sample: Sample) -> ScoreSample:
    relevant, irrelevant = (
        np.quantile(sample.scores[mask], _QUANTILES) for mask in (sample.relevant, ~sample.relevant)
    )
    return ScoreSample(tuple(map(float, relevant)), tuple(map(float, irrelevant)))


def _canaries(sample: Sample) -> tuple[Canary, ...]:
    """A short relevant and a short irrelevant pair, whose scores are the medians of their classes or near them."""
    canaries = []
    for mask in (sample.relevant, ~sample.relevant):
        middle = float(np.median(sample.scores[mask]))

        def distance(i: int, middle: float = middle) -> tuple[bool, float]:
            document = sample.pairs[i].document
            return len(document.title) + len(document.text) > _CANARY_CHARS, abs(sample.scores[i] - middle)

        best = min(map(int, np.flatnonzero(mask)), key=distance)
        pair = sample.pairs[best]
        canaries.append(Canary(pair.query.text, pair.document.text, float(sample.scores[best]), pair.document.title))
    return tuple(canaries)


def _named(pair: LabelledPair) -> str:
    return f"query {pair.query.id!r} and document {pair.document.id!r}"
