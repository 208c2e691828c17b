"""What a training can be told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from resift import arguments
from resift.errors import InputError
from resift.train.neural.losses import LossSettings
from resift.train.neural.ranking_lists import Candidates
from resift.train.neural.tasks import task_of

Precision = Literal["auto", "f32", "bf16"]
AUTO = "auto"


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """How a model is trained.

    Attributes:
        base: the model that is trained further: a folder or hub id with weights that torch reads.
        losses: one for all data sets, or one for each; "auto" takes what fits the data.
        task: what is trained: a reranker, an embedder, or a late-interaction model.
        measures: by name; the first one chooses the checkpoint; none named: those of the task.
        epochs: passes over the data; steps: the most steps, whatever the epochs say; 0: no limit.
        batch: pairs of query and document in one step, about.
        accumulation: batches whose gradients make one step.
        learning_rate, warmup: the peak, and the share of the steps (0..1) until it; then it falls to 0 linearly.
        max_tokens: the longest pair; None: the model's limit, 512 at most.
        list_size: documents in one list of the listwise losses; negatives: in one row of the others.
        precision: of matrix products; the head, the losses and the optimizer stay in f32. "auto" is bf16 where the
            processor has it.
        evaluations: how often the model is measured while it trains.
        patience: evaluations without progress before training ends.
        depth: candidates of a query that are ranked when the model is measured.
        candidates: what is ranked when the model is measured: BM25's best over all documents of the data, what a
            query's run or its judgements give, or the corpus, which a cross-encoder is too slow for.
        documents: the most documents of the corpus that are searched when it is measured: those that are judged
            and those that BM25 finds.
        dims: of the token vectors of a new projection, for late interaction.
        lora: the rank of LoRA adapters; 0: all weights are trained.
        heads: layers of a reranker's heads besides the last one; none: those that the base has.
        merge: whether adapters are merged into the weights that are saved; else the adapter alone is written.
        interpolate: the share of the trained weights (0..1), the base has the rest; None: the best on dev of 0.25 to 1.
        remine: after so many epochs negatives are mined again, with the model as it stands; 0: never.
        seed: of split, order and dropout.
        force: write the model even where it is worse, and train on data that look wrong.
        resume: go on from the last checkpoint.

    """

    base: str
    task: str = "reranker"
    losses: tuple[str, ...] = (AUTO,)
    measures: tuple[str, ...] = ()
    epochs: float = 1.0
    steps: int = 0
    batch: int = 32
    accumulation: int = 1
    learning_rate: float = 2e-5
    warmup: float = 0.1
    max_tokens: int | None = None
    list_size: int = 8
    negatives: int = 4
    precision: str = AUTO
    evaluations: int = 10
    patience: int = 4
    depth: int = 30
    candidates: str = AUTO
    documents: int = 2000
    dims: int = 128
    lora: int = 0
    heads: tuple[int, ...] = ()
    merge: bool = True
    interpolate: float | None = None
    remine: int = 0
    seed: int = 0
    force: bool = False
    resume: bool = False
    options: LossSettings = LossSettings()

    def __post_init__(self) -> None:
        """Check.

        Raises:
            InputError: a value out of range.

        """
        self._check_task()
        for name in (
            "documents",
            "dims",
            "batch",
            "accumulation",
            "list_size",
            "negatives",
            "evaluations",
            "patience",
            "depth",
        ):
            arguments.whole(getattr(self, name), name)
        if self.remine and self.epochs <= self.remine:
            raise InputError(
                f"negatives are mined again between epochs: {self.epochs:g} epochs have nothing after every "
                f"{self.remine}; raise --epochs, or lower --remine"
            )
        if self.list_size < 2:
            raise InputError("a list has 2 documents at least; raise list_size")
        for name, value, low, high in (
            ("epochs", self.epochs, 0.0, 1000.0),
            ("learning_rate", self.learning_rate, 0.0, 1.0),
            ("warmup", self.warmup, 0.0, 1.0),
            ("interpolate", 1.0 if self.interpolate is None else self.interpolate, 0.0, 1.0),
        ):
            if not low <= value <= high:
                raise InputError(f"{name} is {low:g} to {high:g}; not {value!r}")
        if self.precision not in get_args(Precision):
            raise InputError(f"precision is one of {', '.join(get_args(Precision))}; not {self.precision!r}")
        if self.candidates not in (AUTO, *get_args(Candidates)):
            raise InputError(f"candidates are auto, {' or '.join(get_args(Candidates))}; not {self.candidates!r}")

    def _check_task(self) -> None:
        """Refuse what a kind of model does not have."""
        task = task_of(self.task)
        if self.lora and task.name != "reranker":
            raise InputError(f"adapters are trained in rerankers; {task.noun} is trained whole, without lora")
        if self.heads and task.name != "reranker":
            raise InputError(f"heads at several layers are those of rerankers; {task.noun} is trained without heads")
        if len(set(self.heads)) < len(self.heads):
            raise InputError(f"each layer has one head; not {', '.join(map(str, self.heads))}")
        if self.candidates == "corpus" and task.name == "reranker":
            raise InputError("a cross-encoder can't rank the whole corpus; candidates are bm25 or given")


def checkpoints_of(out: Path) -> Path:
    """The folder of the checkpoints of a training that writes `out`."""
    return out.with_name(f"{out.name}.checkpoints")
