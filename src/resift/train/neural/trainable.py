"""What a kind of model brings to a training: how it is opened, scores, learns and is written; the rest is shared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from resift.models.folder import ModelFolder
    from resift.train.neural.plan import Plan
    from resift.train.neural.tasks import Task

Floats = npt.NDArray[np.float64]
Pairs = Sequence[tuple[str, str]]  # query and document


class ScoresLists(Protocol):
    """Scores the documents of lists.

    Attributes:
        logits: whether a score is a logit, which a sigmoid would turn into a probability.

    """

    logits: bool

    def score(self, model: Any, pairs: Pairs, bf16: bool = False) -> Floats:  # noqa: ANN401
        """(n,) scores of pairs, f64; the model stays in its mode.

        Args:
            model: as sentence-transformers has it.
            pairs: texts of query and document.
            bf16: matrix products in bf16, as in a training that uses it.

        """


class Trainable(ScoresLists, Protocol):
    """A kind of model that is trained: cross-encoder, embedder, late interaction.

    Attributes:
        trainer: the class of the trainer; `arguments`: the class of what it is told.

    """

    trainer: type[Any]
    arguments: type[Any]

    def open(self, plan: Plan, precision: str) -> BaseModel:
        """The base of a plan.

        Raises:
            ModelError: it is no such model, or has no weights that torch trains.
            InputError: a setting does not fit it.

        """

    def fits(self, model: Any, pair: tuple[str, str]) -> bool:  # noqa: ANN401
        """Whether no limit cuts a pair, so that all who load the model read the same."""

    def write(self, base: BaseModel, folder: Path, name: str, probes: Pairs) -> Mapping[str, tuple[Floats, Floats]]:
        """Write a whole model into an empty folder, and give what it computes: before, and after who loaded it.

        Args:
            base: the trained model.
            folder: where its files go.
            name: of the model, in its contract.
            probes: pairs that no limit cuts.

        """

    def seen(self, model: Any, pair: tuple[str, str]) -> SeenTexts:  # noqa: ANN401
        """A pair as the model sees it."""


def trainable_of(task: Task) -> Trainable:
    """How the models of a task are trained; imports torch."""
    kind: Trainable = import_module(task.module).TRAINABLE
    return kind


@dataclass(frozen=True, slots=True)
class SeenTexts:
    """A pair as a model sees it: its tokens at the seams, how many it reads, and how many were cut off."""

    text: str
    tokens: int
    cut: int


@dataclass(frozen=True, slots=True)
class BaseModel:
    """An opened model.

    Attributes:
        kind: what it is.
        model: of sentence-transformers, in f32; a cross-encoder gives raw logits.
        folder: where it came from.
        fresh_head: whether its scores are those of a new head with random weights.
        adapted: the same encoder as peft wraps it; None without adapters.
        prompts: what stands before the texts of each column of the training rows.
        notes: what a person should know of the base, in sentences.
        reopen: opens the base once more, to put written adapters into it; None without adapters.
        new_layers: inner layers whose heads have random weights.

    """

    kind: Trainable
    model: Any
    folder: ModelFolder
    fresh_head: bool = False
    adapted: Any = None
    prompts: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    reopen: Callable[[], Any] | None = None
    new_layers: tuple[int, ...] = ()

    def score(self, pairs: Pairs, bf16: bool = False) -> Floats:
        """See `ScoresLists.score`."""
        return self.kind.score(self.model, pairs, bf16)
