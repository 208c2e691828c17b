"""Writes a learned stage's folder: trees or weights, features, statistics, contract, card, and what training saw."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from resift import atomic
from resift.errors import InputError
from resift.features import FEATURES_FILE, STATISTICS_FILE, FeatureSet, Statistics
from resift.models.contract import Contract
from resift.models.inputs import LearnedInput
from resift.rerank.ranking_function import MODEL_FILES, RankingFunction
from resift.rerank.training_summary import TRAINING_FILE, TrainingSummary
from resift.train.ltr.train import TrainedLtr
from resift.types import ScoreKind

CARD = "MODEL_CARD.md"


def check_target(folder: Path) -> None:
    """Refuse a place that holds something else than a learned stage, before anything is trained.

    Raises:
        InputError: it does, or there is no folder to put it into.

    """
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not (folder / TRAINING_FILE).exists())):
        raise InputError(f"{folder} is there and holds no learned stage; name a new folder")
    if not folder.absolute().parent.is_dir():
        raise InputError(f"can't write {folder}: there is no folder {folder.absolute().parent}; make it first")


def summary_of(trained: TrainedLtr, name: str, pipeline: str) -> TrainingSummary:
    """What the folder remembers of the training."""
    trials = [
        {"leaves": t.settings.leaves, "learning_rate": t.settings.learning_rate, "rounds": t.settings.rounds,
         "value": t.value} for t in trained.trials
    ]  # fmt: skip
    return TrainingSummary(
        name, trained.settings.library, trained.distributions, trained.settings.summary(), dict(trained.facts),
        pipeline, trained.report.as_json() | {"trials": trials}, trained.issues,
    )  # fmt: skip


def write_folder(
    folder: Path, trained: TrainedLtr, features: FeatureSet | None, statistics: Statistics | None, pipeline: str = ""
) -> TrainingSummary:
    """Write a model's folder, all of it or nothing; one that is there is replaced.

    Args:
        folder: whose name is the model's name.
        trained: what `train_ltr` gave.
        features: None for a matrix of unknown origin, which can be measured and exported, but is no stage.
        statistics: of the collection; None where there are none.
        pipeline: that gave the candidates.

    Raises:
        InputError: as `check_target`, or the folder can't be written.

    """
    summary = summary_of(trained, folder.absolute().name, pipeline)
    write_stage(folder, trained.trees, summary, features, statistics)
    return summary


def write_stage(
    folder: Path,
    function: RankingFunction,
    summary: TrainingSummary,
    features: FeatureSet | None,
    statistics: Statistics | None,
) -> None:
    """Write a ranking function's folder as `write_folder` does.

    Raises:
        InputError: as there.

    """
    check_target(folder)
    with atomic.blaming(folder), atomic.folder(folder) as beside:
        _fill(beside, function, summary, features, statistics)


def _fill(
    folder: Path,
    function: RankingFunction,
    summary: TrainingSummary,
    features: FeatureSet | None,
    statistics: Statistics | None,
) -> None:
    (folder / MODEL_FILES[function.library]).write_bytes(function.content())
    if features is not None:
        (folder / FEATURES_FILE).write_text(features.to_toml(), "utf-8")
        (statistics or Statistics.empty()).write(folder / STATISTICS_FILE)
    summary.write(folder)
    _contract(summary).write(folder)
    (folder / CARD).write_text("\n".join(_card(summary)) + "\n", "utf-8")


def _contract(summary: TrainingSummary) -> Contract:
    return Contract(
        summary.name, "learned", ScoreKind.LEARNED, 0, 0, LearnedInput(summary.library),
        description=f"learning to rank, {len(summary.features)} features",
    )  # fmt: skip


def _card(summary: TrainingSummary) -> Iterator[str]:
    """MODEL_CARD.md: what it is for, what it was trained on, what it reached, what it should not be used for."""
    settings, data, linear = summary.settings, summary.data, summary.library == "linear"
    kind = "A linear correction of scores" if linear else f"Ranking trees of {summary.library}"
    yield f"# {summary.name}"
    yield ""
    yield (
        f"{kind} ({settings['objective']}) over {len(summary.features)} features, made by "
        f"`{data.get('made_by', 'resift train ltr')}`."
    )
    yield ""
    yield f"* Trained on {data.get('queries')} queries of {data.get('name')}, {data.get('rows')} rows."
    pairs = "" if linear else f", pairs among the first {settings['truncation']}"
    yield f"* Labels: {data.get('labels')}; gain {settings['gain']}{pairs}."
    if summary.pipeline:
        yield f"* Candidates and signals: `{summary.pipeline}`; unjudged candidates: {data.get('unjudged')}."
    if linear:
        yield f"* Weights: a ridge of {settings['ridge']:g}; a missing value is the mean of training, and adds nothing."
    else:
        yield (
            f"* Trees: {settings['rounds']} of at most {settings['leaves']} leaves, learning rate "
            f"{settings['learning_rate']}, seed {settings['seed']}."
        )
    yield f"* {summary.report['verdict']}"
    yield ""
    yield "| order | measure | gain | 95 % |"
    yield "| --- | --- | --- | --- |"
    for row in summary.report["orders"]:
        gain, interval = row["gain"], f"{row['gain']['low']:+.4f} … {row['gain']['high']:+.4f}"
        yield f"| {row['name']} | {row['value']:.4f} | {gain['value']:+.4f} | {interval} |"
    yield ""
    yield "It holds for candidates and queries like those of its training; notes in the trace say where values differ."
    if summary.issues:
        yield ""
        yield "What was left out or odd:"
        yield ""
        yield from (f"* {issue}" for issue in summary.issues)
