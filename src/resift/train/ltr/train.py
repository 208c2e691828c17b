"""Trains a learned stage: settings by cross-validation, trees of all rows, a report on queries out of fold."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from resift.errors import InputError
from resift.rerank.ranking_function import RankingFunction
from resift.rerank.training_summary import Distribution, distributions
from resift.train.ltr.dependence import Dependence, dependences
from resift.train.ltr.fit import fit
from resift.train.ltr.report import LEAST, Groups, LtrReport, report, single_groups
from resift.train.ltr.rows import TrainingRows
from resift.train.ltr.search import FOLDS, Progress, Trial, choose
from resift.train.ltr.settings import SMALL, TreeSettings


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """How a training goes about it.

    Attributes:
        settings: of the trees.
        search: whether leaves and learning rate are searched for; None: with up to 100,000 rows.
        folds: of the report.
        ablate: whether groups of features are left out one after the other; None: with up to 100,000 rows.

    """

    settings: TreeSettings = TreeSettings()
    search: bool | None = None
    folds: int = FOLDS
    ablate: bool | None = None


@dataclass(frozen=True, eq=False)
class TrainedLtr:
    """What came out: trees, the settings that were chosen, and what is to be said of them."""

    trees: RankingFunction
    settings: TreeSettings
    trials: tuple[Trial, ...]
    report: LtrReport
    distributions: tuple[Distribution, ...]
    dependences: tuple[Dependence, ...]
    issues: tuple[str, ...]
    seconds: float
    facts: Mapping[str, Any] = field(default_factory=dict)


def train_ltr(
    rows: TrainingRows,
    options: TrainOptions = TrainOptions(),
    groups: Groups = (),
    directions: Sequence[int] = (),
    on_progress: Progress = lambda step, count, share: None,
) -> TrainedLtr:
    """Choose settings, grow trees of all rows, and measure out of fold what they are worth.

    Args:
        rows: as `checked_rows` gives them.
        options: settings, search, folds.
        groups: columns that belong together, for the ablation; none: each by itself.
        directions: per column which way a single feature orders; see `report`.
        on_progress: is called with the step, how much of it is done, and the share.

    Raises:
        MissingExtra: the library is not installed.
        InputError: fewer than three queries, or a monotone constraint on a feature that there is not.

    """
    began = time.perf_counter()
    if (queries := len(set(rows.queries))) < LEAST:
        raise InputError(
            f"{queries} queries to learn from; learning to rank needs {LEAST} at least, and about 50 before it pays"
        )
    small = len(rows.labels) <= SMALL
    search = small if options.search is None else options.search
    ablate = small if options.ablate is None else options.ablate
    trials = choose(rows, options.settings, search, on_progress=on_progress)
    settings = trials[0].settings
    trees = fit(rows, settings)
    gains = trees.gains()
    figures = report(
        rows, settings, gains, groups or single_groups(rows.features), directions, search, options.folds, ablate,
        on_progress,
    )  # fmt: skip
    issues = list(rows.issues)
    if not search and options.search is None:
        issues.append(f"{len(rows.labels)} rows: leaves and learning rate were not searched for (--search does)")
    return TrainedLtr(
        trees, settings, tuple(trials), figures, distributions(rows.features, rows.matrix, gains),
        dependences(rows, trees, gains), tuple(issues), time.perf_counter() - began,
    )  # fmt: skip
