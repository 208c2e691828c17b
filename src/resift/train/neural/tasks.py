"""The kinds of models that can be trained: one row each, light enough to be read before anything is imported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from resift.errors import InputError
from resift.train.neural.losses import LOSSES, Loss
from resift.train.neural.ranking_lists import Candidates
from resift.train.neural.vector_losses import EMBEDDER_LOSSES, LATE_LOSSES

TaskName = Literal["reranker", "embedder", "late"]


@dataclass(frozen=True, slots=True)
class Task:
    """A kind of model.

    Attributes:
        name: as the command has it.
        noun: what it is called, with its article.
        losses: by name.
        measures: by which it is measured where the caller names none; the first one chooses.
        candidates: what is ranked when it is measured, where the caller does not say.
        without: what the first stage's figures are called.
        improves: whether it has to be better than the first stage, since it takes that one's candidates.
        module: holds `TRAINABLE`, see `trainable.trainable_of`; it imports torch.

    """

    name: TaskName
    noun: str
    losses: Mapping[str, Loss]
    measures: tuple[str, ...]
    candidates: Candidates
    without: str
    improves: bool
    module: str


_RANKING = ("nDCG@10", "RR@10", "Success@1", "Success@10")
TASKS: dict[str, Task] = {
    row.name: row
    for row in (
        Task("reranker", "a reranker", LOSSES, _RANKING, "bm25", "no reranker", True,
             "resift.train.neural.reranker"),
        Task("embedder", "an embedder", EMBEDDER_LOSSES, ("nDCG@10", "R@10", "RR@10"), "corpus", "BM25", False,
             "resift.train.neural.embedder"),
        Task("late", "a late-interaction model", LATE_LOSSES, _RANKING, "bm25", "no reranker", True,
             "resift.train.neural.late"),
    )
}  # fmt: skip


def task_of(name: str) -> Task:
    """The row of a name.

    Raises:
        InputError: there is none.

    """
    if name not in TASKS:
        raise InputError(f"{name!r} is nothing that is trained; there are {', '.join(get_args(TaskName))}")
    return TASKS[name]
