"""Chooses settings by cross-validation on the training queries, and gives scores that no tree has seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from resift.errors import InputError
from resift.rerank.ranking_function import Floats
from resift.train.ltr.fit import Course, fit, validated
from resift.train.ltr.rows import Integers, TrainingRows
from resift.train.ltr.settings import SMALL, TreeSettings, grid

Progress = Callable[[str, int, float], None]
FOLDS = 5


def folds(queries: Sequence[str], count: int, seed: int = 0) -> Iterator[tuple[Integers, Integers]]:
    """Places of the lists to train on and of the others, `count` times; all lists of a query are on one side.

    Raises:
        InputError: fewer queries than folds, or fewer than two folds.

    """
    names = sorted(set(queries))
    if not 2 <= count <= len(names):
        raise InputError(f"{len(names)} queries can't be split into {count} folds; take 2 to {len(names)}")
    drawn = np.random.default_rng(seed).permutation(len(names))
    fold_of = {names[place]: i % count for i, place in enumerate(drawn)}
    of_list = np.array([fold_of[query] for query in queries])
    for fold in range(count):
        yield np.flatnonzero(of_list != fold), np.flatnonzero(of_list == fold)


@dataclass(frozen=True, slots=True)
class Trial:
    """Settings with the number of rounds that was best for them, and the nDCG of the queries left out."""

    settings: TreeSettings
    value: float


def choose(
    rows: TrainingRows,
    settings: TreeSettings,
    search: bool = True,
    count: int = 3,
    quick: bool = False,
    on_progress: Progress = lambda step, done, share: None,
) -> list[Trial]:
    """The settings to take, best first: leaves and learning rate of a small grid, and the number of rounds.

    Each fold's queries are left out once, and nDCG on them is watched while the trees of the others grow. The rounds
    are those at which the mean over all folds is highest.

    Args:
        rows: the training queries.
        settings: which library, constraints and so on.
        search: False tries these settings alone; with more than 100,000 rows then on one split, a fifth left out.
        count: of the folds.
        quick: only the first fold is left out.
        on_progress: is called after each training.

    """
    candidates = list(grid(settings)) if search else [settings]
    large = not search and len(rows.labels) > SMALL
    count = min(5 if large else count, len(set(rows.queries)))
    splits = list(folds(rows.queries, count, settings.seed))[: 1 if large or quick else None]
    trials = []
    for i, candidate in enumerate(candidates):
        courses = []
        for j, (training, validation) in enumerate(splits):
            courses.append(validated(rows.lists(training), rows.lists(validation), candidate))
            done = i * len(splits) + j + 1
            on_progress("trees tried", done, done / (len(candidates) * len(splits)))
        trials.append(_trial(candidate, courses))
    return sorted(trials, key=lambda trial: -trial.value)  # the first of equals, which has fewer leaves


def _trial(settings: TreeSettings, courses: Sequence[Course]) -> Trial:
    """The rounds at which the mean of the courses is highest; one that ended early stays at its best value."""
    longest = max(len(course.values) for course in courses)
    padded = [
        np.concatenate([course.values, np.full(longest - len(course.values), course.values.max())])
        for course in courses
    ]
    mean = Course(np.mean(padded, axis=0))
    return Trial(replace(settings, rounds=mean.best_rounds), float(mean.values.max()))


def out_of_fold(
    rows: TrainingRows,
    choice: Callable[[TrainingRows], TreeSettings],
    count: int = FOLDS,
    seed: int = 0,
    on_progress: Progress = lambda step, done, share: None,
) -> Floats:
    """(n,), each row's score by trees that saw no list of its query, with settings chosen without it as well."""
    scores = np.zeros(len(rows.labels))
    starts = rows.starts
    count = min(count, len(set(rows.queries)))
    for i, (training, others) in enumerate(folds(rows.queries, count, seed), 1):
        part = rows.lists(training)
        values = fit(part, choice(part)).predict(rows.lists(others).matrix)
        places = np.concatenate([np.arange(starts[j], starts[j + 1]) for j in others])
        scores[places] = values
        on_progress("folds measured", i, i / count)
    return scores
